"""A number that other code has made is never taken for one of the code as it is now."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import contrastbench

from contrastbench.runner import code
from contrastbench.runner.rows import read_row

ROOT = Path(__file__).parents[1]


class Checkout:
    """The toy papers in a folder of their own, whose code may be edited."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(ROOT / "tests" / "toy", folder / "toy")

    def edit(self, before, after, path="toy/train.py"):
        path = self.folder / "toy" / "benchmarks" / path
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))

    def __call__(self, *arguments):
        folders = ["--runs", str(self.folder / "runs"), "--results", str(self.folder / "results")]
        command = [sys.executable, "-m", "contrastbench.cli", *folders, *arguments]
        paths = f"{self.folder / 'toy'}{os.pathsep}{ROOT}"
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        return done

    def run(self, *arguments):
        return self("run", "toy/main/Noise8/Better", "--seeds", "1", "--launcher", "inline", *arguments)

    def score(self):
        (row,) = (json.loads(path.read_text()) for path in self.folder.glob("runs/toy/*/row.json"))
        return row["metrics"]["test_top1_percent"]


def test_an_edited_method_is_named_until_it_is_done_again(tmp_path):
    checkout = Checkout(tmp_path)
    checkout.run()
    before = checkout.score()
    checkout.edit("+ 10.0 * gain", "+ 20.0 * gain")
    line = "1 row here was made by other code than now (benchmarks/toy/train.py changed since); `run --changed` does"
    told = checkout.run()
    assert "1 done; 0 to start" in told.stdout and line in told.stderr and checkout.score() == before
    for command in ("table", "results"):
        assert f"toy: {line}" in checkout(command, "toy/main").stderr
    checkout("report", "--out", str(tmp_path / "page.html"))
    assert "toy: 1 row here was made by other code than now" in (tmp_path / "page.html").read_text()
    told = checkout.run("--changed")
    assert "1 new; 1 to start" in told.stdout and checkout.score() == pytest.approx(before + 10)
    told = checkout.run("--changed")
    assert "1 done; 0 to start" in told.stdout and not told.stderr
    checkout.edit("    return 50.0", "    # as the paper writes it\n    return 50.0")
    assert not checkout.run().stderr, "a comment makes no other number"


def test_what_reads_a_run_of_other_code_is_done_again_too(tmp_path, monkeypatch):
    contrastbench("run", "staged/main", "--seeds", "1", "--launcher", "inline", runs=tmp_path)
    rows = [read_row(path) for path in tmp_path.glob("staged/*/row.json")]
    assert code.rows_of_other_code(rows, tmp_path) == {}
    before, edited = code.code_of, {"benchmarks/staged/train.py": "edited"}
    monkeypatch.setattr(code, "code_of", lambda paper, stage: edited if stage == "pretrain" else before(paper, stage))
    changed = code.rows_of_other_code(rows, tmp_path)
    assert set(changed) == {row["key"] for row in rows}, "every run of the table reads what it pre-trained"
