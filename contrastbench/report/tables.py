"""Lays a joined table out as a sheet of texts, which ``formats`` prints; or as CSV, one line a cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contrastbench.report.findings import findings, summary
from contrastbench.report.layout import (
    SIGNS,
    Grid,
    number_text,
    numbers_text,
    published_text,
    sample_text,
    verdict_text,
)
from contrastbench.report.spreadsheet import csv_of
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, Sample
from contrastbench.verdicts.comparisons import counterpart, gain_in_pairs
from contrastbench.verdicts.statistics import Interval

LAYOUTS = ("auto", "long", "grid", "brief")
PLACES = ("shipped", "here")
SIGNS_SAID = f"{SIGNS['not comparable']} not comparable, {SIGNS['not run']} not run."
VERDICTS_SAID = "; ".join(f"{SIGNS[kind]} {kind}" for kind in ("reproduced", "differs", "undecided", "not comparable"))
UNCONFIRMED = "*"


@dataclass(frozen=True)
class Line:
    texts: tuple[str, ...]
    kinds: tuple[str, ...] = ()  # per text the verdict that colours it; empty where none does
    ends_group: bool = False  # a rule may follow


@dataclass(frozen=True)
class Sheet:
    """A table as texts: a title, a header, lines, and the notes below."""

    title: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    labels: int = 2  # leading columns that name the line; the rest are numbers


def sheet(
    table: JoinedTable, layout: str = "auto", *, places: tuple[str, ...] = PLACES, analysis: bool = True
) -> Sheet:
    """Lays out one table.

    Args:
        layout: "long" has one line a cell with columns published | shipped | here | verdict; "grid" is the paper's
            own grid, each method on several lines; "auto" takes "grid" where that has two columns or more; "brief" has
            one line a method and only the columns with a finished run, the paper's number beside ours where it has one.
        places: whose rows are shown, "shipped", "here" or both.
        analysis: adds order of methods, gains and paired comparisons as notes.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; possible: {', '.join(LAYOUTS)}")
    grid = Grid(table)
    title = f"{table.paper} / {table.name} ({grid.kind}): {table.table.title}"
    notes = (*_notes(table), *(findings(table) if analysis else ()))
    if layout == "brief":
        return _brief(table, grid, title)
    names = ("published", *places, "verdict")
    if layout == "grid" or (layout == "auto" and len(grid.columns) > 1):
        lines = tuple(_grid_lines(grid, names))
        return Sheet(title, (grid.axis_rows, "", *grid.columns), lines, (SIGNS_SAID, *notes))
    return Sheet(title, (grid.axis_rows, grid.axis_columns, *names), tuple(_long_lines(grid, names)), notes)


def _brief(table: JoinedTable, grid: Grid, title: str) -> Sheet:
    measured = [c for c in grid.columns if any(c in row and row[c].best_known.done for row in grid.rows.values())]
    lines = [
        Line((label, *(_brief_text(row[column], table) if column in row else "" for column in measured)))
        for label, row in grid.rows.items()
    ]
    notes = ["Ours: mean ± sd (seeds)."]
    if any(cell.judged for cell in table.cells):
        notes = [f"{notes[0]} In brackets the published numbers, and the verdict on the first: {VERDICTS_SAID}."]
    if any(UNCONFIRMED in text for line in lines for text in line.texts):
        notes += [f"{UNCONFIRMED} not confirmed, so not judged."]
    if any("by seed" in text for line in lines for text in line.texts):
        baselines = {cell.baseline for cell in table.cells}
        other = baselines.pop() if len(baselines) == 1 else "the row's baseline"
        notes += [f"By seed: the difference to {other} over the seeds that both have, where n differs."]
    notes += [*_what_would_decide(grid), *_data_marks(table)]
    return Sheet(title, (grid.axis_rows, *measured), tuple(lines), (*notes, *summary(table)), labels=1)


def _brief_text(cell: JoinedCell, table: JoinedTable) -> str:
    ours = sample_text(cell.best_known, cell.metric) + _difference_text(cell, table)
    if not cell.judged:
        return ours
    printed = (published_text(number, UNCONFIRMED) for number in (cell.judged, *(number for number, _ in cell.others)))
    verdict = SIGNS[cell.verdict.kind] + (f" {cell.verdict.hint}" if cell.verdict.kind == "differs" else "")
    return f"{ours} [{', '.join(dict.fromkeys(printed))} {verdict}]"


def _what_would_decide(grid: Grid) -> list[str]:
    hints = [
        f"{label}, {column}: {cell.verdict.hint}"
        for label, row in grid.rows.items()
        for column, cell in row.items()
        if cell.verdict.kind == "undecided" and cell.verdict.hint
    ]
    return [f"What would decide the undecided: {'; '.join(hints)}."] if hints else []


def _difference_text(cell: JoinedCell, table: JoinedTable) -> str:
    """The paired difference to the baseline where means of other seeds mislead: the two have other numbers of seeds."""
    alike = [c for c in table.cells if (c.dataset, c.metric) == (cell.dataset, cell.metric)]
    baseline = counterpart(cell, cell.baseline, alike)
    if baseline is None or len(cell.best_known.done) == len(baseline.best_known.done):
        return ""
    if cell.deterministic or baseline.deterministic:  # one number is that of every seed
        return ""
    pairs = gain_in_pairs(cell, baseline)
    return f"; by seed {'+' if pairs.mean > 0 else ''}{number_text(pairs.mean, cell.metric)}" if pairs.n > 1 else ""


