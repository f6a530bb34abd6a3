"""The studies' figures, made from rows alone: ``FIGURES[name](rows)`` gives a matplotlib figure, or None without rows.

Rows are dicts as the runner writes them. A seed's rows are averaged; where scales meet, the greatest is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from matplotlib.figure import Figure

from contrastbench.report.style import GRID, INK, PALETTE, look, new_figure

Row = dict[str, Any]
SCALES = ("smoke", "quick", "lite", "paper")


def figure_nce_gradient(rows: list[Row]) -> Figure | None:
    """Bias and spread of NCE's gradient over k."""
    found = _of(rows, "noise_gradient")
    if not found:
        return None
    figure, axes = new_figure(9.0, 3.4, ncols=2)
    for name, label, colour in (
        ("bias_percent", "bias (exact over the noise)", PALETTE[0]),
        ("spread_percent", "spread of one draw", PALETTE[1]),
    ):
        x, y = _curve(found, lambda row: row["config"]["samples"], lambda row, n=name: row["metrics"][n])
        axes[0].loglog(x, y, "o-", color=colour, label=label)
    axes[0].loglog(x, [100 / k for k in x], ":", color=INK, label="100 / k")
    axes[0].set(
        xlabel="k, noise samples a word", ylabel="percent of the exact gradient", title="NCE against the exact gradient"
    )
    for name, label, colour in (
        ("angle_degrees", "expected gradient", PALETTE[0]),
        ("mean_angle_of_a_draw_degrees", "one draw (mean)", PALETTE[1]),
    ):
        x, y = _curve(found, lambda row: row["config"]["samples"], lambda row, n=name: row["metrics"][n])
        axes[1].semilogx(x, y, "o-", color=colour, label=label)
    axes[1].set(xlabel="k, noise samples a word", ylabel="angle, degrees", title="Angle to the exact gradient")
    _legends(axes)
    return figure


def figure_nce_normaliser(rows: list[Row]) -> Figure | None:
    """Where log Z lies after training with Z fixed to 1."""
    found = [row for row in _of(rows, "noise_training") if row["seed"] == 0]
    if not found:
        return None
    figure, axes = new_figure()
    for place, row in enumerate(sorted(found, key=lambda row: row["config"]["samples"])):
        k = row["config"]["samples"]
        label = f"NCE k={k}" if k else "maximum likelihood"
        axes.plot(row["series"]["log_z_bin_centre"], row["series"]["log_z_density"], color=PALETTE[place], label=label)
    axes.set(
        xlabel="log Z of a context (beyond 2: in the last bin)", ylabel="density", title="NCE normalises by itself"
    )
    _legends([axes])
    return figure


def figure_information(rows: list[Row]) -> Figure | None:
    """InfoNCE's bound against the true mutual information, for each N."""
    found = _of(rows, "information")
    if not found:
        return None
    figure, axes = new_figure()
    truths = sorted({row["config"]["truth"] for row in found})
    axes.plot(truths, truths, color=INK, linewidth=1, label="the truth")
    for place, size in enumerate(sorted({row["config"]["size"] for row in found})):
        for critic, style in (("optimal", "o-"), ("trained", "x")):
            own = [r for r in found if r["config"]["size"] == size and r["config"]["critic"] == critic]
            if own:
                x, y = _curve(own, lambda row: row["config"]["truth"], lambda row: row["metrics"]["bound_nats"])
                label = f"N = {size}" + (", trained" if critic == "trained" else "")
                axes.plot(x, y, style, color=PALETTE[place], label=label)
        axes.axhline(math.log(size), color=PALETTE[place], linestyle=":", linewidth=0.8)
    axes.set(xlabel="mutual information, nats", ylabel="bound, nats", title="InfoNCE saturates at log N (dotted)")
    _legends([axes])
    return figure


def figure_estimators(rows: list[Row]) -> Figure | None:
    """Squared error of the biased, debiased and Bayesian negative terms over alpha, tau_plus and N."""
    found = [row for row in _of(rows, "estimators") if row["config"]["estimator"] in ("biased", "dcl", "bcl")]
    if not found:
        return None
    base = {"alpha": 0.9, "tau_plus": 0.1, "negatives": 100}
    figure, axes = new_figure(10.0, 3.2, ncols=3)
    for axis, name in zip(axes, base, strict=True):
        for method in ("biased", "DCL", "BCL"):
            own = [
                row
                for row in found
                if row["config"]["estimator"] == method.lower()
                and all(row["config"][other] == base[other] for other in base if other != name)
            ]
            x, y = _curve(own, lambda row, n=name: row["config"][n], lambda row: row["metrics"]["mse"])
            shown = look("SimCLR" if method == "biased" else method)
            axis.plot(x, y, marker=shown.marker, color=shown.colour, label=method)
        axis.set(xlabel=name, yscale="log", xscale="log" if name == "negatives" else "linear")
    axes[0].set(ylabel="mean squared error", title="Negative term against the true negatives' mean")
    _legends(axes[:1])
    return figure


