"""The studies' figures, made from rows alone: ``FIGURES[name](rows)`` gives a matplotlib figure, or None without rows.

Rows are dicts as the runner writes them. A seed's rows are averaged; where scales meet, the greatest is drawn.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

from matplotlib.figure import Figure

from contrastbench.report.style import GRID, INK, PALETTE, look, new_figure

Row = dict[str, Any]
SCALES = ("smoke", "quick", "lite", "paper")
FIGURES: dict[str, Callable[[list[Row]], Figure | None]] = {}


def draws(stage: str, where: Callable[[Row], bool] = lambda row: True) -> Callable[..., Callable[..., Figure]]:
    """Registers a function as a figure. It draws a stage's finished rows, of the largest scale that has any."""

    def add(draw: Callable[[list[Row]], Figure]) -> Callable[[list[Row]], Figure]:
        def figure(rows: list[Row]) -> Figure | None:
            done = [row for row in rows if row["stage"] == stage and row["status"] == "done"]
            scale = max((row["scale"] for row in done), key=SCALES.index, default=None)
            found = [row for row in done if row["scale"] == scale and where(row)]
            return draw(found) if found else None

        FIGURES[draw.__name__] = figure
        return draw

    return add


def _is_first_seed(row: Row) -> bool:
    return row["seed"] == 0


@draws("noise_training", _is_first_seed)
def nce_normaliser(found: list[Row]) -> Figure:
    """Where log Z lies after training with Z fixed to 1."""
    figure, axes = new_figure()
    for place, row in enumerate(sorted(found, key=lambda row: row["config"]["samples"])):
        k = row["config"]["samples"]
        label = f"NCE k={k}" if k else "maximum likelihood"
        axes.plot(row["series"]["log_z_bin_centre"], row["series"]["log_z_density"], color=PALETTE[place], label=label)
    axes.set(
        xlabel="log Z of a context (beyond 2: in the last bin)", ylabel="density", title="NCE normalises by itself"
    )
    return _with_legends(figure, [axes])


@draws("information")
def information(found: list[Row]) -> Figure:
    """InfoNCE's bound against the true mutual information, for each N."""
    figure, axes = new_figure()
    truths = sorted({row["config"]["truth"] for row in found})
    axes.plot(truths, truths, color=INK, linewidth=1, label="the truth")
    for place, size in enumerate(sorted({row["config"]["size"] for row in found})):
        for critic, style in (("optimal", "o-"), ("trained", "x")):
            if own := _having(found, size=size, critic=critic):
                label = f"N = {size}" + (", trained" if critic == "trained" else "")
                axes.plot(*_curve(own, "truth", "bound_nats"), style, color=PALETTE[place], label=label)
        axes.axhline(math.log(size), color=PALETTE[place], linestyle=":", linewidth=0.8)
    axes.set(xlabel="mutual information, nats", ylabel="bound, nats", title="InfoNCE saturates at log N (dotted)")
    return _with_legends(figure, [axes])


@draws("estimators", lambda row: row["config"]["estimator"] in ("biased", "dcl", "bcl"))
def estimators(found: list[Row]) -> Figure:
    """Squared error of the biased, debiased and Bayesian negative terms over alpha, tau_plus and N."""
    base = {"alpha": 0.9, "tau_plus": 0.1, "negatives": 100}
    figure, axes = new_figure(10.0, 3.2, ncols=3)
    for axis, name in zip(axes, base, strict=True):
        others = {other: value for other, value in base.items() if other != name}
        for method in ("biased", "DCL", "BCL"):
            x, y = _curve(_having(found, estimator=method.lower(), **others), name, "mse")
            shown = look("SimCLR" if method == "biased" else method)
            axis.plot(x, y, marker=shown.marker, color=shown.colour, label=method)
        axis.set(xlabel=name, yscale="log", xscale="log" if name == "negatives" else "linear")
    axes[0].set(ylabel="mean squared error", title="Negative term against the true negatives' mean")
    return _with_legends(figure, axes[:1])


@draws("limit", _is_first_seed)
def limit(found: list[Row]) -> Figure:
    """HCL's optimum on the circle and on the sphere, for each beta."""
    betas = sorted({row["config"]["beta"] for row in found})
    figure = Figure(figsize=(2.1 * len(betas), 4.6))
    for place, beta in enumerate(betas):
        for dimensions in (2, 3):
            for row in _having(found, beta=beta, dimensions=dimensions)[:1]:
                where = len(betas) * (dimensions - 2) + place + 1
                axis = figure.add_subplot(2, len(betas), where, projection="3d" if dimensions == 3 else None)
                _draw_sphere(axis, row, dimensions)
                axis.set_title(f"beta = {beta:g}\n{row['metrics']['smallest_angle_degrees']:.1f}°", fontsize=8)
    return figure


