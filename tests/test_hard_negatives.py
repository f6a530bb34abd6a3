"""The paper hard_negatives: every table runs, runs repeat bit for bit, and an interrupted run ends as if it was not."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.hard_negatives import tables
from benchmarks.hard_negatives import train as stages
from benchmarks.hard_negatives.config import Config
from contrastbench.data.images import load_images
from contrastbench.report.published import read_published
from contrastbench.runner import Checkpoint, Log, Run
from contrastbench.runner.vocabulary import SCALES

TINY = dataclasses.replace(tables.DATA_SETS["smoke"]["MNIST-5k"], epochs=3, train_images=128, batch=32)
VARIANTS = {
    "hcl, logistic probe": dataclasses.replace(TINY, loss="hcl", tau_plus=0.1, beta=1.0),
    "bf16, probe in training mode": dataclasses.replace(
        TINY, precision="bf16", probe="adam", probe_batchnorm="train", probe_epochs=3
    ),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Bit for bit is promised on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def result(
    config: Config, *, seed: int = 0, checkpoint: Checkpoint | None = None, log: Log | None = None
) -> dict[str, Any]:
    return stages.train(config, seed=seed, device="cpu", checkpoint=checkpoint or Checkpoint(), log=log or Log())


def runs_of(scale: str) -> dict[str, Run]:
    return {run.key: run for table in tables.TABLES for cell in tables.cells(table, scale) for run in cell.runs}


def test_every_table_runs_at_smoke_scale() -> None:
    seen: set[str] = set()
    for table in tables.TABLES:
        cells = tables.cells(table, "smoke", seeds=[0])
        assert cells
        for cell in cells:
            (run,) = cell.runs
            if run.key not in seen:
                log = Log()
                metrics = getattr(stages, run.stage)(run.config, seed=0, device="cpu", checkpoint=Checkpoint(), log=log)
                assert log.data_sha256.keys() == {"mnist5k"}
                assert all(0 <= value <= 100 for value in metrics.values() if isinstance(value, float))
                seen.add(run.key)
            assert cell.metric in metrics, cell.name


def test_tables_share_runs() -> None:
    main = {run.key for cell in tables.cells("main", "quick") if cell.method == "DCL" for run in cell.runs}
    beta = {run.key for cell in tables.cells("beta", "quick") if cell.settings["beta"] == 0 for run in cell.runs}
    assert beta < main
    trained = [run for run in runs_of("quick").values() if run.config.epochs]
    assert len(trained) == 32 and len(runs_of("quick")) == 38


def test_every_scale_and_table_gives_cells_or_an_empty_list() -> None:
    for scale in SCALES:
        for table in tables.TABLES:
            for cell in tables.cells(table, scale):
                assert {run.scale for run in cell.runs} == {scale}
    assert tables.cells("variants", "quick") == []
    assert len(tables.cells("main", "quick", seeds=[7])[-1].runs) == 1


def test_quick_runs_choose_nothing_on_test_images() -> None:
    for run in runs_of("quick").values():
        assert run.protocol == "clean" and run.config.validation == 0


def test_published_numbers_belong_to_cells_or_to_no_table_of_ours() -> None:
    places = {
        (table, cell.dataset, cell.method, cell.metric)
        for table in tables.TABLES
        for cell in tables.cells(table, "paper")
    }
    numbers = read_published(Path(tables.__file__).with_name("published.csv"))
    assert len(numbers) > 100
    assert all(number.place in places for number in numbers if number.table in tables.TABLES)
    confirmed = {number.place for number in numbers if number.confirmed and number.table in tables.TABLES}
    assert len(confirmed) > 10


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_seed_gives_the_same_metrics(name: str) -> None:
    assert result(VARIANTS[name]) == result(VARIANTS[name])


def test_another_seed_gives_another_encoder() -> None:
    losses: list[list[float]] = []
    for seed in (0, 1):
        curve: list[dict[str, Any]] = []
        result(VARIANTS["hcl, logistic probe"], seed=seed, log=Log(watch=curve.append))
        losses.append([line["loss"] for line in curve])
    assert losses[0] != losses[1] and all(len(each) == 3 for each in losses)


class KilledError(Exception):
    """Stands for a kill at an epoch's end."""


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("killed_in", [1, 2, 4])
def test_an_interrupted_run_ends_as_an_undisturbed_one(name: str, killed_in: int, tmp_path: Path) -> None:
    config = VARIANTS[name]
    epochs = config.epochs + (config.probe_epochs if config.probe == "adam" else 0)
    if killed_in >= epochs:
        pytest.skip("this run has no such epoch")

    def kill(line: dict[str, Any]) -> None:
        if line["epoch"] == killed_in:
            raise KilledError

    def attempt(watch: Any) -> dict[str, float]:
        log = Log(tmp_path, watch)
        return result(config, checkpoint=Checkpoint(tmp_path, log, every_seconds=0), log=log)

    with pytest.raises(KilledError):
        attempt(kill)
    assert (tmp_path / "checkpoint.pt").exists()
    resumed_epochs: list[int] = []
    metrics = attempt(lambda line: resumed_epochs.append(line["epoch"]))
    assert resumed_epochs == list(range(killed_in, epochs))
    assert metrics == result(config)


def test_training_learns_something_that_the_untrained_encoder_does_not_know() -> None:
    config = dataclasses.replace(TINY, epochs=15, train_images=400, batch=64, loss="hcl", tau_plus=0.1, beta=1.0)
    untrained = result(dataclasses.replace(config, epochs=0))
    trained = result(config)
    assert trained["test_knn_top1_percent"] > untrained["test_knn_top1_percent"] + 3


def test_validation_metrics_say_so_and_leave_the_test_images_alone() -> None:
    config = dataclasses.replace(TINY, epochs=0, train_images=0, validation=0.2)
    data = stages.prepared(config, 0, "cpu", Log())
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
        ({"dataset": "mnist6k"}, "unknown data set of images 'mnist6k'; there are: mnist5k"),
        ({"encoder": "vgg"}, "unknown encoder 'vgg'; hard_negatives has: small_resnet, resnet18, resnet50"),
        ({"loss": "triplet"}, "unknown loss 'triplet'; there are: nt_xent, dcl, hcl, bcl"),
        ({"augmentation": "none"}, "unknown augmentation 'none'; hard_negatives has: natural, digits"),
        ({"precision": "int8"}, "unknown precision 'int8'; hard_negatives has: float32, bf16"),
        ({"probe": "svm"}, "unknown probe 'svm'; hard_negatives has: adam, logistic"),
        ({"statistics": "cifar10"}, "statistics 'cifar10' are for 3 channels; mnist5k needs 'own'"),
        ({"batch": 129}, "batch must be 2 to 128, the number of training images; got 129"),
        ({"temperature": -0.5}, "temperature must"),
        ({"loss": "dcl", "tau_plus": 1.0}, "tau_plus must"),
    ],
)
def test_a_bad_setting_gets_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        result(dataclasses.replace(TINY, **change))
    assert "\n" not in str(caught.value)
