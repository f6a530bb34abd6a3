"""The paper's own figures, made from rows alone: ``FIGURES[name](rows)`` gives a figure, or None without rows.

Where scales or data sets meet, those with the greatest scale are drawn, one colour for each data set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from benchmarks.novel_class_discovery.tables import FULL, PROTOCOLS, TEST, TRAIN, WITHOUT_HARD
from contrastbench.report.style import INK, MARKERS, PALETTE, new_figure

Row = dict[str, Any]
SCALES = ("smoke", "quick", "lite", "paper")


def figure_k(rows: list[Row]) -> Figure | None:
    """Accuracy over k, every seed a point; the published choice |M| / C / 2 is a dotted line."""
    found = [row for row in _of(rows, "discover") if row["method"].startswith(f"{WITHOUT_HARD}, k=") or _plain(row)]
    if not found:
        return None
    figure, axes = new_figure(9.0, 3.4, ncols=2)
    for axis, metric, name in zip(axes, (TRAIN, TEST), ("unlabelled training images", "test images"), strict=True):
        for colour, dataset in zip(PALETTE, sorted({row["dataset"] for row in found}), strict=False):
            own = [row for row in found if row["dataset"] == dataset]
            points = [(row["config"]["neighbours"], row["metrics"][metric]) for row in own]
            ks = sorted({k for k, _ in points})
            means = [_mean([value for at, value in points if at == k]) for k in ks]
            axis.semilogx(ks, means, "o-", color=colour, label=dataset)
            axis.semilogx(*zip(*points, strict=True), ".", color=colour, alpha=0.4)
            published = PROTOCOLS[own[0]["scale"]][dataset].published_k
            axis.axvline(published, color=colour, linestyle=":", label=f"|M| / C / 2 = {published}")
        axis.set(xlabel="k, neighbours", ylabel="clustering accuracy, %", title=name)
        axis.legend()
    return figure


def figure_embedding(rows: list[Row]) -> Figure | None:
    """Test images of the novel classes before stage 3 and after, in two principal components (of each by itself)."""
    before = [row for row in _of(rows, "cluster") if row["method"] == "k-means, stage 2" and row["seed"] == 0]
    after = [row for row in _of(rows, "discover") if row["method"] == FULL and row["seed"] == 0]
    dataset = min({row["dataset"] for row in before} & {row["dataset"] for row in after}, default=None)
    if dataset is None:
        return None
    figure, axes = new_figure(8.4, 4.0, ncols=2)
    for axis, part, title in zip(axes, (before, after), ("after stage 2", "after stage 3, NCL"), strict=True):
        series = next(row for row in part if row["dataset"] == dataset)["series"]
        labels = series["map_label"]
        for number, label in enumerate(sorted(set(labels))):
            at = [place for place, each in enumerate(labels) if each == label]
            x, y = ([series[f"map_{name}"][place] for place in at] for name in ("x", "y"))
            style = {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)]}
            axis.plot(x, y, linestyle="", markersize=4, label=f"novel class {label:g}", **style)
        axis.set(title=f"{dataset}, {title}", xticks=[], yticks=[])
    axes[1].legend()
    return figure


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
            axis.plot(own[0]["series"]["numbers"], [_mean(each) for each in values], "o-", color=colour, label=group[1])
        truth = own[0]["metrics"]["estimated_classes"] - own[0]["metrics"]["estimate_error_classes"]
        axis.axvline(truth, color=INK, linestyle=":")
        axis.set(xlabel="novel classes", ylabel=label)
        axis.legend()
    return figure


def figure_spread(rows: list[Row]) -> Figure | None:
    """Every seed's accuracy: with stages 1 and 2 of its own, and with those of one seed for all."""
    own = [row for row in _of(rows, "discover") if _plain(row)]
    one = [row for row in _of(rows, "discover") if row["method"].endswith("one checkpoint")]
    if not (own and one):
        return None
    figure, axes = new_figure(5.4, 3.4)
    first = next((row for row in own if row["seed"] == 0 and row["dataset"] == one[0]["dataset"]), None)
    own = [row for row in own if row["dataset"] == one[0]["dataset"]]
    one = [row for row in one if row["dataset"] == one[0]["dataset"]] + ([first] if first else [])
    for place, (name, part) in enumerate((("own stages", own), ("one checkpoint", one))):
        axes.plot([place] * len(part), [row["metrics"][TRAIN] for row in part], "o", color=PALETTE[place], label=name)
    axes.set(xlim=(-0.5, 1.5), xticks=[0, 1], ylabel="clustering accuracy, %", title=f"{WITHOUT_HARD}, every seed")
    axes.set_xticklabels(["own stages 1 and 2", "one checkpoint"])
    return figure


FIGURES: dict[str, Callable[[list[Row]], Figure | None]] = {
    "neighbours": figure_k,
    "embedding": figure_embedding,
    "classes": figure_unknown_number,
    "spread": figure_spread,
}


def _of(rows: list[Row], stage: str) -> list[Row]:
    """The stage's finished rows of the greatest scale there is."""
    done = [row for row in rows if row["stage"] == stage and row["status"] == "done"]
    scale = max((row["scale"] for row in done), key=SCALES.index, default=None)
    return [row for row in done if row["scale"] == scale]


def _plain(row: Row) -> bool:
    """Whether it is the method without hard negatives, by itself: the published k, own stages. The first cell that has
    a run names it, so that its label may be that of the curve over k."""
    published = PROTOCOLS[row["scale"]][row["dataset"]].published_k
    return row["method"] in (WITHOUT_HARD, f"{WITHOUT_HARD}, k={published}")


def _mean(values: Any) -> float:
    collected = list(values)
    return sum(collected) / len(collected)
