"""The paper hard_negatives: every table runs, runs repeat bit for bit, and an interrupted run ends as if it was not."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.hard_negatives import figures, tables
from benchmarks.hard_negatives import train as stages
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prepare import Prepared, prepared
from benchmarks.hard_negatives.schedules import alpha_step, beta_of_epoch, estimated_alpha, linear_alpha
from benchmarks.hard_negatives.steps import contrastive_inputs
from contrastbench.data.images import Split, load_images
from contrastbench.report.published import read_published
from contrastbench.runner import Checkpoint, Log, Run
from contrastbench.runner.rows import rows_shipped
from contrastbench.runner.vocabulary import SCALES

TINY = dataclasses.replace(tables.DATA_SETS["smoke"]["MNIST-5k"], epochs=3, train_images=128, batch=32)
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


@pytest.fixture(autouse=True)
def one_thread():
    """Bit for bit is promised on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def few_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth test image: these tests ask whether numbers are the same, not what they are."""

    def fewer(*arguments: Any) -> Prepared:
        data = prepared(*arguments)
        return dataclasses.replace(data, test=Split(data.test.images[::10], data.test.labels[::10]))

    monkeypatch.setattr(stages, "prepared", fewer)


def result(
    config: Config, *, seed: int = 0, checkpoint: Checkpoint | None = None, log: Log | None = None
) -> dict[str, Any]:
    return stages.train(config, seed=seed, device="cpu", checkpoint=checkpoint or Checkpoint(), log=log or Log())


def runs_of(scale: str) -> dict[str, Run]:
    return {run.key: run for table in tables.TABLES for cell in tables.cells(table, scale) for run in cell.runs}


@functools.cache
def undisturbed(name: str) -> dict[str, Any]:
    """Of a variant, on every tenth test image."""
    return result(VARIANTS[name])


@functools.cache
def smoke_metrics(run: Run) -> dict[str, Any]:
    log = Log()
    metrics = getattr(stages, run.stage)(run.config, seed=run.seed, device="cpu", checkpoint=Checkpoint(), log=log)
    assert log.data_sha256.keys() == {run.config.dataset}
    return metrics


@pytest.mark.parametrize("table", tables.TABLES)
def test_every_table_runs_at_smoke_scale(table: str, few_test_images: None) -> None:
    cells = tables.cells(table, "smoke", seeds=[0])
    assert cells
    for cell in cells:
        (run,) = cell.runs
        metrics = smoke_metrics(run)
        assert all(0 <= value <= 100 for value in metrics.values() if isinstance(value, float))
        assert cell.metric in metrics, cell.name


def test_tables_share_runs() -> None:
    main = {run.key for cell in tables.cells("main", "quick") if cell.method == "DCL" for run in cell.runs}
    beta = {run.key for cell in tables.cells("beta", "quick") if cell.settings["beta"] == 0 for run in cell.runs}
    assert beta < main
    trained = [run for run in runs_of("quick").values() if run.config.epochs]
    assert len(trained) == 176 and len(runs_of("quick")) == 182
    whole = {run.key for table in ("main", "beta") for cell in tables.cells(table, "quick") for run in cell.runs}
    assert len(whole) == 38, "what a command for the whole paper does"
    others = [name for name, table in tables.TABLES.items() if tables.cells(name, "quick") and not table.only_by_name]
    assert others == ["main", "beta"]


def test_every_scale_and_table_gives_cells_or_an_empty_list() -> None:
    for scale in SCALES:
        for table in tables.TABLES:
            for cell in tables.cells(table, scale):
                assert {run.scale for run in cell.runs} == {scale}
    assert [table for table in tables.TABLES if not tables.cells(table, "quick")] == [
        "length",
        "variants",
        "copy",
        "early",
        "photographs",
    ]
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
def test_the_same_seed_gives_the_same_metrics(name: str, few_test_images: None) -> None:
    assert result(VARIANTS[name]) == undisturbed(name)


def test_another_seed_gives_another_encoder() -> None:
    losses: list[list[float]] = []
    for seed in (0, 1):
        curve: list[dict[str, Any]] = []
        result(VARIANTS["hcl, logistic probe"], seed=seed, log=Log(watch=curve.append))
        losses.append([line["loss"] for line in curve if "loss" in line])
    assert losses[0] != losses[1] and all(len(each) == 3 for each in losses)


class KilledError(Exception):
    """Stands for a kill at an epoch's end."""


