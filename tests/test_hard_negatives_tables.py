"""What the paper hard_negatives declares: its tables, the schedules of beta and alpha, and the figure of lengths."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.hard_negatives import figures, tables
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prices import IMAGES, expected_seconds
from benchmarks.hard_negatives.schedules import alpha_step, beta_of_epoch, estimated_alpha, linear_alpha
from contrastbench.cli import planning
from contrastbench.data import catalogue
from contrastbench.runner import Run
from contrastbench.runner.plan import Expected, plan_runs
from contrastbench.runner.rows import rows_shipped
from contrastbench.runner.vocabulary import SCALES

PAPER = tables.PAPER
PHOTOGRAPHS = [name for name in PAPER.tables if name.startswith("photographs")]


def runs_of(scale: str) -> dict[str, Run]:
    return {run.key: run for table in PAPER.tables for cell in PAPER.cells(table, scale) for run in cell.runs}


def test_tables_share_runs() -> None:
    main = {run.key for cell in PAPER.cells("main", "quick") if cell.method == "DCL" for run in cell.runs}
    beta = {run.key for cell in PAPER.cells("beta", "quick") if cell.settings["beta"] == 0 for run in cell.runs}
    assert beta == main
    trained = [run for run in runs_of("quick").values() if run.config.epochs]
    assert len(trained) == 184 and len(runs_of("quick")) == 190
    whole = {run.key for table in ("main", "beta") for cell in PAPER.cells(table, "quick") for run in cell.runs}
    assert len(whole) == 46, "what a command for the whole paper does"
    others = [name for name, table in PAPER.tables.items() if PAPER.cells(name, "quick") and not table.only_by_name]
    assert others == ["main", "beta"]


def test_every_scale_and_table_gives_cells_or_an_empty_list() -> None:
    for scale in SCALES:
        for table in PAPER.tables:
            for cell in PAPER.cells(table, scale):
                assert {run.scale for run in cell.runs} == {scale}
    assert [table for table in PAPER.tables if not PAPER.cells(table, "quick")] == [
        "length",
        "variants",
        "copy",
        "early",
        *PHOTOGRAPHS,
    ]
    assert len(PAPER.cells("main", "quick", seeds=[7])[-1].runs) == 1


def test_quick_runs_choose_nothing_on_test_images() -> None:
    for run in runs_of("quick").values():
        assert run.protocol == "clean" and run.config.validation == 0


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


def test_paper_and_lite_scale_are_the_protocols_that_the_readme_describes() -> None:
    lite = tables.LITE
    assert (lite.encoder, lite.precision, lite.epochs, lite.batch, lite.train_images) == (
        "resnet18",
        "bf16",
        100,
        256,
        0,
    )
    paper = {on.dataset: on.base for on in tables.EVERYWHERE["paper"]}
    assert list(paper) == ["CIFAR10", "CIFAR100", "STL10", "TinyImageNet"]
    assert all((each.encoder, each.epochs, each.train_images) == ("resnet50", 400, 0) for each in paper.values())


def test_every_run_of_a_table_with_published_numbers_is_at_paper_scale() -> None:
    for table in PAPER.tables:
        if table not in ("length", "early", *PHOTOGRAPHS):  # questions of ours
            assert PAPER.cells(table, "paper"), table


def row_of(run: Run, metrics: dict[str, Any]) -> dict[str, Any]:
    """What the figures read of a row."""
    numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
    series = {name: value for name, value in metrics.items() if isinstance(value, list)}
    labels = {name: getattr(run, name) for name in ("stage", "scale", "variant", "dataset", "method", "seed")}
    return {**labels, "config": run.identity["config"], "metrics": numbers, "series": series}


def test_the_gain_over_the_length_is_paired_by_seed_and_comes_from_the_curves() -> None:
    runs = [run for cell in PAPER.cells("main", "lite") if cell.metric == tables.KNN for run in cell.runs]
    rows = []
    for run in (run for run in runs if run.dataset == "CIFAR10" and run.config.epochs and run.stage == "train"):
        gain = {"SimCLR": 0.0, "DCL": 1.0, "HCL": 2.0, "BCL": 3.0}[run.method]
        values = [40.0 + run.seed + gain, 50.0 + 2 * run.seed + 2 * gain]
        curve = {"curve_epochs": [10, 100], f"curve_{tables.KNN}": values}
        rows.append(row_of(run, {tables.KNN: values[-1], **curve}))
    gains = figures.gains_over_simclr(rows, tables.KNN)
    assert gains["HCL beta=1"] == {10: dict.fromkeys(range(3), 2.0), 100: dict.fromkeys(range(3), 4.0)}
    assert gains["BCL"][10] == dict.fromkeys(range(3), 3.0)
    (other,) = [row for row in rows if row["method"] == "HCL" and row["seed"] == 0]
    config = {**other["config"], "tau_plus": 0.01}
    rows.append({**other, "config": config, "metrics": {tables.KNN: 99.0}, "series": {}})
    rows.append({**other, "config": {**other["config"], "temperature": 0.1}})
    (drawn,) = figures._protocols(rows).values()
    assert figures.gains_over_simclr(drawn, tables.KNN) == gains, "another table's run is not taken for HCL's"
    figure = figures.figure_length(rows)
    assert figure is not None and "gain over SimCLR" in figure.axes[0].get_ylabel()
    assert figures.figure_length([row for row in rows if row["method"] != "SimCLR"]) is None


def test_the_shipped_rows_of_an_h100_are_the_runs_that_early_declares() -> None:
    declared = {run.key for cell in PAPER.cells("early", "lite") for run in cell.runs}
    shipped = rows_shipped(Path(tables.__file__).parents[2] / "results", "hard_negatives")
    assert declared == {row["key"] for row in shipped if "H100" in row["device"]} and len(declared) == 33


SPEED = """contender,milliseconds,encoder,precision,batch,device,threads
published,9000,resnet18,float32,16,cpu (A),1
eager,1600,resnet18,bf16,16,cpu (A),1
eager,800,resnet18,bf16,64,cpu (A),2
captured,10,resnet18,bf16,256,GPU B,4
eager,99,resnet18,bf16,256,GPU B,4
"""


def test_runs_that_none_was_like_are_priced_by_the_time_of_a_step(tmp_path: Path, monkeypatch) -> None:
    """A hundred epochs of 50,000 images, and seven times, after 1, 2, 5, ... 100, 60,000 forward: a sixth of a step."""
    (tmp_path / "hard_negatives").mkdir()
    (tmp_path / "hard_negatives" / "speed.csv").write_text(SPEED)
    monkeypatch.setattr(planning, "device_kind", lambda device: "cpu (A)")
    runs = {
        run.method: run for cell in PAPER.cells("main", "lite", [0]) for run in cell.runs if run.dataset == "CIFAR10"
    }
    planned = plan_runs(runs.values(), {}, tmp_path / "runs")
    told = planning.prices(planned, "cpu", tmp_path)
    images = {"SimCLR": 100 * 50_000 + 7 * 10_000, "untrained": 10_000, "supervised": 100 * 25_000 + 10_000}
    for method, number in images.items():
        price = told[runs[method].key]
        assert isinstance(price, Expected) and price.device == "cpu (A)"
        assert price.seconds == pytest.approx(number * 2 * 0.8 / 64), "batch 64 is more like 256 than 16; two cores"
    on_gpu = expected_seconds(runs["HCL"], tmp_path / "hard_negatives")
    assert on_gpu["GPU B"] == pytest.approx(images["SimCLR"] * 0.010 / 256), "of the captured step"
    own = runs["HCL"].with_config(dataset="flowers@64")
    assert expected_seconds(own, tmp_path / "hard_negatives") == {}, "nobody knows how many pictures that is"
    paper = next(run for cell in PAPER.cells("main", "paper", [0]) for run in cell.runs if run.config.epochs)
    assert expected_seconds(paper, tmp_path / "hard_negatives") == {}, "ResNet-50 was not timed"
    assert expected_seconds(paper, tmp_path / "nowhere") == {}


def test_the_sizes_that_prices_count_with_are_the_catalogues() -> None:
    for name, (everything, labelled, tested) in IMAGES.items():
        size = catalogue.DATA_SETS[name].size
        assert size.startswith(f"{labelled:,} + {tested:,} images"), name
        assert everything == labelled or f"{everything - labelled:,} unlabelled" in size, name
