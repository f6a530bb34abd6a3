"""The arena of losses: the same run but for the loss, and a loss of one's own from a file to the table."""

import dataclasses
import json

import pytest
from command_line import contrastbench

from benchmarks.loss_arena import outcome, tables, train
from benchmarks.loss_arena.losses import LOSSES, loss_of
from contrastbench.cli import try_loss
from contrastbench.runner import Checkpoint, Log
from contrastbench.selection import select

TEXT = """import torch
from torch.nn.functional import cross_entropy, normalize

def mine(z_a, z_b, *, temperature=0.5):
    scores = normalize(z_a, dim=1, eps=1e-20) @ normalize(z_b, dim=1, eps=1e-20).T / temperature
    return cross_entropy(scores, torch.arange(len(z_a), device=z_a.device))
"""
GRAPHS = ("--on", "graphs", "--scale", "smoke", "--seeds", "1", "--launcher", "inline")


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Runs `contrastbench try` on a file of the folder, with folders of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_loss.py").write_text(TEXT)
    return lambda *arguments: contrastbench(
        *arguments, runs=tmp_path / "runs", results=tmp_path / "results", CONTRASTBENCH_DATA=str(tmp_path)
    )


def runs_of(folder):
    found = [json.loads(path.read_text()) for path in folder.glob("runs/loss_arena/*/row.json")]
    return {row["method"]: row for row in found}


def test_a_loss_of_ones_own_goes_from_its_file_to_the_table(tried, tmp_path):
    told = tried("try", "my_loss.py:mine", "--set", "temperature=0.2", *GRAPHS)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "✓ one number" in told.stdout and "my_loss.py:mine: no checks failed" in told.stdout
    assert "2 runs, 2 to do" in told.stdout, "its own, and NT-Xent's, of which there is no row"
    (name,) = (method for method in runs_of(tmp_path) if method != "NT-Xent")
    assert name.startswith("yours: mine ") and name.endswith(" [temperature=0.2]")
    assert name in told.stdout and "now: 2 done" in told.stdout
    assert (tmp_path / "mine.svg").exists()
    again = tried("try", "my_loss.py:mine", "--set", "temperature=0.2", *GRAPHS)
    assert "2 runs, 0 to do" in again.stdout
    for command in (("results", "loss_arena"), ("table", "loss_arena")):
        assert "yours: mine" in tried(*command).stdout


def test_a_changed_line_is_another_run_and_a_rival_is_not_run_again(tried, tmp_path):
    tried("try", "my_loss.py", *GRAPHS)
    (tmp_path / "my_loss.py").write_text(TEXT.replace("temperature=0.5", "temperature=0.4"))
    assert "2 runs, 1 to do" in tried("try", "my_loss.py", *GRAPHS).stdout
    assert len(runs_of(tmp_path)) == 3


def test_what_is_queued_computes_the_file_as_it_was(tried, tmp_path, monkeypatch):
    launch = try_loss.launch

    def later(*arguments):
        (tmp_path / "my_loss.py").unlink()
        return launch(*arguments)

    monkeypatch.setattr(try_loss, "launch", later)
    assert tried("try", "my_loss.py:mine", *GRAPHS).returncode == 0
    assert len(runs_of(tmp_path)) == 2


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        ("def mine(a, b):\n    return (a * b).sum(1)\n", (), 1, "returns shape [2] at [2, 4], not one number"),
        ("def mine(a, b):\n    return (a * b).sum().detach()\n", (), 1, "the result is detached from both views"),
        ("def mine(a, b):\n    return a.cuda().sum()\n", (), 1, "✗ one number              fails: raises "),
        ("def mine(a b):\n", (), 2, "error: my_loss.py line 1: invalid syntax"),
        (
            "import a_missing_module\n\ndef mine(a, b): ...\n",
            (),
            2,
            "No module named 'a_missing_module' (my_loss.py line 1)",
        ),
        (TEXT, ("--set", "beta=1"), 2, "unexpected keyword argument 'beta'; it takes: temperature"),
        (TEXT, ("--on", "sounds"), 2, "unknown kind of data 'sounds'; there are: images, graphs, sentences, sequences"),
        (TEXT, ("--scale", "paper"), 2, "unknown scale 'paper'; the arena has: smoke, quick, lite"),
    ],
)
def test_what_cannot_be_trained_with_starts_nothing(tried, tmp_path, text, arguments, code, said):
    (tmp_path / "my_loss.py").write_text(text)
    told = tried("try", "my_loss.py:mine", *arguments)
    assert told.returncode == code
    assert said in told.stdout + told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "runs" / "loss_arena").exists()


