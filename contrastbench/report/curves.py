"""Curves over a setting: mean, 95 % t-interval and every seed, with the published numbers as open diamonds."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from contrastbench.report.cells import JoinedCell, JoinedTable, Row, grouped
from contrastbench.report.layout import words
from contrastbench.report.statistics import summarise, t_interval
from contrastbench.report.style import INK, Look, looks, new_figure, new_panels, styled
from contrastbench.report.verdict import is_finite

Curves = Mapping[str, Mapping[float, Sequence[float]]]  # group -> x -> one value a seed
LABELS = {"beta": "β", "tau_plus": "τ⁺", "alpha": "α", "temperature": "temperature"}


def curves_of_rows(rows: Iterable[Row], x: str, y: str, group: str = "method") -> dict[str, dict[float, list[float]]]:
    """Sorts the finished rows into curves.

    Args:
        x: a number in the rows' config, e.g. "beta".
        y: the name of a metric.
        group: a field of the row ("method", "dataset", "variant", ...) or of its config.

    Raises:
        ValueError: no row has ``x``, ``y`` or ``group``, or the rows are of several scales.
    """
    finished = [row for row in rows if row["status"] == "done"]
    check_known(finished, x, y, group)
    scales = sorted({row["scale"] for row in finished})
    if len(scales) > 1:
        raise ValueError(f"rows of several scales never share a curve, got {', '.join(scales)}; choose one")
    curves: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in finished:
        if is_finite(row["config"].get(x)) and is_finite(row["metrics"].get(y)):
            name = row[group] if group in GROUPS else row["config"].get(group)
            curves[str(name)][float(row["config"][x])].append(float(row["metrics"][y]))
    return {name: dict(sorted(points.items())) for name, points in curves.items()}


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


def curve(curves: Curves, x: str, y: str, published: Mapping[str, Mapping[float, float]] | None = None) -> Figure:
    """Mean and 95 % t-interval over x, one line a group, every seed a point, published numbers as open diamonds.

    Args:
        published: group -> x -> printed value.
    """
    with styled():
        figure, axes = new_figure()
        _draw_curves(axes, curves, published or {}, x, y)
    return figure


def curve_panels(panels: Mapping[str, tuple[Curves, Mapping[str, Mapping[float, float]]]], x: str, y: str) -> Figure:
    """As ``curve``: a panel for each title, and the lines named once, beside the panels.

    Args:
        panels: title -> curves, and published numbers.
    """
    with styled():
        figure, axes = new_panels(len(panels), 3, lambda columns, lines: (4.2 * columns + 2.2, 3.2 * lines + 0.2))
        for drawn, (title, (curves, published)) in zip(axes, panels.items(), strict=True):
            _draw_curves(drawn, curves, published, x, y, legend=False)
            drawn.set_title(title)
        _shared_legend(figure, axes)
    return figure


def _draw_curves(
    axes: Any, curves: Curves, published: Mapping[str, Mapping[float, float]], x: str, y: str, *, legend: bool = True
) -> None:
    for name, style in looks([*curves, *published]).items():
        _draw_curve(axes, curves.get(name, {}), style, name)
        printed = published.get(name, {})
        axes.plot(list(printed), list(printed.values()), linestyle="", **_open_diamond(style))
    _finish_curve(axes, sorted({value for points in curves.values() for value in points}), x, y)
    if published:
        axes.plot([], [], linestyle="", label="published", **_open_diamond(Look(INK, "D")))
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best")


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
    swept = [cells for cells in panels_of(table) if _is_swept(cells, x)]
    if not swept:
        return None
    with styled():
        figure, panels = new_panels(len(swept), 3, lambda columns, lines: (4.2 * columns + 2.2, 3.2 * lines + 0.2))
        for panel, cells in zip(panels, swept, strict=True):
            _draw_curves(panel, *_curves_of_cells(cells, x), x, cells[0].metric, legend=False)
            panel.set_title(cells[0].dataset)
        _shared_legend(figure, panels)
    return figure


def panels_of(table: JoinedTable) -> list[list[JoinedCell]]:
    """The table's cells by metric and data set, in the order declared."""
    return list(grouped(table.cells, lambda cell: (cell.metric, cell.dataset)).values())


def _is_swept(cells: Sequence[JoinedCell], x: str) -> bool:
    return any(len(points) > 1 for points in _curves_of_cells(cells, x)[0].values())


def _curves_of_cells(
    cells: Sequence[JoinedCell], x: str
) -> tuple[dict[str, dict[float, list[float]]], dict[str, dict[float, float]]]:
    """The measured values, line -> x -> one a seed, and the published ones, line -> x -> value."""
    curves: dict[str, dict[float, list[float]]] = defaultdict(dict)
    published: dict[str, dict[float, float]] = defaultdict(dict)
    for cell in cells:
        if not is_finite(cell.settings.get(x)):
            continue
        name, value = line_name(cell, x, cells), float(cell.settings[x])
        if cell.best_known.done:
            curves[name][value] = cell.best_known.values
        if cell.judged and not cell.ambiguous:
            published[name][value] = cell.judged.value
    return {name: dict(sorted(points.items())) for name, points in curves.items()}, dict(published)


def _shared_legend(figure: Figure, panels: Iterable[Any]) -> None:
    handles: dict[str, Any] = {}
    for axes in panels:
        known, labels = axes.get_legend_handles_labels()
        handles.update(zip(labels, known, strict=True))
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside right upper")


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
