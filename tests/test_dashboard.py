"""`run --log-to`: the curves arrive in TensorBoard and Weights & Biases, whose packages these stand in for."""

import importlib.machinery
import sys
import types

import pytest
from command_line import contrastbench

from contrastbench.cli import dashboard

COMMAND = ("run", "toy/main/Noise8/Plain", "--seeds", "1", "--launcher", "inline")


def installed(monkeypatch, name, **contents):
    """A package of that name, as far as Python can see."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


def test_every_epoch_and_the_metrics_arrive_in_tensorboard(tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, epoch):
            written.append((name, epoch))

        def close(self):
            written.append(self.folder)

    installed(monkeypatch, "tensorboard")
    installed(monkeypatch, "torch.utils.tensorboard", SummaryWriter=SummaryWriter)
    told = contrastbench(*COMMAND, "--log-to", "tensorboard", runs=tmp_path)
    assert told.returncode == 0, told.stderr
    assert [entry for entry in written if entry[0] == "loss"] == [("loss", epoch) for epoch in range(3)]
    assert ("test_top1_percent", 2) in written
    assert written[-1].startswith(f"{tmp_path}/.tensorboard/toy/Noise8 Plain seed 0 ")
    assert contrastbench("status", "toy/main/Noise8/Plain", "--seeds", "1", runs=tmp_path).stdout.split()[-1] == "1"


def test_a_run_is_one_of_wandbs_with_its_config(tmp_path, monkeypatch):
    class Run:
        lines: list = []
        finished = False

        def log(self, values, step):
            self.lines.append((step, *values))

        def finish(self):
            Run.finished = True

    began = []
    installed(monkeypatch, "wandb", init=lambda **options: began.append(options) or Run())
    told = contrastbench(*COMMAND, "--log-to", "wandb", runs=tmp_path)
    assert told.returncode == 0, told.stderr
    (options,) = began
    assert options["project"] == "contrastbench" and options["config"]["gain"] == 0.0 and options["resume"] == "allow"
    assert [step for step, *names in Run.lines if "loss" in names] == [0, 1, 2]
    assert Run.lines[-1][:2] == (2, "test_top1_percent") and Run.finished


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("wandb", "--log-to wandb needs the package wandb, which is not installed: pip install wandb"),
        ("excel", "unknown dashboard 'excel'; there are: tensorboard, wandb"),
    ],
)
def test_a_package_that_is_not_here_gets_one_line(tmp_path, monkeypatch, kind, said):
    monkeypatch.setattr(dashboard.importlib.util, "find_spec", lambda name: None)
    told = contrastbench(*COMMAND, "--log-to", kind, runs=tmp_path)
    assert (told.returncode, told.stderr) == (2, f"error: {said}\n") and not list(tmp_path.iterdir())
