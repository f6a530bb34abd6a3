"""Finished runs for people and notebooks: rows made here and rows shipped, filtered, as a pandas table.

import contrastbench
rows = contrastbench.results("graph_contrastive/beta", dataset="MUTAG", scale="paper")
rows.groupby("config.beta")["test_svm_accuracy_percent"].agg(["mean", "std", "count"])
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastbench.runner import code
from contrastbench.runner.provenance import PROJECT, home
from contrastbench.runner.rows import Row, rows_shipped, run_folders, sort_key
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import setting_text
from contrastbench.selection import Selection, read_targets

if TYPE_CHECKING:
    import pandas

ORIGINS = ("best", "here", "shipped", "both")
LABELS = ("paper", "scale", "stage", "dataset", "method", "variant", "protocol", "seed", "status")


def results(
    target: str | None = None,
    *,
    dataset: str = "",
    method: str = "",
    scale: str = "",
    status: str = "done",
    seeds: Iterable[int] = (),
    settings: Mapping[str, Any] | None = None,
    origin: str = "best",
    runs_folder: str | os.PathLike[str] | None = None,
    results_folder: str | os.PathLike[str] | None = None,
) -> pandas.DataFrame:
    """The rows of finished runs, one line each.

    Args:
        target: ``PAPER[/TABLE[/CELL]]``; every paper if not given.
        dataset, method: names or patterns with ``*``; a method also stands for its runs with ``--set``.
        status: "done", "failed", ...; "" is every status.
        settings: values of config fields, e.g. ``{"beta": [0.5, 1]}``.
        origin: "best" takes the row made here where there is one, else the shipped one; "here", "shipped" or "both".
        runs_folder, results_folder: where rows are read; ``CONTRASTBENCH_RUNS`` and ``CONTRASTBENCH_RESULTS``, else the
            project's own, if not given.

    Returns:
        Columns ``key``, ``origin``, the labels (paper, scale, dataset, method, seed, ...), ``config.NAME`` for each
        field of the config, one column for each metric, and ``seconds`` and ``device``.

    Raises:
        ValueError: an unknown target or origin; the message lists what there is.
    """
    import pandas

    texts = {name: setting_text(value) for name, value in (settings or {}).items()}
    asked = read_targets(target and [target], scale, seeds, texts, dataset=dataset, method=method).selections
    runs = Path(runs_folder or os.environ.get("CONTRASTBENCH_RUNS") or home() / "runs")
    shipped = Path(results_folder or os.environ.get("CONTRASTBENCH_RESULTS") or PROJECT / "results")
    found = find(asked, origin, runs, shipped, warnings.warn, status)
    return pandas.DataFrame([flat(place, row) for place, row in found])


def find(
    selections: Iterable[Selection],
    origin: str,
    runs: Path,
    shipped: Path,
    problem: Callable[[str], object],
    status: str = "",
    note: Callable[[str], object] | None = None,
) -> list[tuple[str, Row]]:
    """(origin, row) pairs of the selections, sorted; a row that cannot be read is told to ``problem`` and left out.

    Args:
        status: only rows with it; "" is every status.
        note: told of rows that other code than now has made; ``problem`` if not given.
    """
    if origin not in ORIGINS:
        raise ValueError(f"unknown origin {origin!r}; there are: {', '.join(ORIGINS)}")
    found: list[tuple[str, Row]] = []
    for selection in selections:
        name = selection.paper.name
        here = [] if origin == "shipped" else list(_rows_here(runs, name, problem))
        made = {row["key"] for row in here} if origin == "best" else set()
        sent = [] if origin == "here" else [row for row in rows_shipped(shipped, name) if row["key"] not in made]
        rows = [*(("here", row) for row in here), *(("shipped", row) for row in sent)]
        fitting = [(place, row) for place, row in rows if selection.holds(row) and status in ("", row["status"])]
        changed = code.rows_of_other_code(here, runs)
        for line in code.describe({row["key"]: changed[row["key"]] for _, row in fitting if row["key"] in changed}):
            (note or problem)(f"{name}: {line}")
        found += fitting
    return sorted(found, key=lambda pair: (*sort_key(pair[1]), pair[0]))


def _rows_here(runs: Path, paper: str, problem: Callable[[str], object]) -> Iterator[Row]:
    for folder in run_folders(runs, paper):
        state = state_of(folder)
        if state.problem:
            problem(state.problem)
        if state.row:
            yield state.row


def flat(origin: str, row: Row) -> dict[str, Any]:
    """A row as one flat line."""
    return {
        "key": row["key"],
        "origin": origin,
        **{name: row[name] for name in LABELS},
        **{f"config.{name}": value for name, value in row["config"].items()},
        **row["metrics"],
        "seconds": row["seconds"],
        "device": row["device"],
    }
