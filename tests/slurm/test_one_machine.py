"""The test cluster itself, as a person starts it by hand."""

import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, str(Path(__file__).parents[2] / "slurm" / "one_machine.py")]


def test_a_second_cluster_in_the_same_folder_is_refused_and_the_first_goes_on(cluster):
    done = subprocess.run([*COMMAND, "start", str(cluster.folder)], capture_output=True, text=True)
    assert done.returncode == 1 and "a cluster runs in" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert cluster.command("sinfo", "-h", "-o", "%D").split()[0] == str(len(cluster.nodes()))


def test_it_needs_nothing_but_the_standard_library(tmp_path):
    """It runs before anything is installed; -S leaves out every installed package."""
    done = subprocess.run(["python3", "-S", COMMAND[1], "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "restart-controller" in done.stdout, done.stderr
