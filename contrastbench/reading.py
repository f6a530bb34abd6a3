"""Finished runs for people and notebooks: rows made here and rows shipped, filtered, as a pandas table.

import contrastbench
rows = contrastbench.results("graph_contrastive/beta", dataset="MUTAG", scale="paper")
rows.groupby("config.beta")["test_svm_accuracy_percent"].agg(["mean", "std", "count"])
"""

from __future__ import annotations

import fnmatch
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastbench import papers
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.rows import Row, rows_shipped, run_folders, sort_key
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import canonical_json

if TYPE_CHECKING:
    import pandas

ORIGINS = ("best", "here", "shipped", "both")
LABELS = ("paper", "scale", "stage", "dataset", "method", "variant", "protocol", "seed", "status")


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted; what is left empty chooses nothing out."""

    dataset: str = ""  # a name, or a pattern such as "IMDB-*"
    method: str = ""  # the same; "HCL" also stands for "HCL [temperature=0.2]"
    scale: str = ""
    status: str = ""
    seeds: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)  # config field -> value, or a list of values

    def wants(self, row: Row) -> bool:
        named = (
            _fits(row["dataset"], self.dataset)
            and (_fits(row["method"], self.method) or _fits(row["method"].split(" [")[0], self.method))
            and self.scale in ("", row["scale"])
            and self.status in ("", row["status"])
            and (not self.seeds or row["seed"] in self.seeds)
        )
        return named and all(_has(row["config"], name, value) for name, value in self.settings.items())


def _fits(name: str, pattern: str) -> bool:
    return not pattern or name == pattern or fnmatch.fnmatchcase(name, pattern)


def _has(config: Mapping[str, Any], name: str, wanted: Any) -> bool:
    if name not in config:
        return False
    values = wanted if isinstance(wanted, (list, set, frozenset)) else [wanted]
    return any(_same(config[name], value) for value in values)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return ",".join(map(str, value)) == (wanted if isinstance(wanted, str) else ",".join(map(str, wanted)))
    try:
        return float(value) == float(wanted) and not isinstance(value, bool)
    except (TypeError, ValueError):
        return str(value).lower() == str(wanted).lower()


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

    wanted = Filter(dataset, method, scale, status, tuple(seeds), settings or {})
    found = find(target, wanted, origin, *folders(runs_folder, results_folder), warnings.warn)
    return pandas.DataFrame([flat(place, row) for place, row in found])


def folders(
    runs_folder: str | os.PathLike[str] | None, results_folder: str | os.PathLike[str] | None
) -> tuple[Path, Path]:
    runs = runs_folder or os.environ.get("CONTRASTBENCH_RUNS") or PROJECT / "runs"
    shipped = results_folder or os.environ.get("CONTRASTBENCH_RESULTS") or PROJECT / "results"
    return Path(runs), Path(shipped)


def find(
    target: str | None, wanted: Filter, origin: str, runs: Path, shipped: Path, problem: Callable[[str], object]
) -> list[tuple[str, Row]]:
    """(origin, row) pairs that fit, sorted; a row that cannot be read is told to ``problem`` and left out."""
    if origin not in ORIGINS:
        raise ValueError(f"unknown origin {origin!r}; there are: {', '.join(ORIGINS)}")
    selections = [papers.select(target)] if target else [papers.select(name) for name in papers.names()]
    found: list[tuple[str, Row]] = []
    for selection in selections:
        name = selection.paper.name
        here = [] if origin == "shipped" else list(_rows_here(runs, name, problem))
        made = {row["key"] for row in here} if origin == "best" else set()
        sent = [] if origin == "here" else [row for row in rows_shipped(shipped, name) if row["key"] not in made]
        rows = [*(("here", row) for row in here), *(("shipped", row) for row in sent)]
        members = Members(selection)
        found += [(place, row) for place, row in rows if members.holds(row) and wanted.wants(row)]
    return sorted(found, key=lambda pair: (*sort_key(pair[1]), pair[0]))


def _rows_here(runs: Path, paper: str, problem: Callable[[str], object]) -> Iterator[Row]:
    for folder in run_folders(runs, paper):
        state = state_of(folder)
        if state.problem:
            problem(state.problem)
        if state.row:
            yield state.row


class Members:
    """Tells the runs of a selection: those that its cells declare, under any seed, and what ``--set`` made of them.

    Rows and tickets alike know their config, and the table and cell that they were first asked for by.
    """

    def __init__(self, selection: papers.Selection) -> None:
        self.selection = selection
        self.whole = len(selection.tables) == len(selection.paper.tables) and selection.cell is None
        declared = [] if self.whole else [pair for scale in papers.SCALES for pair in self._cells(scale)]
        self.kinds = {_kind(run.identity) for _, cell in declared for run in cell.runs}

    def _cells(self, scale: str) -> list[tuple[str, Any]]:
        pairs = [(table, cell) for table in self.selection.tables for cell in self.selection.paper.cells(table, scale)]
        return [(table, cell) for table, cell in pairs if self.selection.names(cell.name, cell.dataset, cell.method)]

    def holds(self, row: Row) -> bool:
        return (
            self.whole
            or _kind(row) in self.kinds
            or any(
                table in self.selection.tables and self.selection.names(cell, row["dataset"], row["method"])
                for table, cell in row["cells"]
            )
        )


def _kind(identity: Mapping[str, Any]) -> str:
    """All that decides a run but its seed and the runs that it needs."""
    names = ("paper", "stage", "scale", "variant", "protocol", "protocol_version", "config")
    return canonical_json([identity[name] for name in names])


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