@pytest.mark.parametrize(
    ("name", "killed_in"), [*((name, 1) for name in VARIANTS), ("bf16, probe in training mode", 4)]
)
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    name: str, killed_in: int, tmp_path: Path, few_test_images: None
) -> None:
    config = VARIANTS[name]
    epochs = config.epochs + (config.probe_epochs if config.probe == "adam" else 0)

    def kill(line: dict[str, Any]) -> None:
        if line.get("epoch") == killed_in:
            raise KilledError

    def attempt(watch: Any) -> dict[str, float]:
        log = Log(tmp_path, watch)
        return result(config, checkpoint=Checkpoint(tmp_path, log, every_seconds=0), log=log)

    with pytest.raises(KilledError):
        attempt(kill)
    assert (tmp_path / "checkpoint.pt").exists()
    resumed_epochs: list[int] = []
    metrics = attempt(lambda line: resumed_epochs.extend([line["epoch"]] if "epoch" in line else []))
    assert resumed_epochs == list(range(killed_in, epochs))
    assert metrics == undisturbed(name)


def test_training_learns_something_that_the_untrained_encoder_does_not_know() -> None:
    config = dataclasses.replace(TINY, epochs=15, train_images=400, batch=64, loss="hcl", tau_plus=0.1, beta=1.0)
    untrained = result(dataclasses.replace(config, epochs=0))
    trained = result(config)
    assert trained["test_knn_top1_percent"] > untrained["test_knn_top1_percent"] + 3


def test_validation_metrics_say_so_and_leave_the_test_images_alone() -> None:
    config = dataclasses.replace(TINY, epochs=0, train_images=0, validation=0.2)
    data = prepared(config, 0, "cpu", Log())
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
        ({"queue": 16}, "a queue of 16 keys cannot take the 32 of a batch"),
        ({"queue": 64, "mochi": (8, 8)}, "mochi is three numbers and goes with loss nt_xent"),
        ({"queue": 64, "positives": "labels"}, "a queue takes positives from the views of an image"),
        ({"positive_samples": 2}, "positive_samples above 1 are DCL's; loss is 'nt_xent'"),
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


def test_beta_falls_as_the_papers_code_has_it() -> None:
    """The code's loop, line by line (image/main.py: nine values, the first step keeps beta)."""
    config = Config(loss="hcl", beta=2.0, anneal="as_code", epochs=400)
    values, beta = iter(np.linspace(2.0, 0, 9)), 2.0
    for epoch in range(1, 401):
        assert beta_of_epoch(config, epoch - 1) == pytest.approx(beta)
        if epoch % int(400 / 9) == 0:
            beta = next(values)
    assert [beta_of_epoch(config, epoch) for epoch in (0, 87, 88, 395, 396)] == [2.0, 2.0, 1.75, 0.25, 0.0]


def test_beta_falls_in_nine_equal_segments_as_the_paper_says() -> None:
    config = Config(loss="hcl", beta=1.0, anneal="as_paper", epochs=90)
    betas = [beta_of_epoch(config, epoch) for epoch in range(90)]
    assert betas[0] == 1.0 and betas[-1] == 0.0
    assert [betas.count(value) for value in dict.fromkeys(betas)] == [10] * 9
    assert beta_of_epoch(dataclasses.replace(config, anneal="none"), 50) == 1.0


def test_alpha_rises_every_twenty_epochs_of_four_hundred() -> None:
    config = Config(loss="bcl", alpha=0.9, beta=0.9, alpha_from="linear", epochs=400)
    expected = np.linspace(0.501, 0.9, 20)
    assert [linear_alpha(config, epoch) for epoch in (0, 19, 20, 399)] == pytest.approx(list(expected[[0, 0, 1, 19]]))
    assert {alpha_step(dataclasses.replace(config, epochs=3), epoch) for epoch in range(3)} == {0, 6, 13}