@draws("images")
def alignment(found: list[Row]) -> Figure:
    """Alignment and uniformity, epoch by epoch."""
    figure, axes = new_figure()
    for method, own in _by_encoder(found):
        x, y = _mean_series(own, "alignment"), _mean_series(own, "uniformity")
        axes.plot(x, y, "-", color=look(method).colour, linewidth=1)
        sizes = [12 + 40 * epoch / len(x) for epoch in range(len(x))]
        axes.scatter(x, y, s=sizes, color=look(method).colour, label=method)
    axes.set(
        xlabel="alignment (lower: views closer)",
        ylabel="uniformity (lower: more even)",
        title="Training, larger dots later",
    )
    return _with_legends(figure, [axes])


@draws("images")
def similarities(found: list[Row]) -> Figure:
    """Histograms of cosines within a class and between classes."""
    figure, axes = new_figure(9.0, 3.2, ncols=2)
    for method, own in _by_encoder(found):
        for axis, kind in zip(axes, ("positive", "negative"), strict=True):
            y = _mean_series(own, f"{kind}_density")
            centres = [-1 + (2 * place + 1) / len(y) for place in range(len(y))]
            axis.plot(centres, y, color=look(method).colour, label=method)
    axes[0].set(xlabel="cosine", ylabel="density", title="Images of one class")
    axes[1].set(xlabel="cosine", title="Images of two classes")
    return _with_legends(figure, axes[:1])


@draws("mining")
def mining(found: list[Row]) -> Figure:
    """Mean distance between embeddings along training, for each miner: 0 is collapse."""
    figure, axes = new_figure()
    for place, miner in enumerate(("easy", "every", "semi_hard", "hard")):
        if own := _having(found, miner=miner):
            y = _mean_series(own, "spread")
            axes.plot(range(1, len(y) + 1), y, color=PALETTE[place], label=miner.replace("_", "-"))
    axes.set(xlabel="epoch", ylabel="mean squared distance", title="Hard mining and collapse (0)")
    return _with_legends(figure, [axes])


@draws("drlim_map", _is_first_seed)
def map(found: list[Row]) -> Figure:  # the name of the committed file
    """DrLIM's map of test digits."""
    figure, axes = new_figure(4.6 * len(found), 4.4, ncols=len(found), squeeze=False)
    for axis, row in zip(axes[0], sorted(found, key=lambda row: row["dataset"]), strict=True):
        for number, digit in enumerate(sorted(set(row["series"]["label"]))):
            at = [place for place, label in enumerate(row["series"]["label"]) if label == digit]
            x, y = ([row["series"][name][place] for place in at] for name in ("x", "y"))
            axis.scatter(x, y, s=3, color=PALETTE[number], label=f"{digit:.0f}")
        axis.set_title(row["dataset"])
        axis.set_aspect("equal", adjustable="datalim")
    return _with_legends(figure, axes[0])


def _having(rows: list[Row], **config: Any) -> list[Row]:
    return [row for row in rows if all(row["config"][name] == value for name, value in config.items())]


def _by_encoder(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each of the three encoders that are compared; variants of them have names of their own."""
    found = [(method, [row for row in rows if row["method"] == method]) for method in ("SimCLR", "DCL", "HCL")]
    return [(method, own) for method, own in found if own]


def _curve(rows: list[Row], setting: str, metric: str) -> tuple[list[float], list[float]]:
    """The mean of the metric over seeds at each value of the setting, in rising order."""
    groups: dict[float, list[float]] = {}
    for row in rows:
        groups.setdefault(row["config"][setting], []).append(row["metrics"][metric])
    x = sorted(groups)
    return x, [sum(groups[value]) / len(groups[value]) for value in x]


def _mean_series(rows: list[Row], name: str) -> list[float]:
    """The mean over rows at each place that all of them have."""
    return [sum(values) / len(values) for values in zip(*(row["series"][name] for row in rows), strict=False)]


def _draw_sphere(axis: Any, row: Row, dimensions: int) -> None:
    flat, labels = row["series"]["coordinates"], row["series"]["labels"]
    points = [flat[place : place + dimensions] for place in range(0, len(flat), dimensions)]
    turn = [2 * math.pi * step / 60 for step in range(61)]
    circle = ([math.cos(a) for a in turn], [math.sin(a) for a in turn], [0.0] * len(turn))
    if dimensions == 3:
        for x, y, z in ((0, 1, 2), (0, 2, 1), (2, 0, 1)):
            axis.plot(circle[x], circle[y], circle[z], color=GRID, linewidth=0.7)
        axis.set_box_aspect((1, 1, 1))
    else:
        axis.plot(*circle[:2], color=GRID, linewidth=0.7)
        axis.set_aspect("equal")
    axis.scatter(*zip(*points, strict=True), color=[PALETTE[int(label)] for label in labels], s=18)
    axis.set_axis_off()


def _with_legends(figure: Figure, axes: Iterable[Any]) -> Figure:
    for axis in axes:
        axis.legend()
    return figure
