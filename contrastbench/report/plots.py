"""Figures of whole tables: dot plots against the published numbers, and the gap between two protocols.

And those of single runs: training curves, similarity histograms, embedding maps. They read lists from a row's
``series``, by these names:

* ``positive_density`` and ``negative_density``: densities of cosines over equal bins from -1 to 1;
* ``x``, ``y`` and ``label``: a two-dimensional map of the embeddings, with classes; ``explained``, where the two are
  principal components: their shares of the variance.

Each function returns a matplotlib ``Figure``, or None where there is nothing to draw; ``style.save`` writes it.
"""

import itertools
import math
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrastbench.report.layout import Grid, words
from contrastbench.report.style import INK, MARKERS, PALETTE, Look, looks, new_figure, new_panels, styled
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, Row, group_by

POSITIVE, NEGATIVE = PALETTE[0], PALETTE[3]


def comparison(table: JoinedTable) -> Figure | None:
    """A dot plot: a panel per dataset and metric; per method the mean with its interval, and the published number."""
    grid = Grid(table, by_dataset=True)
    rows = [row for row, cells in grid.rows.items() if any(c.best_known.done or c.judged for c in cells.values())]
    by_column = {column: [row[column] for row in grid.rows.values() if column in row] for column in grid.columns}
    columns = [  # of which some number is not zero
        name for name, cells in by_column.items() if any(cell.judged or any(cell.best_known.values) for cell in cells)
    ]
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
            # ``InfoGraph, clean`` is InfoGraph.
            method = cell.method.removesuffix(f", {cell.protocol}").removesuffix(f" ({cell.protocol})")
            pairs[method, cell.dataset][cell.protocol] = cell
    both = {name: pair for name, pair in pairs.items() if len(pair) == 2}
    if not both:
        return None
    styles = looks(method for method, _ in both)
    with styled():
        longest = max(len(method) + len(dataset) for method, dataset in both)
        figure, axes = new_figure(4.6 + 0.075 * longest, 0.9 + 0.32 * len(both))
        for place, ((method, _), pair) in enumerate(both.items()):
            means = [pair[protocol].best_known.summary.mean for protocol in ("published", "clean")]
            colour = styles[method].colour
            axes.plot(means, [place, place], color=colour, alpha=0.5)
            for mean, face in zip(means, (colour, "none"), strict=True):
                axes.plot(mean, place, marker="o", color=colour, markerfacecolor=face, markersize=7)
            axes.annotate(f"{means[0] - means[1]:+.2f}", (max(means), place), (8, -3), textcoords="offset points")
        axes.set_yticks(range(len(both)), [f"{method}, {dataset}" for method, dataset in both])
        axes.set_ylim(len(both) - 0.5, -0.5)
        axes.margins(x=0.12)
        axes.set_xlabel(f"{words(table.cells[0].metric)}: published protocol (filled) against clean (open)")
    return figure


# ------------------------------------------------------------------------------------------------------ single runs


def run_figures(
    rows: Iterable[Row], curve_of: Callable[[Row], Sequence[Mapping[str, Any]]], *, every_map: bool = True
) -> dict[str, Figure]:
    """Every figure of single runs that the rows give, by a name for its file; a map is the method's first seed's.

    Args:
        rows: of one paper.
        curve_of: the lines of a row's curve, as its run logged them; empty where there is none.
        every_map: False keeps one map of a method: HCL has one, HCL beta=2 has none.
    """
    figures: dict[str, Figure] = {}
    by_method = itemgetter("method")
    finished = (row for row in rows if row["status"] == "done")
    for (dataset, scale, stage), group in group_by(finished, itemgetter("dataset", "scale", "stage")).items():
        place = re.sub(r"[^A-Za-z0-9_]+", "-", f"{stage}-{dataset}-{scale}")
        curves = {method: [curve_of(row) for row in own] for method, own in group_by(group, by_method).items()}
        if any(sum("loss" in line for line in curve) > 1 for seeds in curves.values() for curve in seeds):
            figures[f"training-{place}"] = training_curves(curves)
        if any("positive_density" in row["series"] for row in group):
            figures[f"similarities-{place}"] = similarity_histograms(group)
        mapped = group_by((row for row in group if "x" in row["series"] and "y" in row["series"]), by_method)
        for method, own in mapped.items():
            if not every_map and any(method.startswith((f"{other} ", f"{other},")) for other in mapped):
                continue
            figures[re.sub(r"[^A-Za-z0-9_]+", "-", f"map-{place}-{method}")] = embedding_map(own[0])
    return figures