def test_estimated_alpha_is_the_mean_area_under_the_curve() -> None:
    from sklearn.metrics import roc_auc_score

    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (60,), generator=rng)
    bank = torch.randn(60, 5, generator=rng) + torch.eye(3, 5)[labels]
    cosine = torch.nn.functional.normalize(bank[:20], dim=1) @ torch.nn.functional.normalize(bank, dim=1).T
    same = labels[:20, None] == labels
    theirs = np.mean([roc_auc_score(same[i], cosine[i]) for i in range(20)])
    assert estimated_alpha(bank[:20], labels[:20], bank, labels) == pytest.approx(theirs)
    assert theirs > 0.6


def test_positives_by_label_are_of_the_same_class_and_differ_from_epoch_to_epoch() -> None:
    config = VARIANTS["beta annealed, positives by label"]
    data = prepared(config, 0, "cpu", Log())
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


def test_paper_and_lite_scale_are_the_protocols_that_the_readme_describes() -> None:
    lite = tables.DATA_SETS["lite"]["CIFAR10"]
    assert (lite.encoder, lite.precision, lite.epochs, lite.batch, lite.train_images) == (
        "resnet18",
        "bf16",
        100,
        256,
        0,
    )
    paper = tables.DATA_SETS["paper"]
    assert list(paper) == ["CIFAR10", "CIFAR100", "STL10", "TinyImageNet"]
    assert all((each.encoder, each.epochs, each.train_images) == ("resnet50", 400, 0) for each in paper.values())


def test_every_run_of_a_table_with_published_numbers_is_at_paper_scale() -> None:
    for table in tables.TABLES:
        if table not in ("length", "early", "photographs"):  # questions of ours
            assert tables.cells(table, "paper"), table


def row_of(run: Run, metrics: dict[str, Any]) -> dict[str, Any]:
    """What the figures read of a row."""
    numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
    series = {name: value for name, value in metrics.items() if isinstance(value, list)}
    labels = {name: getattr(run, name) for name in ("stage", "scale", "variant", "dataset", "method", "seed")}
    return {**labels, "config": run.identity["config"], "metrics": numbers, "series": series}


def test_the_gain_over_the_length_is_paired_by_seed_and_comes_from_the_curves() -> None:
    runs = [run for cell in tables.cells("main", "lite") if cell.metric == tables.KNN for run in cell.runs]
    rows = []
    for run in (run for run in runs if run.dataset == "CIFAR10" and run.config.epochs and run.stage == "train"):
        gain = {"SimCLR": 0.0, "DCL": 1.0, "HCL": 2.0, "BCL": 3.0}[run.method]
        values = [40.0 + run.seed + gain, 50.0 + 2 * run.seed + 2 * gain]
        curve = {"curve_epochs": [10, 100], f"curve_{tables.KNN}": values}
        rows.append(row_of(run, {tables.KNN: values[-1], **curve}))
    gains = figures.gains_over_simclr(rows, tables.KNN)
    assert gains["HCL beta=1"] == {10: [2.0] * 3, 100: [4.0] * 3} and gains["BCL"][10] == [3.0] * 3
    (other,) = [row for row in rows if row["method"] == "HCL" and row["seed"] == 0]
    config = {**other["config"], "tau_plus": 0.01}
    rows.append({**other, "config": config, "metrics": {tables.KNN: 99.0}, "series": {}})
    (drawn,) = figures._protocols(rows).values()
    assert figures.gains_over_simclr(drawn, tables.KNN) == gains, "another table's run is not taken for HCL's"
    figure = figures.figure_length(rows)
    assert figure is not None and "gain over SimCLR" in figure.axes[0].get_ylabel()
    assert figures.figure_length([row for row in rows if row["method"] != "SimCLR"]) is None


def test_the_shipped_rows_of_an_h100_are_the_runs_that_early_declares() -> None:
    declared = {run.key for cell in tables.cells("early", "lite") for run in cell.runs}
    shipped = rows_shipped(Path(tables.__file__).parents[2] / "results", "hard_negatives")
    assert declared == {row["key"] for row in shipped if "H100" in row["device"]} and len(declared) == 33
