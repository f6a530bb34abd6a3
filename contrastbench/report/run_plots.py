"""Figures of single runs: training curves, similarity histograms, embedding maps.

They read lists from a row's ``series``, by these names:

* ``positive_density`` and ``negative_density``: densities of cosines over equal bins from -1 to 1;
* ``x``, ``y`` and ``label``: a two-dimensional map of the embeddings, with classes; ``explained``, where the two are
  principal components: their shares of the variance.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from contrastbench.report.style import MARKERS, PALETTE, looks, new_figure, styled
from contrastbench.verdicts.cells import Row, group_by

POSITIVE, NEGATIVE = PALETTE[0], PALETTE[3]


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
    curves = {name: [_losses(run) for run in seeds] for name, seeds in runs.items()}
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


def _losses(run: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    return {line["epoch"]: float(line["loss"]) for line in run if "loss" in line and math.isfinite(line["loss"])}


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
