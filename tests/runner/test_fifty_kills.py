"""Fifty kill -9 at random moments, of workers and of the front command, during one sweep."""

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from contrastbench.runner.rows import result_of

SETTINGS = {"seconds_per_epoch": "0.15", "epochs": "10"}
KILLS = 50
SEEDS = 30  # enough work for all the kills


@pytest.mark.slow
def test_fifty_kills_lose_and_double_nothing(bench):
    """Each round starts the command and kills its front, or one of its workers, after a random time; what lives on
    from earlier rounds is a victim too. At the end the rows are those of an undisturbed sweep, one a run."""
    command = [sys.executable, "-m", "contrastbench.cli", "--runs", str(bench.folder), "run", "toy/slow"]
    command += ["--seeds", str(SEEDS), *(f"--set={key}={value}" for key, value in SETTINGS.items())]
    dice, fronts, killed = random.Random(1), [], {"front": 0, "worker": 0}
    while sum(killed.values()) < KILLS:
        if all(front.poll() is not None for front in fronts):
            fronts.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(dice.uniform(0.1, 2.0))
        workers = [process for process in psutil.process_iter() if is_worker_of(process, bench.folder)]
        if dice.random() < 0.3 and fronts[-1].poll() is None:
            fronts[-1].kill()
            fronts[-1].wait()
            killed["front"] += 1
        elif workers:
            os.kill(dice.choice(workers).pid, signal.SIGKILL)
            killed["worker"] += 1
        if all(name == "done" for name in bench.states("toy/slow", range(SEEDS), SETTINGS)):
            break
    fronts[-1].wait()  # it may have been spared, and then does what is left
    for _ in range(20):
        if subprocess.run(command, capture_output=True).returncode == 0:
            break
    print(f"kills: {killed}")
    rows = bench.rows("toy/slow", range(SEEDS), SETTINGS)
    quiet = type(bench)(bench.folder.parent / "quiet")
    quiet.run("toy/slow", range(SEEDS), SETTINGS)
    expected = quiet.rows("toy/slow", range(SEEDS), SETTINGS)
    assert len(expected) == SEEDS
    assert {key: result_of(row) for key, row in rows.items()} == {key: result_of(row) for key, row in expected.items()}
    assert len(list(bench.folder.glob("toy/*/row.json"))) == SEEDS
    assert sum(killed.values()) == KILLS, f"the sweep ended after {killed}"


def is_worker_of(process, runs_folder):
    """Whether the process is a local worker that holds a claim below the folder."""
    try:
        if "--multiprocessing-fork" not in " ".join(process.cmdline()):
            return False
        return any(str(runs_folder) in file.path for file in process.open_files())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
