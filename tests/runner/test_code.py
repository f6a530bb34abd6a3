"""A row is one code's: what counts as other code, and that a run of other code starts again and says so."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contrastbench.runner import code
from contrastbench.runner.rows import read_row

LOSS = """
def hcl(z, *, beta=1.0):
    return beta * z
"""
TRAIN = """
from contrastbench.losses import hcl
from benchmarks.copied.helpers import scaled

def train(config):
    from baselines import pixels
    return scaled(hcl(config))

def other(config):
    return config
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository of a few files; ``tree(path, text)`` writes one and returns the code of a stage."""
    texts = {
        "contrastbench/losses/__init__.py": "from contrastbench.losses.hard import hcl\nfrom .other import nt_xent\n",
        "contrastbench/losses/hard.py": LOSS,
        "contrastbench/losses/other.py": "def nt_xent(z): return z\n",
        "contrastbench/runner/files.py": "x = 1\n",
        "baselines/pixels.py": "import contrastbench.runner.files\n",
        "benchmarks/copied/helpers.py": "from .deeper import scaled\n",
        "benchmarks/copied/deeper.py": "def scaled(x): return 2 * x\n",
        "benchmarks/copied/train.py": TRAIN,
    }
    (tmp_path / "benchmarks").mkdir()

    class Spec:
        def __init__(self, package):
            self.submodule_search_locations = [str(tmp_path / package)]

    class Paper:
        package = "benchmarks.copied"

        def stage(self, name):
            return type("Stage", (), {"function": f"train.{name}"})

    monkeypatch.setattr(code.importlib.util, "find_spec", Spec)
    monkeypatch.setattr(code, "load_paper", lambda name: Paper())

    def written(path="", text=""):
        for name, content in ({path: text} if path else texts).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        clear()
        return code.code_of("copied", "train")

    yield written
    monkeypatch.undo()
    clear()


def clear():
    for cached in (code.code_of, code._source, code._path_of):
        cached.cache_clear()


def test_what_a_stage_imports_counts_however_far_away_and_nothing_else(tree):
    assert list(tree()) == [
        "baselines/pixels.py",
        "benchmarks/copied/deeper.py",
        "benchmarks/copied/train.py",
        "contrastbench/losses/hard.py",
    ]


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ("return beta * z", "return beta * z  # a comment", False),
        ("return beta * z", '"""A docstring."""\n    return beta * z', False),
        ("return beta * z", "return (\n        beta\n        * z\n    )", False),
        ("return beta * z", "return beta * z * z", True),
        ("beta=1.0", "beta=2.0", True),
    ],
)
def test_comments_docstrings_and_layout_do_not_count_and_all_else_does(tree, before, after, counts):
    old = tree()
    new = tree("contrastbench/losses/hard.py", LOSS.replace(before, after))
    assert code.differing(old, new) == (["contrastbench/losses/hard.py"] if counts else [])


def test_another_loss_and_the_runner_do_not_count(tree):
    old = tree()
    assert tree("contrastbench/losses/other.py", "def nt_xent(z): return 2 * z\n") == old
    assert tree("contrastbench/runner/files.py", "x = 2\n") == old


def test_the_code_of_every_stage_is_told_without_torch_and_in_no_time():
    script = (
        "import sys, time; from contrastbench.runner import code; began = time.process_time();"
        "code.code_of('hard_negatives', 'train'); assert 'torch' not in sys.modules;"
        "assert time.process_time() - began < 3, 'too slow'"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.fixture
def front(bench, tmp_path):
    """Gives the command line arguments, in a process of its own that reads a copy of the toy paper."""
    toy = tmp_path / "toy" / "benchmarks" / "toy"
    shutil.copytree(Path(__file__).parents[1] / "toy" / "benchmarks" / "toy", toy)

    def command(*arguments, edit=("", "")):
        (toy / "train.py").write_text((toy / "train.py").read_text().replace(*edit))
        environment = {"PYTHONPATH": f"{tmp_path / 'toy'}:{Path(__file__).parents[2]}", "PATH": "/usr/bin:/bin"}
        words = [sys.executable, "-m", "contrastbench.cli", "--runs", str(bench.folder), *arguments, "--seeds", "1"]
        return subprocess.run(words, capture_output=True, text=True, env=environment)

    return command


STOP = "curve.append(state.square().mean().item())"


def test_a_run_of_other_code_starts_again_and_says_so_unless_it_is_told_to_go_on(bench, front):
    target = ["toy/main/Noise8/Plain", "--launcher", "inline"]
    stops = f"{STOP}\n        if epoch == 2:\n            raise KeyboardInterrupt"
    assert front("run", *target, edit=(STOP, stops)).returncode == 130
    (folder,) = bench.folder.glob("toy/*")
    saved = (folder / "checkpoint.pt").read_bytes()

    told = front("run", *target, edit=(stops, STOP))
    assert "1 run starts again: benchmarks/toy/train.py changed since" in told.stderr
    log = (folder / "log.txt").read_text()
    assert "saved by other code (benchmarks/toy/train.py) and is kept as checkpoint.other_code.pt" in log
    row = read_row(folder / "row.json")
    assert (row["status"], row["resumes"], "code_before" in row) == ("done", 1, False)
    assert (folder / "checkpoint.other_code.pt").read_bytes() == saved
    assert code.changed_since(folder, "toy", "train") == []

    (folder / "row.json").unlink()
    (folder / "checkpoint.pt").write_bytes(saved)
    told = front("run", *target, "--resume-anyway")
    assert "again: " not in told.stderr + told.stdout
    assert "goes on from what other code saved (benchmarks/toy/train.py)" in (folder / "log.txt").read_text()
    both = read_row(folder / "row.json")
    assert len(both["code_before"]) == 1 and both["code_before"] != [both["code"]] and both["code"] == row["code"]


def test_a_done_run_here_says_which_files_have_changed_since(bench, monkeypatch):
    bench.run_inline("toy/main/Noise8/Plain", seeds=[0])
    (folder,) = bench.folder.glob("toy/*")
    now = code.code_of("toy", "train")
    assert read_row(folder / "row.json")["code"] == code.sha256_of(now)
    monkeypatch.setattr(code, "code_of", lambda paper, stage: {**now, "benchmarks/toy/train.py": "other"})
    assert code.changed_since(folder, "toy", "train") == ["benchmarks/toy/train.py"]
    (folder / "code.json").unlink()
    assert code.changed_since(folder, "toy", "train") == []
