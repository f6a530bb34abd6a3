"""The paper's own figures, made from rows alone: ``FIGURES[name](rows)`` gives a figure, or None without rows.

Where scales or data sets meet, those with the greatest scale are drawn, one colour for each data set.
"""

from collections.abc import Callable
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.novel_class_discovery.tables import FULL
from contrastbench.report.style import INK, MARKERS, PALETTE, new_figure

Row = dict[str, Any]
SCALES = ("smoke", "quick", "lite", "paper")


MAPPED = {  # what is drawn of the first seed, in order, by the rows' method
    "k-means, pixels": "pixels",
    "k-means, stage 1": "after stage 1",
    "k-means, stage 2": "after stage 2",
    FULL: "after stage 3, NCL",
}


def figure_embedding(rows: list[Row]) -> Figure | None:
    """Test images of the novel classes before stage 3 and after, in two principal components (of each by itself).

    A line of maps for each data set that has those of stage 2 and of the whole method.
    """
    found = [row for stage in ("cluster", "discover") for row in _of(rows, stage) if row["method"] in MAPPED]
    maps: dict[str, dict[str, Any]] = {row["dataset"]: {} for row in found}
    for row in found:
        if row["seed"] == 0 and row["variant"] == "as_code":
            maps[row["dataset"]][row["method"]] = row["series"]
    lines = [dataset for dataset in sorted(maps) if {"k-means, stage 2", FULL} <= maps[dataset].keys()]
    if not lines:
        return None
    methods = [method for method in MAPPED if any(method in maps[dataset] for dataset in lines)]
    size = {"nrows": len(lines), "ncols": len(methods), "squeeze": False}
    figure, axes = new_figure(3.2 * len(methods) + 0.6, 3.6 * len(lines), **size)
    for line, dataset in zip(axes, lines, strict=True):
        for axis, method in zip(line, methods, strict=True):
            axis.set(title=f"{dataset}\n{MAPPED[method]}", xticks=[], yticks=[])
            if method in maps[dataset]:
                _draw_map(axis, maps[dataset][method])
        line[-1].legend(fontsize="small")
    return figure


def _draw_map(axis: Axes, series: dict[str, list[float]]) -> None:
    """Each class's points in a colour and with a marker of its own."""
    labels = series["map_label"]
    for number, label in enumerate(sorted(set(labels))):
        at = [place for place, each in enumerate(labels) if each == label]
        x, y = ([series[f"map_{name}"][place] for place in at] for name in ("x", "y"))
        style = {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)]}
        axis.plot(x, y, linestyle="", markersize=4, label=f"novel class {label:g}", **style)


def figure_unknown_number(rows: list[Row]) -> Figure | None:
    """What the estimate looks at, over the number of novel classes; the true number is a dotted line."""
    found = _of(rows, "estimate")
    if not found:
        return None
    figure, axes = new_figure(9.0, 3.4, ncols=2)
    names = (("hidden_accuracy_percent", "accuracy on hidden known classes, %"), ("silhouette", "silhouette"))
    for axis, (name, label) in zip(axes, names, strict=True):
        groups = sorted({(row["dataset"], row["method"]) for row in found})
        for colour, group in zip(PALETTE, groups, strict=False):
            own = [row for row in found if (row["dataset"], row["method"]) == group]
            values = zip(*(row["series"][name] for row in own), strict=True)
            axis.plot(own[0]["series"]["numbers"], [mean(each) for each in values], "o-", color=colour, label=group[1])
        truth = own[0]["metrics"]["estimated_classes"] - own[0]["metrics"]["estimate_error_classes"]
        axis.axvline(truth, color=INK, linestyle=":")
        axis.set(xlabel="novel classes", ylabel=label)
        axis.legend()
    return figure


FIGURES: dict[str, Callable[[list[Row]], Figure | None]] = {
    "embedding": figure_embedding,
    "classes": figure_unknown_number,
}


def _of(rows: list[Row], stage: str) -> list[Row]:
    """The stage's finished rows of the greatest scale there is."""
    done = [row for row in rows if row["stage"] == stage and row["status"] == "done"]
    scale = max((row["scale"] for row in done), key=SCALES.index, default=None)
    return [row for row in done if row["scale"] == scale]
