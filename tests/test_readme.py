"""The README is true: its page on adding a paper works as it stands, and its commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contrastbench.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FILE = re.compile(r"`(benchmarks/temperature/\S+)`[^`]*?\n\n?```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder with the README's paper in it, as a reader would type it, and nothing else."""
    folder = tmp_path_factory.mktemp("checkout")
    for name, content in FILE.findall(README):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def contrastbench(checkout, *arguments):
    path = os.pathsep.join([str(checkout), os.environ["PYTHONPATH"]])
    folders = ["--runs", str(checkout / "runs"), "--results", str(checkout / "results")]
    return subprocess.run(
        [sys.executable, "-m", "contrastbench.cli", *folders, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        cwd=checkout,
    )


def test_the_page_on_adding_a_paper_works_as_it_stands(checkout):
    assert len(list((checkout / "benchmarks/temperature").iterdir())) == 4
    ran = contrastbench(checkout, "run", "temperature", "--scale", "smoke", "--seeds", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = contrastbench(checkout, "table", "temperature")
    assert "97.0 (unconfirmed)" in shown.stdout and "t=0.5" in shown.stdout, shown.stdout + shown.stderr
    drawn = contrastbench(checkout, "plot", "temperature", "--x", "temperature", "--out", str(checkout / "t.svg"))
    assert drawn.returncode == 0, drawn.stderr
    assert (checkout / "t.svg").read_text().startswith("<?xml")


def test_every_command_of_the_readme_exists():
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    used = set(re.findall(r"contrastbench (\w+)", "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))))
    assert used and used <= known, used - known


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