def _long_lines(grid: Grid, names: tuple[str, ...]) -> Iterable[Line]:
    for row, cells in grid.rows.items():
        for number, (column, cell) in enumerate(cells.items(), start=1):
            texts = (row, column, *(cell_text(cell, name) for name in names))
            yield Line(texts, ("",) * (len(texts) - 1) + (cell.verdict.kind,), number == len(cells))


def _grid_lines(grid: Grid, names: tuple[str, ...]) -> Iterable[Line]:
    """A line for each of ``names``; a method without any published number has no line for it."""
    for row, cells in grid.rows.items():
        kinds = ("", "", *(cells[column].verdict.kind if column in cells else "" for column in grid.columns))
        shown = [name for name in names if name != "published" or any(cell.judged for cell in cells.values())]
        for name in shown:
            words = (_grid_text(cells[column], name) if column in cells else "" for column in grid.columns)
            last = name == "verdict"
            yield Line((row if name == shown[0] else "", name, *words), kinds if last else (), last)


def _grid_text(cell: JoinedCell, name: str) -> str:
    """As ``cell_text``, but where nothing was judged the sign alone: the columns of a grid are narrow."""
    quiet = name == "verdict" and cell.verdict.kind in ("not comparable", "not run")
    return SIGNS[cell.verdict.kind] if quiet else cell_text(cell, name)


def cell_text(cell: JoinedCell, name: str) -> str:
    """What a table says about a cell under ``published``, ``shipped``, ``here`` or ``verdict``."""
    if name == "published":
        return numbers_text(cell)
    return verdict_text(cell) if name == "verdict" else sample_text(getattr(cell, name), cell.metric)


def _notes(table: JoinedTable) -> list[str]:
    metrics = list(dict.fromkeys(cell.metric for cell in table.cells))
    notes = [f"Measured: mean ± sd (number of seeds) of {', '.join(metrics)}. Published: as printed."]
    if table.scale != "paper":
        notes.append(f"At {table.scale} scale nothing is judged against the paper.")
    notes += _data_marks(table)
    if table.unmatched:
        places = ", ".join(f"{n.dataset}/{n.method} {published_text(n)}" for n in table.unmatched[:5])
        more = f" and {len(table.unmatched) - 5} more" if len(table.unmatched) > 5 else ""
        notes.append(f"Published and not measured: {places}{more}.")
    return notes


def _data_marks(table: JoinedTable) -> list[str]:
    """One note for each mark of the data that numbers were measured on, with the cells that it stands for."""
    measured = [cell for cell in table.cells if cell.best_known.done]
    marks = dict.fromkeys(mark for cell in measured for mark in cell.best_known.marks)
    notes = []
    for mark in marks:
        names = list(dict.fromkeys(cell.name for cell in measured if mark in cell.best_known.marks))
        every = len(names) == len({cell.name for cell in measured})
        notes.append(f"{mark}: {'every measured number' if every else ', '.join(names)}.")
    return notes


CSV_HEADER = (
    *("paper", "table", "scale", "dataset", "method", "metric", "settings", "variant", "protocol"),
    *("published", "published_spread", "published_spread_kind", "published_n", "confirmed", "margin"),
    *("shipped_mean", "shipped_sd", "shipped_n", "shipped_low", "shipped_high"),
    *("here_mean", "here_sd", "here_n", "here_low", "here_high", "failed", "missing"),
    *("verdict", "reason", "difference", "difference_low", "difference_high", "seeds_needed", "seeds_needed_most"),
)


def csv_text(tables: Iterable[JoinedTable]) -> str:
    """Every cell on one line at full precision; an empty field is a value that does not exist."""
    return csv_of([CSV_HEADER, *(_csv_line(table, cell) for table in tables for cell in table.cells)])


def _csv_line(table: JoinedTable, cell: JoinedCell) -> list[object]:
    settings = ";".join(f"{name}={value}" for name, value in cell.settings.items())
    number, verdict = cell.judged, cell.verdict
    printed = [""] * 6
    if number:
        known = "yes" if number.confirmed else "no"
        printed = [number.value, number.spread, number.spread_kind, number.n, known, number.margin]  # type: ignore[list-item]
    return [
        *(cell.paper, cell.table, cell.scale, cell.dataset, cell.method, cell.metric, settings),
        *(cell.variant, cell.protocol, *printed),
        *_csv_sample(cell.shipped),
        *_csv_sample(cell.here),
        *(len(cell.best_known.failed or cell.here.failed), cell.here.missing),
        *(verdict.kind, verdict.reason, verdict.difference, *_csv_interval(verdict.interval)),
        *(verdict.seeds_needed or ("", "")),
    ]


def _csv_sample(sample: Sample) -> list[object]:
    if not sample.done:
        return ["", "", 0, "", ""]
    sd = sample.summary.sd if sample.summary.n > 1 else ""
    return [sample.summary.mean, sd, sample.summary.n, *_csv_interval(sample.interval)]


def _csv_interval(interval: Interval | None) -> tuple[object, object]:
    return interval if interval is not None else ("", "")
