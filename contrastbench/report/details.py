"""What a paper's page shows of its tables: lines and cells, strips, and the details and charts behind a click.

They travel in the page as JSON, which ``templates/details.js`` and ``chart.js`` read.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from markupsafe import Markup

from contrastbench.report.curves import FEWEST, LABELS, panel_of, panels_of
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
from contrastbench.verdicts.statistics import summarise, t_interval
from contrastbench.verdicts.verdict import is_finite

LOG_TAIL = 2000  # characters kept of a failed run's last lines
MOST_FAILURES = 5  # per cell and place, in full
WIDTH, HEIGHT = 116, 16  # of a strip: the small picture of seeds, interval and published number in a cell
PAD = 5  # room for half a mark at either end of it

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
    # The strips of one column and one data set share an axis.
    places = group_by(table.cells, lambda cell: (grid.column_label(cell), cell.dataset))
    axes = {place: axis_of(cells) for place, cells in places.items()}

    def cell_view(row: str, column: str) -> View | None:
        cell = grid.rows[row].get(column)
        return _cell_view(cell, f"{row}, {column}", axes[column, cell.dataset], details) if cell else None

    lines = [(row, [cell_view(row, column) for column in grid.columns]) for row in grid.rows]
    return {**common, "lines": lines, "findings": findings(table), "chart": details.add_chart(table, claims)}


def _cell_view(cell: JoinedCell, name: str, axis: Axis | None, details: Details) -> View:
    summary = cell.best_known.summary
    verdict = verdict_text(cell).split(" ", 1)[1]  # the word, with what a reader asks next
    samples = {"shipped": cell.shipped, "here": cell.here}
    texts = {name: sample_text(sample, cell.metric) for name, sample in samples.items()}
    texts = {"published": numbers_text(cell), **texts}
    said = "".join(f"{place} {text}, " for place, text in texts.items() if text != MISSING)
    return {
        **texts,
        "cell": cell,
        "number": details.add_cell(cell, name),  # of its details
        "verdict": verdict,
        "strip": strip(cell, axis),
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


class Axis(NamedTuple):
    low: float
    high: float

    def place(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span > 0 else 0.5
        return round(PAD + share * (WIDTH - 2 * PAD), 1)


def axis_of(cells: Sequence[JoinedCell]) -> Axis | None:
    """The range that one column's strips share; None where there is nothing to draw."""
    values: list[float] = []
    for cell in cells:
        for sample in (cell.here, cell.shipped):
            values += sample.values
            values += [end for end in sample.interval or () if cell.best_known is sample]
        values += [cell.judged.value] if cell.judged else []
    return Axis(min(values), max(values)) if values else None


def strip(cell: JoinedCell, axis: Axis | None) -> Markup:
    """Seeds as dots, the 95 % interval as a bar, the published number as a diamond; decoration, hidden from readers."""
    sample = cell.best_known
    if axis is None or not (sample.done or cell.judged):
        return Markup("")
    middle = HEIGHT // 2
    parts = []
    if sample.interval:
        low, high = (min(max(axis.place(end), 0), WIDTH) for end in sample.interval)
        parts.append(f'<path class="interval" d="M{low:g} {middle}H{max(high, low + 1):g}"/>')
    dots = "".join(f"M{axis.place(value):g} {middle}h0" for value in sample.values[:50])
    parts.append(f'<path class="seeds" d="{dots}"/>' if dots else "")
    if sample.done:
        parts.append(f'<circle class="centre" cx="{axis.place(sample.summary.mean):g}" cy="{middle}" r="3"/>')
    if cell.judged:
        x = axis.place(cell.judged.value)
        parts.append(f'<path class="printed" d="M{x:g} 2l5 6l-5 6l-5 -6z"/>')
    head = f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'  # page.css knows its size
    return Markup(head + "".join(parts) + "</svg>")  # numbers only


class Details:
    """Collects the cells and charts of a page; numbers them as the template refers to them."""

    def __init__(self) -> None:
        self.cells: list[dict[str, Any]] = []
        self.charts: list[dict[str, Any]] = []
        self.places: dict[tuple[str, ...], int] = {}  # paper, table, scale, variant, protocol, metric
        self.origins: dict[str, int] = {}
        self.configs: dict[str, int] = {}  # as JSON; many cells share one
        self.numbers = itertools.count(1)  # of the tables

    def add_cell(self, cell: JoinedCell, name: str) -> int:
        verdict, said = cell.verdict, (cell.verdict.kind, cell.verdict.reason)
        place = (cell.paper, cell.table, cell.scale, cell.variant, cell.protocol, cell.metric)
        parts = {
            "name": name,
            "place": self.places.setdefault(place, len(self.places)),
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
    lines = []
    for number, (name, style) in enumerate(looks(panel.lines).items()):
        printed = panel.published.get(name, {})
        points = [_point(at, list(seeds.values()), printed.get(at)) for at, seeds in panel.lines[name].items()]
        lines.append({"name": name, "colour": style.colour, "dash": number, "points": points})
    y = words(panel.y) + (f", gain over {panel.baseline}, in pairs by seed" if panel.baseline else "")
    return {"x": x, "label": LABELS.get(x, x), "y": y, "dataset": panel.title, "lines": lines, "marks": panel.marks}


def _point(at: float, values: Sequence[float], published: float | None) -> dict[str, Any]:
    summary = summarise(values)
    interval = t_interval(summary) if summary.n >= FEWEST else None
    facts = {"x": at, "mean": _short(summary.mean), "interval": _short(interval)}
    return {**facts, "seeds": _short(values), "published": published}


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
