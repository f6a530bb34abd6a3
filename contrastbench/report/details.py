"""What a paper's page shows of its tables: lines and cells, strips, and the details and charts behind a click.

They travel in the page as JSON, which ``templates/details.js`` and ``chart.js`` read.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from contrastbench.report.curves import LABELS, panel_of, panels_of
from contrastbench.report.layout import (
    MISSING,
    Grid,
    findings,
    number_text,
    numbers_text,
    plain,
    published_text,
    sample_text,
    verdict_text,
    words,
)
from contrastbench.report.style import looks
from contrastbench.runner.vocabulary import code_text
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, Row, Sample, group_by
from contrastbench.verdicts.claims import Claim
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.verdict import is_finite

LOG_TAIL = 2000  # characters kept of a failed run's last lines
MOST_FAILURES = 5  # per cell and place, in full

View = dict[str, Any]  # what the template shows of a table or a cell


def table_view(table: JoinedTable, details: Details, claims: Sequence[Claim]) -> View:
    """Lays out one table and registers its cells and curves with ``details``; without rows, says what is printed."""
    grid = Grid(table)
    common = {
        **{"table": table, "number": next(details.numbers), "grid": grid, "findings": [], "chart": None},
        "metrics": list(dict.fromkeys(cell.metric for cell in table.cells)),
        "looks": looks(cell.method for cell in table.cells),
        "measured": sum(bool(cell.best_known.done) for cell in table.cells),
        "unmatched": [f"{n.dataset} / {n.method}: {published_text(n)}" for n in table.unmatched],
    }
    if not table.has_rows:
        printed = [f"{c.dataset} / {grid.row_label(c)}: {numbers_text(c)}" for c in table.cells if c.published]
        return {**common, "lines": [], "printed": printed}

    def view(row: str, column: str, cell: JoinedCell) -> View:
        axis = (common["number"], column, cell.dataset)
        return _cell_view(cell, f"{row}, {column}", details.add_cell(cell, f"{row}, {column}", axis))

    lines = [(row, [view(row, column, cells[column]) if column in cells else None for column in grid.columns])
             for row, cells in grid.rows.items()]  # fmt: skip
    return {**common, "lines": lines, "findings": findings(table), "chart": details.add_chart(table, claims)}


def _cell_view(cell: JoinedCell, name: str, number: int) -> View:
    summary = cell.best_known.summary
    verdict = verdict_text(cell).split(" ", 1)[1]  # the word, with what a reader asks next
    samples = {"shipped": cell.shipped, "here": cell.here}
    texts = {name: sample_text(sample, cell.metric) for name, sample in samples.items()}
    texts = {"published": numbers_text(cell), **texts}
    said = "".join(f"{place} {text}, " for place, text in texts.items() if text != MISSING)
    return {
        **texts,
        "cell": cell,
        "number": number,  # of its details
        "verdict": verdict,
        "mean": number_text(summary.mean, cell.metric) if summary.n else MISSING,
        "spread": number_text(summary.sd, cell.metric) if summary.n > 1 else "",
        "trouble": _trouble(cell),  # "2 failed", "3 missing", ""
        "label": f"{name}: {said}{verdict}; details",
    }


def _trouble(cell: JoinedCell) -> str:
    sample = cell.here if cell.here else cell.shipped
    words = [f"{len(sample.failed)} failed"] if sample.failed else []
    words += [f"{sample.missing} missing"] if sample and sample.missing else []
    words += cell.best_known.marks
    return ", ".join(words)


class Details:
    """Collects the cells and charts of a page; numbers them as the template refers to them."""

    def __init__(self) -> None:
        self.cells: list[dict[str, Any]] = []
        self.charts: list[dict[str, Any]] = []
        self.places: dict[tuple[str, ...], int] = {}  # paper, table, scale, variant, protocol, metric
        self.axes: dict[tuple[Any, ...], int] = {}  # the cells of one column and data set share one
        self.origins: dict[str, int] = {}
        self.configs: dict[str, int] = {}  # as JSON; many cells share one
        self.numbers = itertools.count(1)  # of the tables

    def add_cell(self, cell: JoinedCell, name: str, axis: tuple[Any, ...]) -> int:
        verdict, said = cell.verdict, (cell.verdict.kind, cell.verdict.reason)
        place = (cell.paper, cell.table, cell.scale, cell.variant, cell.protocol, cell.metric)
        parts = {
            "name": name,
            "place": self.places.setdefault(place, len(self.places)),
            "axis": self.axes.setdefault(axis, len(self.axes)),
            "judged": _short(cell.judged.value) if cell.judged else None,
            "verdict": [*said, _short(verdict.interval), _short(verdict.difference), verdict.kind.sign],
            "published": [_published(number) for number in cell.published],
            "others": [[published_text(number), v.kind, v.reason] for number, v in cell.others],
            "here": self._sample(cell.here),
            "shipped": self._sample(cell.shipped),
            "config": self.configs.setdefault(json.dumps(cell.config), len(self.configs)),
            "settings": {name: plain(value) for name, value in cell.settings.items()},
            "cell": cell.name,
        }
        self.cells.append({part: value for part, value in parts.items() if value or value == 0})
        return len(self.cells) - 1

    def _sample(self, sample: Sample) -> dict[str, Any]:
        summary = sample.summary
        parts = {
            "seeds": [self._seed(row, sample.metric) for row in sample.done],
            "failed": [_failure(row) for row in sample.failed[:MOST_FAILURES]],
            "failures": len(sample.failed),
            "missing": sample.missing,
            "mean": _short(summary.mean) if summary.n else None,
            "sd": _short(summary.sd) if summary.n > 1 else None,
            "interval": _short(sample.interval),
        }
        return {part: value for part, value in parts.items() if value or part in ("mean", "seeds")} if sample else {}

    def _seed(self, row: Row, metric: str) -> list[Any]:
        return [row["seed"], _short(row["metrics"][metric]), row["key"][:12], _short(row["seconds"]), self._origin(row)]

    def _origin(self, row: Row) -> int:
        """The number of this commit, machine and set of packages in the list of all that occur."""
        host, packages = row.get("host") or {}, row.get("versions") or {}
        code = code_text(row.get("git") or {}, packages)
        versions = ", ".join(f"{name} {version}" for name, version in packages.items())
        text = "; ".join([code, f"{row.get('device')} on {host.get('cpu')} ({host.get('machine')})", versions])
        return self.origins.setdefault(text, len(self.origins))

    def add_chart(self, table: JoinedTable, claims: Sequence[Claim]) -> int | None:
        """Registers the table's ablation curves; None where no setting takes three values or more."""
        found = [(name, value) for cell in table.cells for name, value in cell.settings.items() if is_finite(value)]
        swept = [name for name, seen in group_by(found, itemgetter(0)).items() if len(set(seen)) >= 3]
        charts = [made for x in swept for cells in panels_of(table) if (made := _chart(cells, x, claims))]
        if not charts:
            return None
        self.charts.append({"axes": charts})
        return len(self.charts) - 1

    def as_json(self) -> dict[str, Any]:
        configs = [json.loads(text) for text in self.configs]
        known = {"places": list(self.places), "origins": list(self.origins), "configs": configs}
        return {"cells": self.cells, "charts": self.charts, **known}