def figure_hard_estimator(rows: list[Row]) -> Figure | None:
    """Error of HCL's hard mean over beta, with and without debiasing."""
    found = [row for row in _of(rows, "estimators") if row["config"]["estimator"] in ("undebiased", "hcl")]
    if not found:
        return None
    figure, axes = new_figure(9.0, 3.4, ncols=2)
    for axis, metric, label in (
        (axes[0], "root_mse_percent", "root mean squared error, % of the truth"),
        (axes[1], "bias_percent", "bias, % of the truth"),
    ):
        for estimator, method, name in (("hcl", "HCL", "HCL"), ("undebiased", "SimCLR", "not debiased")):
            own = [row for row in found if row["config"]["estimator"] == estimator]
            x, y = _curve(own, lambda row: row["config"]["beta"], lambda row, m=metric: row["metrics"][m])
            axis.plot(x, y, marker=look(method).marker, color=look(method).colour, label=name)
        axis.set(xlabel="beta", ylabel=label)
    axes[0].set_title("The hard mean over true negatives")
    _legends(axes[:1])
    return figure


def figure_limit(rows: list[Row]) -> Figure | None:
    """HCL's optimum on the circle and on the sphere, for each beta."""
    found = [row for row in _of(rows, "limit") if row["seed"] == 0]
    betas = sorted({row["config"]["beta"] for row in found})
    if not found:
        return None
    figure = Figure(figsize=(2.1 * len(betas), 4.6))
    for place, beta in enumerate(betas):
        for dimensions in (2, 3):
            own = [row for row in found if row["config"]["beta"] == beta and row["config"]["dimensions"] == dimensions]
            if not own:
                continue
            where = len(betas) * (dimensions - 2) + place + 1
            axis = figure.add_subplot(2, len(betas), where, projection="3d" if dimensions == 3 else None)
            _draw_sphere(axis, own[0], dimensions)
            axis.set_title(f"beta = {beta:g}\n{own[0]['metrics']['smallest_angle_degrees']:.1f}°", fontsize=8)
    return figure


def figure_alignment(rows: list[Row]) -> Figure | None:
    """Alignment and uniformity, epoch by epoch."""
    found = _encoders(rows)
    if not found:
        return None
    figure, axes = new_figure()
    for method, own in found.items():
        length = min(len(row["series"]["alignment"]) for row in own)
        x, y = ([_mean(row["series"][n][e] for row in own) for e in range(length)] for n in ("alignment", "uniformity"))
        axes.plot(x, y, "-", color=look(method).colour, linewidth=1)
        axes.scatter(x, y, s=[12 + 40 * e / length for e in range(length)], color=look(method).colour, label=method)
    axes.set(
        xlabel="alignment (lower: views closer)",
        ylabel="uniformity (lower: more even)",
        title="Training, larger dots later",
    )
    _legends([axes])
    return figure


def figure_similarities(rows: list[Row]) -> Figure | None:
    """Histograms of cosines within a class and between classes."""
    found = _encoders(rows)
    if not found:
        return None
    figure, axes = new_figure(9.0, 3.2, ncols=2)
    for method, own in found.items():
        for axis, kind in zip(axes, ("positive", "negative"), strict=True):
            bins = len(own[0]["series"][f"{kind}_density"])
            centres = [-1 + (2 * place + 1) / bins for place in range(bins)]
            y = [_mean(row["series"][f"{kind}_density"][place] for row in own) for place in range(bins)]
            axis.plot(centres, y, color=look(method).colour, label=method)
    axes[0].set(xlabel="cosine", ylabel="density", title="Images of one class")
    axes[1].set(xlabel="cosine", title="Images of two classes")
    _legends(axes[:1])
    return figure


