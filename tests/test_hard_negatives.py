"""The paper hard_negatives: every table runs, runs repeat bit for bit, and an interrupted run ends as if it was not."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import killed_and_resumed
from kinds import kind_of

from benchmarks.hard_negatives import tables
from benchmarks.hard_negatives import train as stages
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prepare import Prepared, prepare_data
from benchmarks.hard_negatives.train import contrastive_inputs
from contrastbench.data.images import Split, load_images
from contrastbench.runner import Cell, Checkpoint, Log

TINY = dataclasses.replace(tables.SMOKE, epochs=3, train_images=128, batch=32)
TINY_WITHOUT_CURVE = dataclasses.replace(TINY, curve_epochs=())
VARIANTS = {
    "hcl, logistic probe": dataclasses.replace(TINY, loss="hcl", tau_plus=0.1, beta=1.0),
    "bf16, probe in training mode": dataclasses.replace(
        TINY, precision="bf16", probe="adam", probe_batchnorm="train", probe_epochs=3
    ),
    "a queue with mixed negatives": dataclasses.replace(TINY, queue=64, mochi=(8, 8, 4), temperature=0.2),
    "alpha estimated with labels, a curve": dataclasses.replace(
        TINY, loss="bcl", alpha=0.9, beta=0.9, tau_plus=0.1, alpha_from="labels", curve_epochs=(1, 2, 3)
    ),
    "beta annealed, positives by label": dataclasses.replace(
        TINY, loss="hcl", beta=2.0, tau_plus=0.1, anneal="as_paper", positives="labels"
    ),
    "eight views for the class": dataclasses.replace(TINY, loss="dcl", tau_plus=0.1, positive_samples=8),
}
SLOW_HERE = "bf16, probe in training mode"  # ten seconds where the processor has no bf16


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def few_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth test image: these tests ask whether numbers are the same, not what they are."""

    def fewer(*arguments: Any) -> Prepared:
        data = prepare_data(*arguments)
        return dataclasses.replace(data, test=Split(data.test.images[::10], data.test.labels[::10]))

    monkeypatch.setattr(stages, "prepare_data", fewer)


def result(
    config: Config, *, seed: int = 0, checkpoint: Checkpoint | None = None, log: Log | None = None
) -> dict[str, Any]:
    return stages.train(config, seed=seed, device="cpu", checkpoint=checkpoint or Checkpoint(), log=log or Log())


@functools.cache
def undisturbed(name: str) -> dict[str, Any]:
    """Of a variant, on every tenth test image."""
    return result(VARIANTS[name])


SMOKE: dict[Any, list[Cell]] = {}  # by the kind of their run; one epoch runs the code that ten run
for table in tables.PAPER.tables:
    for cell in tables.PAPER.cells(table, "smoke", seeds=[0]):
        run = cell.runs[0]
        SMOKE.setdefault(kind_of(run.with_config(epochs=min(run.config.epochs, 1))), []).append(cell)


@pytest.mark.parametrize("cells", SMOKE.values(), ids=[cells[0].method for cells in SMOKE.values()])
def test_every_kind_of_run_gives_the_metrics_of_its_cells(cells: list[Cell], few_test_images: None) -> None:
    run, log = cells[0].runs[0], Log()
    metrics = tables.PAPER.function_of(run.stage)(
        run.config, seed=run.seed, device="cpu", checkpoint=Checkpoint(), log=log
    )
    assert log.data_sha256.keys() == {run.config.dataset}
    assert all(0 <= value <= 100 for value in metrics.values() if isinstance(value, float))
    assert {cell.metric for cell in cells} <= metrics.keys()


def test_another_seed_gives_another_encoder() -> None:
    losses: list[list[float]] = []
    for seed in (0, 1):
        curve: list[dict[str, Any]] = []
        result(VARIANTS["hcl, logistic probe"], seed=seed, log=Log(watch=curve.append))
        losses.append([line["loss"] for line in curve if "loss" in line])
    assert losses[0] != losses[1] and all(len(each) == 3 for each in losses)


@pytest.mark.parametrize(
    ("name", "killed_in"), [*((name, 1) for name in VARIANTS), pytest.param(SLOW_HERE, 4, marks=pytest.mark.slow)]
)
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    name: str, killed_in: int, tmp_path: Path, few_test_images: None
) -> None:
    config = VARIANTS[name]
    epochs = config.epochs + (config.probe_epochs if config.probe == "adam" else 0)

    def attempt(log: Log) -> dict[str, float]:
        return result(config, checkpoint=Checkpoint(tmp_path, log, every_seconds=0), log=log)

    resumed_epochs, metrics = killed_and_resumed(attempt, tmp_path, killed_in)
    assert resumed_epochs == list(range(killed_in, epochs))
    assert metrics == undisturbed(name)


