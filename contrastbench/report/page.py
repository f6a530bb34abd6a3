"""What the HTML page shows of a table: its texts for the template, and its cells and curves as JSON for the scripts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from contrastbench.report.cells import JoinedCell, JoinedTable, Row, Sample, grouped
from contrastbench.report.comparisons import findings
from contrastbench.report.curves import LABELS, line_name, panels_of
from contrastbench.report.layout import (
    MISSING,
    SIGNS,
    Grid,
    number_text,
    numbers_text,
    plain,
    published_text,
    sample_text,
    verdict_text,
    words,
)
from contrastbench.report.published import Published
from contrastbench.report.style import look, looks
from contrastbench.report.svg import Axis, axis_of, strip
from contrastbench.report.verdict import is_finite

LOG_TAIL = 2000  # characters kept of a failed run's last lines
MOST_FAILURES = 5  # per cell and place, in full


View = dict[str, Any]  # what the template shows of a table, a line or a cell


def table_view(table: JoinedTable, details: Details) -> View:
    """Lays out one table and registers its cells and its curves with ``details``."""
    grid = Grid(table)
    # The strips of one column and one data set share an axis.
    places = grouped(table.cells, lambda cell: (grid.column_label(cell), cell.dataset))
    axes = {place: axis_of(cells) for place, cells in places.items()}
    rows = [_row_view(label, grid, axes, details) for label in grid.rows]
    return {
        "number": details.next_table(),
        "paper": table.paper,
        "name": table.name,
        "scale": table.scale,
        "kind": grid.kind,  # the scale, and variant and protocol where all cells share them
        "question": table.table.title,
        "axis_rows": grid.axis_rows,
        "columns": grid.columns,
        "rows": rows,
        "metrics": list(dict.fromkeys(cell.metric for cell in table.cells)),
        "findings": findings(table),
        "measured": sum(bool(cell.best_known.done) for cell in table.cells),
        "of": len(table.cells),
        "chart": details.add_chart(table),
        "unmatched": [f"{n.dataset} / {n.method}: {published_text(n)}" for n in table.unmatched],
    }


def _row_view(label: str, grid: Grid, axes: dict[tuple[str, str], Axis | None], details: Details) -> View:
    cells = grid.rows[label]
    first = next(iter(cells.values()))
    views = [
        _cell_view(cell, f"{label}, {column}", axes[column, cell.dataset], details)
        if (cell := cells.get(column))
        else None
        for column in grid.columns
    ]
    return {"label": label, "colour": look(first.method).colour, "cells": views}


def _cell_view(cell: JoinedCell, name: str, axis: Axis | None, details: Details) -> View:
    sample = cell.best_known
    verdict = verdict_text(cell).split(" ", 1)[1]  # the word, with what a reader asks next
    here, shipped = (sample_text(each, cell.metric) for each in (cell.here, cell.shipped))
    published = numbers_text(cell)
    return {
        "number": details.add_cell(cell, name),  # of its details
        "kind": cell.verdict.kind,
        "sign": SIGNS[cell.verdict.kind],
        "verdict": verdict,
        "reason": cell.verdict.reason,
        "published": published,
        "shipped": shipped,
        "here": here,
        "mean": number_text(sample.summary.mean, cell.metric) if sample.done else MISSING,
        "spread": number_text(sample.summary.sd, cell.metric) if sample.summary.n > 1 else "",
        "origin": "here" if cell.here.done else ("shipped" if cell.shipped.done else ""),
        "trouble": _trouble(cell),  # "2 failed", "3 missing", ""
        "value": _sort_values(cell),
        "strip": strip(cell, axis),
        "label": f"{name}: published {published}, shipped {shipped}, here {here}, {verdict}. Show seeds and settings.",
    }


def _trouble(cell: JoinedCell) -> str:
    sample = cell.here if cell.here else cell.shipped
    words = [f"{len(sample.failed)} failed"] if sample.failed else []
    words += [f"{sample.missing} missing"] if sample and sample.missing else []
    words += cell.best_known.marks
    return ", ".join(words)


def _sort_values(cell: JoinedCell) -> dict[str, float | None]:
    means = {name: s.summary.mean if s.done else None for name, s in (("here", cell.here), ("shipped", cell.shipped))}
    best = cell.best_known.summary.mean if cell.best_known.done else None
    return {**means, "mean": best, "published": cell.judged.value if cell.judged else None}


class Details:
    """Collects the cells and charts of a page; numbers them as the template refers to them."""

    def __init__(self) -> None:
        self.cells: list[dict[str, Any]] = []
        self.charts: list[dict[str, Any]] = []
        self.origins: dict[str, int] = {}
        self.tables = 0

    def next_table(self) -> int:
        self.tables += 1
        return self.tables

    def add_cell(self, cell: JoinedCell, name: str) -> int:
        verdict = cell.verdict
        self.cells.append(
            {
                "name": name,
                "place": [cell.paper, cell.table, cell.scale],
                "kinds": [cell.variant, cell.protocol],
                "metric": cell.metric,
                "better": cell.better,
                "verdict": [verdict.kind, verdict.reason, _short(verdict.interval), _short(verdict.difference)],
                "published": [_published(number) for number in cell.published],
                "others": [[published_text(number), v.kind, v.reason] for number, v in cell.others],
                "here": self._sample(cell.here),
                "shipped": self._sample(cell.shipped),
                "config": cell.config,
                "settings": {name: plain(value) for name, value in cell.settings.items()},
                "command": cell.command,
            }
        )
        return len(self.cells) - 1

    def _sample(self, sample: Sample) -> dict[str, Any] | None:
        if not sample:
            return None
        summary = sample.summary
        return {
            "seeds": [self._seed(row, sample.metric) for row in sample.done],
            "failed": [_failure(row) for row in sample.failed[:MOST_FAILURES]],
            "failures": len(sample.failed),
            "missing": sample.missing,
            "mean": _short(summary.mean) if summary.n else None,
            "sd": _short(summary.sd) if summary.n > 1 else None,
            "interval": _short(sample.interval),
        }

    def _seed(self, row: Row, metric: str) -> list[Any]:
        return [row["seed"], _short(row["metrics"][metric]), row["key"][:12], _short(row["seconds"]), self._origin(row)]

    def _origin(self, row: Row) -> int:
        """The number of this commit, machine and set of packages in the list of all that occur."""
        git, host = row.get("git") or {}, row.get("host") or {}
        commit = f"commit {str(git.get('commit'))[:10]}" + (" with local changes" if git.get("dirty") else "")
        versions = ", ".join(f"{name} {version}" for name, version in (row.get("versions") or {}).items())
        text = "; ".join([commit, f"{row.get('device')} on {host.get('cpu')} ({host.get('machine')})", versions])
        return self.origins.setdefault(text, len(self.origins))

    def add_chart(self, table: JoinedTable) -> int | None:
        """Registers the table's ablation curves; None where no setting takes three values or more."""
        values: dict[str, set[float]] = defaultdict(set)
        for cell in table.cells:
            for name, value in cell.settings.items():
                if is_finite(value):
                    values[name].add(float(value))
        swept = [name for name, seen in values.items() if len(seen) >= 3]
        charts = [made for x in swept for cells in panels_of(table) if (made := _chart(cells, x))]
        if not charts:
            return None
        self.charts.append({"axes": charts, "title": table.table.title})
        return len(self.charts) - 1

    def as_json(self) -> dict[str, Any]:
        return {"cells": self.cells, "charts": self.charts, "origins": list(self.origins)}