def training_curves(runs: Mapping[str, Iterable[Sequence[Mapping[str, Any]]]]) -> Figure:
    """The loss along training: every seed a thin line, their mean a thick one.

    Args:
        runs: method -> its runs' curves, each the lines that the run logged.
    """
    curves = {
        name: [
            {each["epoch"]: each["loss"] for each in run if math.isfinite(each.get("loss", math.nan))} for run in seeds
        ]
        for name, seeds in runs.items()
    }
    with styled():
        many = len(curves) > 8  # then named beside the axes, in columns of 20
        figure, axes = new_figure(6.4 + 2.0 * math.ceil(len(curves) / 20) * many)
        for name, style in looks(curves).items():
            for points in curves[name]:
                axes.plot(list(points), list(points.values()), color=style.colour, alpha=0.3, linewidth=0.8)
            mean = _mean(curves[name])
            axes.plot(list(mean), list(mean.values()), color=style.colour, label=name)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel("loss")
        if many:
            figure.legend(loc="outside right upper", ncols=math.ceil(len(curves) / 20), fontsize=6)
        else:
            axes.legend()
    return figure


def _mean(seeds: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """The mean at the epochs that every seed has."""
    started = [points for points in seeds if points]
    common = set.intersection(*(set(points) for points in started)) if started else set()
    return {epoch: sum(points[epoch] for points in started) / len(started) for epoch in sorted(common)}


def similarity_histograms(rows: Iterable[Row]) -> Figure:
    """Cosines of positives against negatives, one panel a method, the mean density of its rows that keep them."""
    panels = group_by((row for row in rows if "positive_density" in row["series"]), itemgetter("method"))
    with styled():
        figure, axes = new_figure(2.6 * len(panels) + 0.6, 2.6, ncols=len(panels), sharey=True, squeeze=False)
        for panel, (method, kept) in zip(axes.flat, panels.items(), strict=True):
            for name, colour in (("positive", POSITIVE), ("negative", NEGATIVE)):
                density = np.mean([row["series"][f"{name}_density"] for row in kept], axis=0)
                edges = np.linspace(-1.0, 1.0, len(density) + 1)
                panel.stairs(density, edges, fill=True, color=colour, alpha=0.35, label=f"{name}s")
                panel.stairs(density, edges, color=colour)
            panel.set_title(method)
            panel.set_xlabel("cosine similarity")
        axes[0, 0].set_ylabel("density")
        axes[0, 0].legend()
    return figure


def embedding_map(row: Row) -> Figure:
    """The embeddings of a run that keeps a map, in two dimensions, a colour and a marker per class."""
    series = row["series"]
    x, y = np.asarray(series["x"]), np.asarray(series["y"])
    labels = np.asarray(series.get("label", np.zeros(len(x))))
    with styled():
        figure, axes = new_figure(4.6, 4.4)
        for label, colour, marker in zip(np.unique(labels), itertools.cycle(PALETTE), itertools.cycle(MARKERS)):  # noqa: B905
            chosen = labels == label
            options = {"s": 9, "color": colour, "marker": marker, "alpha": 0.7, "linewidths": 0}
            axes.scatter(x[chosen], y[chosen], label=f"{label:g}", rasterized=len(x) > 500, **options)
        if len(np.unique(labels)) > 1:
            figure.legend(loc="outside right center", title="class")
        axes.set(title=f"{row['method']}, {row['dataset']}, seed {row['seed']}", xticks=[], yticks=[], aspect="equal")
        for number, share in enumerate(series.get("explained", ()), start=1):
            name = f"principal component {number}: {100 * share:.0f}% of the variance"
            (axes.set_xlabel if number == 1 else axes.set_ylabel)(name)
        axes.spines[:].set_visible(False)
    return figure
