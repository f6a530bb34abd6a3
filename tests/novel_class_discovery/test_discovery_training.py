"""Novel class discovery: stages resume bit for bit, train what they should, and say where they diverge."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from discovery_stages import THREE_EPOCHS, Handed, network_of, result
from interrupted import killed_and_resumed

from benchmarks.novel_class_discovery import discover as stage3
from benchmarks.novel_class_discovery import stages, tables
from benchmarks.novel_class_discovery.protocols import SMOKE
from benchmarks.novel_class_discovery.task import load_task
from benchmarks.novel_class_discovery.views import Seen
from contrastbench.runner import Log

pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.mark.parametrize("stage", THREE_EPOCHS)
def test_a_resumed_run_ends_as_an_undisturbed_one(stage: str, artefacts: dict[str, Any], tmp_path: Path) -> None:
    undisturbed, attempts = Handed(artefacts), []

    def attempt(log: Log) -> dict[str, float]:
        attempts.append(Handed(artefacts, tmp_path, log, every_seconds=0))
        return result(stage, THREE_EPOCHS[stage], attempts[-1], log=log)

    resumed_epochs, metrics = killed_and_resumed(attempt, tmp_path, 1)
    assert metrics == result(stage, THREE_EPOCHS[stage], undisturbed)
    assert resumed_epochs == [1, 2]
    for name, value in undisturbed.kept.get("encoder", {}).items():
        assert torch.equal(attempts[-1].kept["encoder"][name], value)


def test_half_precision_is_the_encoders_alone(artefacts: dict[str, Any]) -> None:
    config = dataclasses.replace(SMOKE.discover, epochs=1, precision="bf16")
    task = load_task(config, "cpu", Log())
    features = Seen(config, task).all(network_of(task), task.test_known)
    assert features.dtype == torch.float32
    exact = Seen(SMOKE.discover, task).all(network_of(task), task.test_known)
    assert 0 < (features - exact).abs().max() < 0.1 * exact.max()
    assert 0 <= result("discover", config, Handed(artefacts))[tables.TRAIN] <= 100


def test_stage_3_leaves_the_frozen_part_alone(artefacts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    original = stage3.build_network
    monkeypatch.setattr(stage3, "build_network", lambda *args: models.append(original(*args)) or models[0])
    result("discover", THREE_EPOCHS["discover"], Handed(artefacts))
    before, after = artefacts["supervise"]["encoder"], models[0].encoder_state()
    frozen = [name for name in after if name.startswith("below.") and "running" not in name and "tracked" not in name]
    assert frozen and all(torch.equal(after[name], before[name]) for name in frozen)
    assert not torch.equal(after["last.0.conv1.weight"], before["last.0.conv1.weight"])
    assert not torch.equal(after["below.1.running_mean"], before["below.1.running_mean"])  # as in the authors' code


def test_the_learning_rate_drops_an_epoch_early_as_the_code_does(
    artefacts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    config = dataclasses.replace(SMOKE.discover, epochs=4, drop_every=3)
    monkeypatch.setattr(stages, "set_rate", lambda optimizer, rate: rates.append(rate))
    result("discover", config, Handed(artefacts))
    assert [rate / config.learning_rate for rate in rates] == pytest.approx([1.0, 1.0, 0.1, 0.1])


def test_a_run_that_diverges_names_the_epoch(artefacts: dict[str, Any]) -> None:
    with pytest.raises(FloatingPointError, match="in epoch 0"):
        result("discover", dataclasses.replace(SMOKE.discover, learning_rate=1e30), Handed(artefacts))
