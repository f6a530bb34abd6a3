"""Figures of tables: curves over a setting, dot plots against the published numbers, the gap between two protocols.

Every function takes rows or a joined table and returns a matplotlib ``Figure``, or None where there is nothing to draw;
``style.save`` writes it. Intervals are 95 % t-intervals, every seed is a point, published numbers are open diamonds.
"""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrastbench.report.cells import JoinedCell, JoinedTable, Row, grouped
from contrastbench.report.layout import Grid, words
from contrastbench.report.statistics import summarise, t_interval
from contrastbench.report.style import INK, Look, looks, new_figure, styled
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
        figure, axes = _panels(len(panels), 3, lambda columns, lines: (4.2 * columns + 2.2, 3.2 * lines + 0.2))
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
    """A logarithmic axis where the values double rather than step; 0 stays on it through a linear first stretch."""
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
    """The table's cells over one of their settings: a panel per data set and metric, a line per method.

    None where no method was measured at two values of ``x``.
    """
    swept = [cells for cells in panels_of(table) if _is_swept(cells, x)]
    if not swept:
        return None
    with styled():
        figure, panels = _panels(len(swept), 3, lambda columns, lines: (4.2 * columns + 2.2, 3.2 * lines + 0.2))
        for panel, cells in zip(panels, swept, strict=True):
            _draw_curves(panel, *_curves_of_cells(cells, x), x, cells[0].metric, legend=False)
            panel.set_title(cells[0].dataset)
        _shared_legend(figure, panels)
    return figure


def _panels(
    count: int, widest: int, size: Callable[[int, int], tuple[float, float]], **options: Any
) -> tuple[Figure, Sequence[Any]]:
    """A figure of ``count`` panels, ``widest`` in a line at most; ``size`` gives its inches from columns and lines."""
    columns = min(count, widest)
    lines = math.ceil(count / columns)
    figure, axes = new_figure(*size(columns, lines), nrows=lines, ncols=columns, squeeze=False, **options)
    for spare in axes.flat[count:]:
        spare.set_visible(False)
    return figure, axes.flat[:count]


def panels_of(table: JoinedTable) -> list[list[JoinedCell]]:
    """The table's cells by metric and data set, in the order declared."""
    return list(grouped(table.cells, lambda cell: (cell.metric, cell.dataset)).values())


def _is_swept(cells: Sequence[JoinedCell], x: str) -> bool:
    return any(len(points) > 1 for points in _curves_of_cells(cells, x)[0].values())


def _curves_of_cells(
    cells: Sequence[JoinedCell], x: str
) -> tuple[dict[str, dict[float, list[float]]], dict[str, dict[float, float]]]:
    """What was measured and what is published: line -> x -> values, line -> x -> value."""
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

    Variant and protocol are named where the panel's cells differ in them.
    """
    value = cell.settings[x]
    name = cell.label if len({(other.variant, other.protocol) for other in panel}) > 1 else cell.method
    for text in (f"{x}={value}", f"{x} {value}", f"{x}={value:g}", f"{x} {value:g}"):
        name = name.replace(text, "")
    return " ".join(name.replace("()", "").replace(" ,", ",").split()).replace(", (", " (").rstrip(" ,")


def comparison(table: JoinedTable) -> Figure | None:
    """A dot plot: a panel per dataset and metric; per method the mean with its interval, and the published number."""
    grid = Grid(table, by_dataset=True)
    rows = [row for row, cells in grid.rows.items() if any(c.best_known.done or c.judged for c in cells.values())]
    if not rows:
        return None
    styles, longest = looks(rows), max(map(len, rows))

    def size(columns: int, lines: int) -> tuple[float, float]:
        return 0.6 + 0.075 * longest + 2.4 * columns, 0.5 + lines * (0.7 + 0.3 * len(rows))

    with styled():
        figure, panels = _panels(len(grid.columns), 4, size, sharey=True)
        for panel, column in zip(panels, grid.columns, strict=True):
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
