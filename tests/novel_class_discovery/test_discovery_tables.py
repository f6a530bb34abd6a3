"""Novel class discovery: every chain of every table runs, tables share their runs, figures follow from rows."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.novel_class_discovery import figures, tables
from benchmarks.novel_class_discovery.tables import EVERYWHERE, PAPER
from contrastbench.cli.app import Folders
from contrastbench.cli.planning import planned_runs
from contrastbench.runner import Run
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.rows import read_row
from contrastbench.runner.states import write_ticket
from contrastbench.runner.vocabulary import SCALES, chain
from contrastbench.selection import read_targets, select

AT_QUICK_ALONE = {"photographs", "photographs_k", "photographs_30", "questions"}
pytestmark = pytest.mark.usefixtures("few_digits")


def done(run: Run, folder: Path, rows: dict[str, Any]) -> None:
    """Does the run after all that it needs, as the runner would."""
    for key, each in chain([run]).items():
        if key not in rows:
            execute(write_ticket(each, folder, []), Host())
            rows[key] = read_row(folder / each.paper / key / "row.json")


def test_every_table_runs_at_smoke_scale(tmp_path: Path) -> None:
    rows: dict[str, Any] = {}
    for table in PAPER.tables:
        cells = PAPER.cells(table, "smoke", seeds=[0])
        assert cells
        for cell in cells:
            (run,) = cell.runs
            done(run, tmp_path, rows)
            row = rows[run.key]
            assert row["status"] == "done", row["error"]
            assert cell.metric in row["metrics"], cell.name
            assert row["data"].keys() == {"mnist5k"}
            percents = [value for name, value in row["metrics"].items() if name.endswith("accuracy_percent")]
            assert all(0 <= value <= 100 for value in percents)
    drawn = {name for name, draw in figures.FIGURES.items() if draw(list(rows.values()))}
    assert drawn == {*figures.FIGURES}
    assert all(draw([]) is None for draw in figures.FIGURES.values())


def test_methods_share_the_first_two_stages_of_their_seed() -> None:
    runs = chain(run for cell in PAPER.cells("main", "quick") for run in cell.runs).values()
    by_stage = {stage: [run for run in runs if run.stage == stage] for stage in ("pretrain", "supervise", "discover")}
    assert [len(each) for each in by_stage.values()] == [5, 5, 25]
    assert all(run.needs["supervise"].seed == run.seed for run in by_stage["discover"])


def test_one_checkpoint_for_all_seeds_is_seed_0s() -> None:
    found = [cell for cell in PAPER.cells("shared", "lite") if cell.metric == tables.TRAIN]
    (cell,) = [cell for cell in found if "one checkpoint" in cell.method]
    assert {run.needs["supervise"].seed for run in cell.runs} == {0}
    assert [run.seed for run in cell.runs] == [0, 1, 2]


def test_every_table_has_cells_at_every_scale() -> None:
    for scale in SCALES:
        for table in PAPER.tables:
            made = PAPER.cells(table, scale)
            if table in AT_QUICK_ALONE and scale in ("lite", "paper"):
                assert not made  # main and k are of photographs there
                continue
            assert made and {run.scale for cell in made for run in cell.runs} == {scale}
    assert all(run.protocol == "clean" for cell in PAPER.cells("main", "quick") for run in cell.runs)


def test_a_whole_quick_run_has_the_comparison_and_the_curve_over_k() -> None:
    whole, one = select("novel_class_discovery", "quick"), select("novel_class_discovery/alpha", "quick")
    assert {table for table, _ in whole.cells()} == {"main", "k"}
    assert {table for table, _ in one.cells()} == {"alpha"}
    assert {*whole.tables_left_out()} == {*PAPER.tables} - {"main", "k"}
    of_all_scales = {*PAPER.tables} - AT_QUICK_ALONE
    at_paper = select("novel_class_discovery", "paper")
    assert {table for table, _ in at_paper.cells()} == of_all_scales and at_paper.tables_left_out() == []


def test_a_status_has_the_tables_that_are_run_by_name(tmp_path: Path) -> None:
    asked, folders = read_targets(["novel_class_discovery"], "quick"), Folders(tmp_path, tmp_path)
    every_table = planned_runs(asked, folders, every_table=True)
    assert {table for each in planned_runs(asked, folders) for table, _ in each.cells} == {"main", "k"}
    assert {table for each in every_table for table, _ in each.cells} == {*PAPER.tables}


def test_photographs_are_set_beside_the_digits_of_main_and_k() -> None:
    """The same runs of the digits, and as many seeds of the same methods on a fifth of CIFAR-10."""
    for table, other in (("photographs", "main"), ("photographs_k", "k")):
        cells = PAPER.cells(table, "quick")
        digits, photographs = (
            {cell.method: cell for cell in cells if cell.dataset.startswith(name) and cell.metric == tables.TRAIN}
            for name in ("MNIST-5k", "CIFAR-10")
        )
        shared = {run.key for cell in PAPER.cells(other, "quick") for run in cell.runs}
        assert {run.key for cell in digits.values() if "stage 1" not in cell.method for run in cell.runs} <= shared
        assert len(digits) == len(photographs) and {len(cell.runs) for cell in photographs.values()} == {5}
        runs = chain(run for cell in photographs.values() for run in cell.runs).values()
        assert {(run.config.dataset, run.config.train_images) for run in runs} == {("cifar10", 10_000)}


def test_the_curve_over_k_has_the_published_choice() -> None:
    for scale in SCALES:
        for protocol in (on.base for on in EVERYWHERE[scale] if scale != "smoke"):
            assert protocol.published_k in protocol.ks and protocol.discover.neighbours == protocol.published_k