def figure_annealing(rows: list[Row]) -> Figure | None:
    """kNN accuracy over beta: fixed, annealed, and with true positives."""
    found = [row for row in _of(rows, "images") if row["config"]["loss"] == "hcl"]
    if not found:
        return None
    figure, axes = new_figure()
    for label, colour, annealed, positives in (
        ("fixed", PALETTE[3], False, "views"),
        ("annealed to 0", PALETTE[1], True, "views"),
        ("fixed, true positives", PALETTE[2], False, "labels"),
    ):
        own = [r for r in found if r["config"]["annealed"] == annealed and r["config"]["positives"] == positives]
        if own:
            x, y = _curve(own, lambda row: row["config"]["beta"], lambda row: row["metrics"]["test_knn_top1_percent"])
            axes.plot(x, y, "o-", color=colour, label=label)
    axes.set(xlabel="beta", ylabel="kNN top-1, percent", title="Is harder better?")
    _legends([axes])
    return figure


def figure_mining(rows: list[Row]) -> Figure | None:
    """Mean distance between embeddings along training, for each miner: 0 is collapse."""
    found = _of(rows, "mining")
    if not found:
        return None
    figure, axes = new_figure()
    for place, miner in enumerate(("easy", "every", "semi_hard", "hard")):
        own = [row for row in found if row["config"]["miner"] == miner]
        if own:
            length = min(len(row["series"]["spread"]) for row in own)
            y = [_mean(row["series"]["spread"][epoch] for row in own) for epoch in range(length)]
            axes.plot(range(1, length + 1), y, color=PALETTE[place], label=miner.replace("_", "-"))
    axes.set(xlabel="epoch", ylabel="mean squared distance", title="Hard mining and collapse (0)")
    _legends([axes])
    return figure


def figure_map(rows: list[Row]) -> Figure | None:
    """DrLIM's map of test digits."""
    found = sorted((row for row in _of(rows, "drlim_map") if row["seed"] == 0), key=lambda row: row["dataset"])
    if not found:
        return None
    figure, axes = new_figure(4.6 * len(found), 4.4, ncols=len(found), squeeze=False)
    for axis, row in zip(axes[0], found, strict=True):
        for number, digit in enumerate(sorted(set(row["series"]["label"]))):
            at = [place for place, label in enumerate(row["series"]["label"]) if label == digit]
            x, y = ([row["series"][name][place] for place in at] for name in ("x", "y"))
            axis.scatter(x, y, s=3, color=PALETTE[number], label=f"{digit:.0f}")
        axis.set_title(row["dataset"])
        axis.set_aspect("equal", adjustable="datalim")
    _legends(axes[0])
    return figure


FIGURES: dict[str, Callable[[list[Row]], Figure | None]] = {
    "nce_gradient": figure_nce_gradient,
    "nce_normaliser": figure_nce_normaliser,
    "information": figure_information,
    "estimators": figure_estimators,
    "hard_estimator": figure_hard_estimator,
    "limit": figure_limit,
    "alignment": figure_alignment,
    "similarities": figure_similarities,
    "annealing": figure_annealing,
    "mining": figure_mining,
    "map": figure_map,
}


def _of(rows: list[Row], stage: str) -> list[Row]:
    """The stage's finished rows of the greatest scale there is."""
    done = [row for row in rows if row["stage"] == stage and row["status"] == "done"]
    scale = max((row["scale"] for row in done), key=SCALES.index, default=None)
    return [row for row in done if row["scale"] == scale]


def _encoders(rows: list[Row]) -> dict[str, list[Row]]:
    """SimCLR's, DCL's and HCL's rows as the tables alignment and similarities have them."""
    plain = [
        row for row in _of(rows, "images") if not row["config"]["annealed"] and row["config"]["positives"] == "views"
    ]
    wanted = {"SimCLR": ("nt_xent", 0.0), "DCL": ("dcl", 0.0), "HCL": ("hcl", 1.0)}
    found = {m: [r for r in plain if (r["config"]["loss"], r["config"]["beta"]) == key] for m, key in wanted.items()}
    return {method: own for method, own in found.items() if own}


def _curve(
    rows: list[Row], x_of: Callable[[Row], float], y_of: Callable[[Row], float]
) -> tuple[list[float], list[float]]:
    """The mean y over seeds at each x, x ascending."""
    groups: dict[float, list[float]] = {}
    for row in rows:
        groups.setdefault(x_of(row), []).append(y_of(row))
    x = sorted(groups)
    return x, [_mean(groups[value]) for value in x]


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return sum(collected) / len(collected)


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


def _legends(axes: Iterable[Any]) -> None:
    for axis in axes:
        axis.legend()