def _chart(cells: Sequence[JoinedCell], x: str, claims: Sequence[Claim]) -> dict[str, Any] | None:
    """The paired curves of one data set and metric; None where no line has two measured points."""
    panel = panel_of(cells, x, claims)
    if panel.is_empty:
        return None
    lines: list[dict[str, Any]] = []
    for (name, style), means in zip(looks(panel.lines).items(), panel.means.values(), strict=True):
        seeds, printed = panel.lines[name], panel.published.get(name, {})
        points = [{"x": at, "mean": _short(mean), "interval": _short(interval),
                   "seeds": _short(list(seeds[at].values())), "published": printed.get(at)}
                  for at, (mean, interval) in means.items()]  # fmt: skip
        lines.append({"name": name, "colour": style.colour, "dash": len(lines), "points": points})
    y = words(panel.y) + (f", gain over {panel.baseline}, in pairs by seed" if panel.baseline else "")
    return {"x": x, "label": LABELS.get(x, x), "y": y, "dataset": panel.title, "lines": lines, "marks": panel.marks}


def _published(number: Published) -> dict[str, Any]:
    facts = {name: getattr(number, name) for name in ("value", "spread", "n", "margin")}
    where = [number.where, number.source, number.note]
    return {"text": published_text(number), **facts, "kind": number.spread_kind, "from": where}


def _failure(row: Row) -> list[Any]:
    error = row.get("error") or {}
    message = f"{error.get('type', row['status'])}: {error.get('message', 'no finite value of the metric')}"
    return [row["seed"], row["status"], row["key"][:12], message, str(error.get("log_tail") or "")[-LOG_TAIL:]]


def _short(value: Any) -> Any:
    """Six significant digits; lists and intervals by item."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.6g}") if isinstance(value, float) else [_short(item) for item in value]