def test_training_learns_something_that_the_untrained_encoder_does_not_know() -> None:
    config = dataclasses.replace(TINY, epochs=15, train_images=400, batch=64, loss="hcl", tau_plus=0.1, beta=1.0)
    untrained = result(dataclasses.replace(config, epochs=0))
    trained = result(config)
    assert trained["test_knn_top1_percent"] > untrained["test_knn_top1_percent"] + 3


def test_validation_metrics_say_so_and_leave_the_test_images_alone() -> None:
    config = dataclasses.replace(TINY, epochs=0, train_images=0, validation=0.2)
    data = prepare_data(config, 0, "cpu", Log())
    images = load_images("mnist5k")
    assert data.split == "validation" and len(data.train) == 2400 and len(data.test) == 600
    train = {image.numpy().tobytes() for image in images.train.images}
    assert all(image.numpy().tobytes() in train for image in data.test.images)
    metrics = {name for name, value in result(config).items() if isinstance(value, float)}
    assert metrics == {"validation_knn_top1_percent", "validation_linear_top1_percent"}


def test_a_row_keeps_a_map_of_some_test_images_of_each_class() -> None:
    made = result(dataclasses.replace(TINY, epochs=0))
    assert sorted(set(made["label"])) == list(range(10)) and len(made["label"]) == 200
    assert len(made["x"]) == len(made["y"]) == 200 and 0 < sum(made["explained"]) <= 1


def test_a_diverging_run_names_the_epoch() -> None:
    with pytest.raises(FloatingPointError, match="loss became NaN or infinite in step 2 of 4 in epoch 0"):
        result(dataclasses.replace(TINY, learning_rate=1e30))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "mnist6k"}, "unknown data set of images 'mnist6k'; there are"),
        ({"queue": 16}, "a queue of 16 keys cannot take the 32 of a batch"),
        ({"queue": 64, "mochi": (8, 8)}, "mochi is three numbers and goes with loss nt_xent"),
        ({"queue": 64, "positives": "labels"}, "a queue takes positives from the views of an image"),
        ({"positive_samples": 2}, "positive_samples above 1 are DCL's; loss is 'nt_xent'"),
        ({"loss": "triplet"}, "unknown loss 'triplet'; there are: nt_xent, dcl, hcl, bcl"),
        ({"statistics": "cifar10"}, "statistics=cifar10 are of images with 3 channels; for mnist5k use own"),
        ({"batch": 129}, "batch must be 2 to 128, the number of training images; got 129"),
        ({"temperature": -0.5}, "temperature must"),
        ({"loss": "dcl", "tau_plus": 1.0}, "tau_plus must"),
    ],
)
def test_a_bad_setting_gets_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        result(dataclasses.replace(TINY, **change))
    assert "\n" not in str(caught.value)


def test_positives_by_label_are_of_the_same_class_and_differ_from_epoch_to_epoch() -> None:
    config = VARIANTS["beta annealed, positives by label"]
    data = prepare_data(config, 0, "cpu", Log())
    first, again, later = (list(contrastive_inputs(config, data, seed=0, epoch=epoch)) for epoch in (0, 0, 1))
    for step in first + later:
        assert torch.equal(data.train.labels[step["index"]], data.train.labels[step["partner"]])
    assert torch.equal(first[0]["partner"], again[0]["partner"])
    assert not torch.equal(first[0]["partner"], first[0]["index"])


def test_a_curve_changes_nothing_but_the_row() -> None:
    with_curve = dataclasses.replace(TINY, curve_epochs=(1, 2, 3, 50))
    plain, drawn = result(TINY_WITHOUT_CURVE), result(with_curve)
    assert {name: value for name, value in drawn.items() if not name.startswith("curve")} == plain
    assert drawn["curve_epochs"] == [1, 2, 3]
    for name in ("test_knn_top1_percent", "test_linear_top1_percent"):
        assert drawn[f"curve_{name}"][-1] == plain[name] and len(drawn[f"curve_{name}"]) == 3


def test_the_first_points_of_a_longer_run_are_a_shorter_run() -> None:
    short = result(dataclasses.replace(TINY_WITHOUT_CURVE, epochs=1))
    long = result(dataclasses.replace(TINY, epochs=2, curve_epochs=(1, 2)))
    assert long["curve_test_knn_top1_percent"][0] == short["test_knn_top1_percent"]


def test_a_supervised_encoder_beats_the_untrained_one() -> None:
    config = dataclasses.replace(TINY_WITHOUT_CURVE, epochs=15, train_images=400, batch=64)
    trained = stages.supervised(config, seed=0, device="cpu", checkpoint=Checkpoint(), log=Log())
    untrained = result(dataclasses.replace(config, epochs=0))
    assert trained["test_linear_top1_percent"] > untrained["test_linear_top1_percent"] + 3
