"""Curves over a setting: mean, 95 % t-interval and every seed, with the published numbers as open diamonds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from contrastbench.report.layout import words
from contrastbench.report.style import INK, Look, looks, new_figure, new_panels, styled
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, Row, grouped
from contrastbench.verdicts.statistics import summarise, t_interval
from contrastbench.verdicts.verdict import is_finite

Curves = Mapping[str, Mapping[float, Sequence[float]]]  # line -> x -> one value a seed
Printed = Mapping[str, Mapping[float, float]]  # line -> x -> the published value
LABELS = {"beta": "β", "tau_plus": "τ⁺", "alpha": "α", "temperature": "temperature"}
GROUPS = ("method", "dataset", "variant", "protocol", "stage")


def check_known(rows: Iterable[Row], x: str, y: str, group: str, of_tables: Iterable[str] = ()) -> None:
    """Raises ValueError unless some row has ``x``, ``y`` and ``group``; a table's own words for ``x`` are known too."""
    rows = list(rows)
    numbers = {name for row in rows for name, value in row["config"].items() if is_finite(value)}
    _check_known("x", x, numbers | set(of_tables))
    _check_known("y", y, {name for row in rows for name in row["metrics"]})
    _check_known("group", group, {name for row in rows for name in (*row["config"], *GROUPS)})


def _check_known(what: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; the finished rows have: {', '.join(sorted(known)) or 'nothing'}")


class Panel(NamedTuple):
    """One panel of a figure: its title, the metric on its y axis, what was measured and what was published."""

    title: str
    y: str
    curves: Curves
    published: Printed


def curve(curves: Curves, x: str, y: str, published: Printed | None = None) -> Figure:
    """Mean and 95 % t-interval over x, one line a group, every seed a point, published numbers as open diamonds."""
    with styled():
        figure, axes = new_figure()
        _draw_panel(axes, Panel("", y, curves, published or {}), x)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best")
    return figure


def curve_panels(panels: Sequence[Panel], x: str) -> Figure:
    """As ``curve``, in several panels: the lines are named once, beside them."""
    with styled():
        figure, axes = new_panels(len(panels), 3, lambda columns, lines: (4.2 * columns + 2.2, 3.2 * lines + 0.2))
        handles: dict[str, Any] = {}
        for drawn, panel in zip(axes, panels, strict=True):
            _draw_panel(drawn, panel, x)
            known, labels = drawn.get_legend_handles_labels()
            handles.update(zip(labels, known, strict=True))
        if handles:
            figure.legend(handles.values(), handles.keys(), loc="outside right upper")
    return figure


def _draw_panel(axes: Any, panel: Panel, x: str) -> None:
    for name, style in looks([*panel.curves, *panel.published]).items():
        _draw_curve(axes, panel.curves.get(name, {}), style, name)
        printed = panel.published.get(name, {})
        axes.plot(list(printed), list(printed.values()), linestyle="", **_open_diamond(style))
    _finish_curve(axes, sorted({value for points in panel.curves.values() for value in points}), x, panel.y)
    if panel.published:
        axes.plot([], [], linestyle="", label="published", **_open_diamond(Look(INK, "D")))
    if panel.title:
        axes.set_title(panel.title)


def _draw_curve(axes: Any, points: Mapping[float, Sequence[float]], style: Look, name: str) -> None:
    xs = list(points)
    summaries = [summarise(points[x]) for x in xs]
    intervals = [t_interval(summary) for summary in summaries]
    known = [i for i, interval in enumerate(intervals) if interval]
    if known:
        low, high = zip(*(intervals[i] or (math.nan, math.nan) for i in known), strict=True)
        axes.fill_between([xs[i] for i in known], low, high, color=style.colour, alpha=0.15, linewidth=0)
    for x in xs:
        axes.plot([x] * len(points[x]), points[x], ".", color=style.colour, alpha=0.45, markersize=4)
    means = [summary.mean for summary in summaries]
    axes.plot(xs, means, marker=style.marker, color=style.colour, label=name if xs else None)


def _open_diamond(style: Look) -> dict[str, Any]:
    return {"marker": "D", "markersize": 7, "markerfacecolor": "none", "markeredgecolor": style.colour}


def _finish_curve(axes: Any, values: Sequence[float], x: str, y: str) -> None:
    """Makes the axis logarithmic if the values double rather than step; a first linear stretch keeps 0 on it."""
    positive = [value for value in values if value > 0]
    if len(positive) > 2 and positive[-1] / positive[0] >= 16:
        if positive[0] == values[0]:
            axes.set_xscale("log")
        elif values[0] >= 0:
            axes.set_xscale("symlog", linthresh=positive[0])
        axes.minorticks_off()
    axes.set_xticks(list(values), [f"{value:g}" for value in values])
    axes.set_xlabel(LABELS.get(x, x.replace("_", " ")))
    axes.set_ylabel(words(y))


def ablation(table: JoinedTable, x: str) -> Figure | None:
    """Draws the table's cells over one of their settings: a panel per data set and metric, a line per method.

    None if no method was measured at two values of ``x``.
    """
    panels = [Panel(cells[0].dataset, cells[0].metric, *_curves_of_cells(cells, x)) for cells in panels_of(table)]
    swept = [panel for panel in panels if any(len(points) > 1 for points in panel.curves.values())]
    return curve_panels(swept, x) if swept else None


def panels_of(table: JoinedTable) -> list[list[JoinedCell]]:
    """The table's cells by metric and data set, in the order declared."""
    return list(grouped(table.cells, lambda cell: (cell.metric, cell.dataset)).values())


def lines_of(cells: Iterable[JoinedCell], x: str, panel: Sequence[JoinedCell]) -> dict[str, list[JoinedCell]]:
    """The cells that have a number as their setting ``x``, by the panel's line that they are points of."""
    return grouped((cell for cell in cells if is_finite(cell.settings.get(x))), lambda cell: line_name(cell, x, panel))


def _curves_of_cells(cells: Sequence[JoinedCell], x: str) -> tuple[Curves, Printed]:
    lines = lines_of(cells, x, cells)
    measured = {
        name: {float(cell.settings[x]): cell.best_known.values for cell in line if cell.best_known.done}
        for name, line in lines.items()
    }
    published = {
        name: {float(cell.settings[x]): cell.judged.value for cell in line if cell.judged and not cell.ambiguous}
        for name, line in lines.items()
    }
    curves = {name: dict(sorted(points.items())) for name, points in measured.items() if points}
    return curves, {name: points for name, points in published.items() if points}


def line_name(cell: JoinedCell, x: str, panel: Sequence[JoinedCell]) -> str:
    """The method's name without the value of ``x``: ``HCL beta=0.5`` over beta is HCL.

    Variant and protocol are named if the panel's cells differ in them.
    """
    several = len({(other.variant, other.protocol) for other in panel}) > 1
    return without_setting(cell.label if several else cell.method, x)


def without_setting(label: str, x: str) -> str:
    """Takes the value of ``x`` out of a name: ``HCL beta=0.5`` is HCL, ``HCL [beta=2.0, lr=0.1]`` is HCL [lr=0.1]."""
    bare = re.sub(rf"(, *)?\b{re.escape(x)}[= ][^\s,()[\]]+", "", label)
    bare = re.sub(r"(?<=[(\[]), *", "", bare)  # it was the first of several
    return " ".join(re.sub(r"\(\)|\[\]", "", bare).split()).replace(" ,", ",")