def _chart(cells: Sequence[JoinedCell], x: str) -> dict[str, Any] | None:
    """The curves of one data set and metric; None where no line has two measured points."""
    lines: dict[str, list[Any]] = defaultdict(list)
    for cell in cells:
        if is_finite(cell.settings.get(x)) and (cell.best_known.done or cell.judged):
            lines[line_name(cell, x, cells)].append(_point(cell, x))
    if not any(sum(point["mean"] is not None for point in points) > 1 for points in lines.values()):
        return None
    drawn: list[dict[str, Any]] = []
    for name, style in looks(lines).items():
        alike = sum(line["colour"] == style.colour for line in drawn)  # a line of the same colour is dashed otherwise
        points = sorted(lines[name], key=lambda point: point["x"])
        drawn.append({"name": name, "colour": style.colour, "dash": alike, "points": points})
    return {"x": x, "label": LABELS.get(x, x), "y": words(cells[0].metric), "dataset": cells[0].dataset, "lines": drawn}


def _point(cell: JoinedCell, x: str) -> dict[str, Any]:
    sample = cell.best_known
    number = cell.judged if not cell.ambiguous else None
    return {
        "x": float(cell.settings[x]),
        "mean": _short(sample.summary.mean) if sample.done else None,
        "interval": _short(sample.interval),
        "seeds": [_short(value) for value in sample.values],
        "published": number.value if number else None,
    }


def _published(number: Published) -> dict[str, Any]:
    return {
        "text": published_text(number),
        "value": number.value,
        "spread": number.spread,
        "kind": number.spread_kind,
        "n": number.n,
        "margin": number.margin,
        "confirmed": number.confirmed,
        "from": [number.where, number.source, number.note],
    }


def _failure(row: Row) -> list[Any]:
    error = row.get("error") or {}
    message = f"{error.get('type', row['status'])}: {error.get('message', 'no finite value of the metric')}"
    return [row["seed"], row["status"], row["key"][:12], message, str(error.get("log_tail") or "")[-LOG_TAIL:]]


def _short(value: Any) -> Any:
    """Six significant digits; lists and intervals by item."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.6g}") if isinstance(value, float) else [_short(item) for item in value]


def script_json(value: Any) -> Markup:
    """JSON for a script element: no sign in it can end the element or start another."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # no markup is left in it
