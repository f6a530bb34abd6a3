"""Figures of whole tables: dot plots against the published numbers, and the gap between two protocols.

Each function returns a matplotlib ``Figure``, or None where there is nothing to draw; ``style.save`` writes it.
"""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrastbench.report.layout import Grid, words
from contrastbench.report.style import INK, Look, looks, new_figure, new_panels, styled
from contrastbench.verdicts.cells import JoinedCell, JoinedTable


def comparison(table: JoinedTable) -> Figure | None:
    """A dot plot: a panel per dataset and metric; per method the mean with its interval, and the published number."""
    grid = Grid(table, by_dataset=True)
    rows = [row for row, cells in grid.rows.items() if any(c.best_known.done or c.judged for c in cells.values())]
    columns = [column for column in grid.columns if _says_something(grid, column)]
    if not rows or not columns:
        return None
    styles, longest = looks(rows), max(map(len, rows))

    def size(columns: int, lines: int) -> tuple[float, float]:
        return 0.6 + 0.075 * longest + 2.4 * columns, 0.5 + lines * (0.7 + 0.3 * len(rows))

    with styled():
        figure, panels = new_panels(len(columns), 4, size, sharey=True)
        for panel, column in zip(panels, columns, strict=True):
            for place, row in enumerate(rows):
                if cell := grid.rows[row].get(column):
                    _draw_dot(panel, place, cell, styles[row])
            panel.set_title(textwrap.fill(column, 28))
            panel.set_yticks(range(len(rows)), rows)
            panel.set_ylim(len(rows) - 0.4, -0.6)
        if len({cell.metric for cell in table.cells}) == 1:  # else the panels' titles say it
            figure.supxlabel(words(table.cells[0].metric), fontsize=9)
        _key(figure)
    return figure


def _says_something(grid: Grid, column: str) -> bool:
    """Whether some number of the column is not zero."""
    cells = [row[column] for row in grid.rows.values() if column in row]
    return any(cell.judged or any(cell.best_known.values) for cell in cells)


def _draw_dot(axes: Any, place: int, cell: JoinedCell, style: Look) -> None:
    """Published above, shipped in the middle, here below; seeds are ticks, in one path to keep the file small."""
    if number := cell.judged:
        above, spread = place - 0.2, number.spread or 0.0
        axes.plot([number.value - spread, number.value + spread], [above, above], color=INK, alpha=0.6, linewidth=1)
        face = "none" if number.confirmed else "#bbbbbb"
        axes.plot(number.value, above, marker="D", markersize=5, markerfacecolor=face, markeredgecolor=INK)
    for sample, shift, alpha in ((cell.shipped, 0.0, 0.45), (cell.here, 0.2, 1.0)):
        if not sample.done:
            continue
        level = place + shift
        if sample is cell.best_known:
            ticks = [point for value in sample.values for point in (value, value, math.nan)]
            axes.plot(
                ticks, [level - 0.13, level + 0.13, math.nan] * len(sample.values), color=style.colour, linewidth=0.8
            )
        if interval := sample.interval:
            axes.plot(interval, [level, level], color=style.colour, alpha=alpha)
        axes.plot(sample.summary.mean, level, marker=style.marker, color=style.colour, alpha=alpha)


def _key(figure: Figure) -> None:
    handles = [
        Line2D([], [], marker="D", linestyle="", color=INK, markerfacecolor="none", label="published ± its spread"),
        Line2D([], [], marker="o", color=INK, alpha=0.45, label="shipped, 95 % interval"),
        Line2D([], [], marker="o", color=INK, label="here, 95 % interval"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3)


def protocol_gap(table: JoinedTable) -> Figure | None:
    """What the leaks are worth: each method's mean under the published protocol joined to that under the clean one.

    None where no method was measured under both.
    """
    pairs: dict[tuple[str, str], dict[str, JoinedCell]] = defaultdict(dict)
    for cell in table.cells:
        if cell.best_known.done and cell.metric == table.cells[0].metric:
            pairs[without_protocol(cell), cell.dataset][cell.protocol] = cell
    both = {name: pair for name, pair in pairs.items() if len(pair) == 2}
    if not both:
        return None
    styles = looks(method for method, _ in both)
    with styled():
        longest = max(len(method) + len(dataset) for method, dataset in both)
        figure, axes = new_figure(4.6 + 0.075 * longest, 0.9 + 0.32 * len(both))
        for place, ((method, _), pair) in enumerate(both.items()):
            _draw_gap(axes, place, pair, styles[method])
        axes.set_yticks(range(len(both)), [f"{method}, {dataset}" for method, dataset in both])
        axes.set_ylim(len(both) - 0.5, -0.5)
        axes.margins(x=0.12)
        axes.set_xlabel(f"{words(table.cells[0].metric)}: published protocol (filled) against clean (open)")
    return figure


def without_protocol(cell: JoinedCell) -> str:
    """The method's name where it says the protocol itself: ``InfoGraph, clean`` is InfoGraph."""
    return cell.method.removesuffix(f", {cell.protocol}").removesuffix(f" ({cell.protocol})")


def _draw_gap(axes: Any, place: int, pair: Mapping[str, JoinedCell], style: Look) -> None:
    means = [pair[protocol].best_known.summary.mean for protocol in ("published", "clean")]
    axes.plot(means, [place, place], color=style.colour, alpha=0.5)
    for mean, face in zip(means, (style.colour, "none"), strict=True):
        axes.plot(mean, place, marker="o", color=style.colour, markerfacecolor=face, markersize=7)
    axes.annotate(f"{means[0] - means[1]:+.2f}", (max(means), place), (8, -3), textcoords="offset points")
