"""What the HTML page shows of a table: texts, sort values and strips, ready for the template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from contrastbench.report.findings import findings
from contrastbench.report.join import JoinedCell, JoinedTable
from contrastbench.report.layout import MISSING, SIGNS, Grid, number_text, published_text, sample_text, verdict_text
from contrastbench.report.page_data import Details
from contrastbench.report.style import look
from contrastbench.report.svg import Axis, axis_of, strip

__all__ = ["SIGNS", "CellView", "RowView", "TableView", "table_view"]


@dataclass(frozen=True)
class CellView:
    number: int  # of its details
    kind: str
    sign: str
    verdict: str  # the word, with what a reader asks next
    reason: str
    published: str
    shipped: str
    here: str
    mean: str  # of the best known rows; "–" where there are none
    spread: str
    origin: str  # "here", "shipped" or ""
    trouble: str  # "2 failed", "3 missing", ""
    sort: dict[str, float | None]
    strip: Markup
    label: str  # for screen readers


@dataclass(frozen=True)
class RowView:
    label: str
    colour: str
    cells: list[CellView | None]


@dataclass(frozen=True)
class TableView:
    number: int
    paper: str
    name: str
    scale: str
    kind: str  # the scale, and variant and protocol where all cells share them
    question: str
    axis_rows: str
    columns: list[str]
    rows: list[RowView]
    metrics: list[str]
    findings: list[str]
    measured: int  # cells with a finished run
    count: int
    chart: int | None
    unmatched: list[str]

    @property
    def flat(self) -> bool:
        return len(self.columns) == 1


def table_view(table: JoinedTable, details: Details) -> TableView:
    """Lays out one table and registers its cells and its curves with ``details``."""
    grid = Grid(table)
    axes = {place: axis_of(cells) for place, cells in _places(grid).items()}
    rows = [_row_view(label, grid, axes, details) for label in grid.rows]
    return TableView(
        number=details.next_table(),
        paper=table.paper,
        name=table.name,
        scale=table.scale,
        kind=grid.kind,
        question=table.table.title,
        axis_rows=grid.axis_rows,
        columns=grid.columns,
        rows=rows,
        metrics=list(dict.fromkeys(cell.metric for cell in table.cells)),
        findings=findings(table),
        measured=sum(bool(cell.best_known.done) for cell in table.cells),
        count=len(table.cells),
        chart=details.add_chart(table),
        unmatched=[f"{n.dataset} / {n.method}: {published_text(n)}" for n in table.unmatched],
    )


def _places(grid: Grid) -> dict[tuple[str, str], list[JoinedCell]]:
    """The cells whose strips share an axis: those of one column and one data set."""
    places: dict[tuple[str, str], list[JoinedCell]] = defaultdict(list)
    for cells in grid.rows.values():
        for column, cell in cells.items():
            places[column, cell.dataset].append(cell)
    return places


def _row_view(label: str, grid: Grid, axes: dict[tuple[str, str], Axis | None], details: Details) -> RowView:
    cells = grid.rows[label]
    first = next(iter(cells.values()))
    views: Sequence[CellView | None] = [
        _cell_view(cell, f"{label}, {column}", axes[column, cell.dataset], details)
        if (cell := cells.get(column))
        else None
        for column in grid.columns
    ]
    return RowView(label, look(first.method).colour, list(views))


def _cell_view(cell: JoinedCell, name: str, axis: Axis | None, details: Details) -> CellView:
    sample = cell.best_known
    verdict = verdict_text(cell.verdict).split(" ", 1)[1]
    mean = number_text(sample.summary.mean, cell.metric) if sample.done else MISSING
    here, shipped, published = (
        sample_text(cell.here, cell.metric),
        sample_text(cell.shipped, cell.metric),
        published_text(cell.judged),
    )
    return CellView(
        number=details.add_cell(cell, name),
        kind=cell.verdict.kind,
        sign=SIGNS[cell.verdict.kind],
        verdict=verdict,
        reason=cell.verdict.reason,
        published=published,
        shipped=shipped,
        here=here,
        mean=mean,
        spread=number_text(sample.summary.sd, cell.metric) if sample.summary.n > 1 else "",
        origin="here" if cell.here.done else ("shipped" if cell.shipped.done else ""),
        trouble=_trouble(cell),
        sort=_sort_values(cell),
        strip=strip(cell, axis),
        label=f"{name}: published {published}, shipped {shipped}, here {here}, {verdict}. Show seeds and settings.",
    )


def _trouble(cell: JoinedCell) -> str:
    sample = cell.here if cell.here else cell.shipped
    words = [f"{len(sample.failed)} failed"] if sample.failed else []
    words += [f"{sample.missing} missing"] if sample and sample.missing else []
    return ", ".join(words)


def _sort_values(cell: JoinedCell) -> dict[str, float | None]:
    means = {name: s.summary.mean if s.done else None for name, s in (("here", cell.here), ("shipped", cell.shipped))}
    best = cell.best_known.summary.mean if cell.best_known.done else None
    return {**means, "mean": best, "published": cell.judged.value if cell.judged else None}