def test_data_that_is_missing_leaves_its_runs_out(tried):
    told = tried("try", "my_loss.py:mine", "--on", "sequences", "--launcher", "inline")
    assert "runs are left out, since ml-100k is not here: contrastbench data fetch ml-100k" in told.stderr


# ----------------------------------------------------------------------------------------------------------- the arena

SMOKE = {tables.KINDS[on.dataset]: on.base for on in tables.PLACES["smoke"]}
NT_XENT = dict(zip(("loss", "settings"), tables.RIVALS["NT-Xent"], strict=True))


@pytest.mark.parametrize("kind", SMOKE)
def test_a_run_repeats_and_goes_on_from_where_it_was_killed(kind, tmp_path):
    config = dataclasses.replace(SMOKE[kind], epochs=2, **NT_XENT)

    def metrics(config, folder=None):
        checkpoint = Checkpoint(folder, every_seconds=0)
        return getattr(train, kind)(config, seed=0, device="cpu", checkpoint=checkpoint, log=Log())

    whole = metrics(config)
    metrics(dataclasses.replace(config, epochs=1), tmp_path)
    assert metrics(config, tmp_path) == whole
    assert tables.METRICS[kind] in whole


@pytest.mark.parametrize("kind", SMOKE)
def test_each_loss_trains_another_encoder(kind):
    def trained(**changes):
        config = dataclasses.replace(SMOKE[kind], **changes)
        task = getattr(train, f"{kind}_task")(config, 0, "cpu", Log())
        step = train.step_of(config, task, loss_of(config, Checkpoint()), "cpu")
        step(**next(iter(task.inputs_of(0))))
        return {name: value for name, value in task.model.state_dict().items() if value.is_floating_point()}

    one, other = trained(**NT_XENT), trained(loss="alignment_uniformity")
    assert any(not one[name].equal(other[name]) for name in one)


def test_the_ten_rivals_are_the_catalogues_losses_of_two_views():
    assert {rival.loss for rival in tables.RIVALS.values()} == LOSSES.keys()
    assert len(tables.RIVALS) == 10


def test_a_command_for_the_whole_paper_does_a_glance_and_the_arena_needs_its_name():
    assert {table for table, _ in select("loss_arena", "quick").cells()} == {"glance"}
    keys = {run.key for _, cell in select("loss_arena/arena", "quick").cells() for run in cell.runs}
    glance = {run.key for _, cell in select("loss_arena", "quick").cells() for run in cell.runs}
    assert len(glance) == 8 and glance < keys, "its runs are the arena's"


def row(method, seed, value, dataset="MUTAG"):
    metrics = {"test_svm_accuracy_percent": value}
    return {"status": "done", "scale": "quick", "stage": "graphs"} | {
        "dataset": dataset,
        "method": method,
        "seed": seed,
        "metrics": metrics,
    }


def test_a_loss_is_compared_by_seed_and_is_best_for_real_only_where_the_interval_says_so():
    values = {"NT-Xent": (80, 84, 88), "steady": (83, 87.1, 91), "lucky": (95, 84, 88.1)}
    rows = [row(method, seed, value) for method, each in values.items() for seed, value in enumerate(each)]
    found = {each.method: each for each in outcome.against_baseline(rows)}
    assert found["steady"].difference == pytest.approx(3.033, abs=1e-3)
    assert (found["steady"].is_best, found["steady"].is_real) == (False, True)
    assert (found["lucky"].is_best, found["lucky"].is_real) == (True, False)
    assert not found["NT-Xent"].is_real
