"""The paper's own figure, made from rows alone: how long the gain over SimCLR lasts."""

from __future__ import annotations

import itertools
import json
import math
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.tables import BAYES, BCL_TAU_PLUS, TAU_PLUS
from contrastbench.report.style import INK, looks, new_figure

Row = dict[str, Any]
Gains = dict[str, dict[int, list[float]]]  # method -> epochs -> the gain of each seed, in points

METRICS = {"test_linear_top1_percent": "linear probe", "test_knn_top1_percent": "kNN"}
LOSS_FIELDS = ("loss", "tau_plus", "alpha", "beta", "probe_learning_rate")  # what sets a method apart from SimCLR
LENGTH_FIELDS = ("epochs", "curve_epochs")
BESIDE = 1.03  # methods stand side by side at an epoch, each this much to the right of the one before
SETTINGS_OF_THEIR_OWN = ("anneal", "alpha_from", "positives", "positive_samples", "queue")  # other questions


def figure_length(rows: Sequence[Row]) -> Figure | None:
    """Gain over SimCLR after training for so long, paired by seed: mean, 95 % t-interval and every seed.

    A panel for each protocol that was trained for more than one length, or measured along the way, and each metric. A
    method is at its printed settings, or at any beta.
    """
    every = [(title, m, gains_over_simclr(own, m)) for title, own in _protocols(rows).items() for m in METRICS]
    panels = [each for each in every if len({epochs for points in each[2].values() for epochs in points}) > 1]
    if not panels:
        return None
    lines = math.ceil(len(panels) / 2)
    figure, axes = new_figure(9.0, 3.4 * lines, nrows=lines, ncols=2, squeeze=False)
    for panel, drawn in itertools.zip_longest(axes.flat, panels):
        if drawn is None:
            panel.set_visible(False)
            continue
        title, metric, gains = drawn
        _draw(panel, gains)
        panel.set(xlabel="epochs", ylabel=f"gain over SimCLR, points ({METRICS[metric]})")
        panel.set_title(textwrap.fill(title, 44))
    axes.flat[0].legend(loc="best")
    return figure


def gains_over_simclr(rows: Sequence[Row], metric: str) -> Gains:
    """Each method's gain over SimCLR of the same seed after the same number of epochs."""
    measured: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    for row in rows:
        for epochs, value in _points(row, metric).items():
            measured[_method(row["config"])][row["seed"], epochs] = value
    baseline = measured.pop("SimCLR", {})
    gains: Gains = {}
    for method, values in sorted(measured.items()):
        points: dict[int, list[float]] = defaultdict(list)
        for seed, epochs in sorted(values.keys() & baseline.keys()):
            points[epochs].append(values[seed, epochs] - baseline[seed, epochs])
        if points:
            gains[method] = dict(sorted(points.items()))
    return gains


def _protocols(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Trained runs by everything in their config but the loss and the length, under a title."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        config = row["config"]
        if row["stage"] == "train" and config["epochs"] and _at_printed_settings(row):
            shared = {n: v for n, v in config.items() if n not in (*LOSS_FIELDS, *LENGTH_FIELDS)}
            groups[json.dumps([row["scale"], row["variant"], shared], sort_keys=True)].append(row)
    titled: dict[str, list[Row]] = {}
    for group in groups.values():
        config = group[0]["config"]
        images = f", {config['train_images']:,} images" if config["train_images"] else ""
        copied = ", encoded once more" if config["dataset"].endswith("_reencoded") else ""
        title = f"{group[0]['dataset']}{images}{copied}, {config['encoder']} ({group[0]['scale']})"
        titled[title if title not in titled else f"{title} {len(titled) + 1}"] = group
    return titled


def _at_printed_settings(row: Row) -> bool:
    """Whether the run is SimCLR, or another method at what its paper prints for the data set, beta of HCL apart.

    Those of other tables would stand on the same point under the same name.
    """
    config, dataset = row["config"], row["dataset"]
    if any(name in config for name in SETTINGS_OF_THEIR_OWN) or config["temperature"] != Config().temperature:
        return False
    if config["loss"] == "bcl":
        printed = (*BAYES.get(dataset, (config["alpha"], config["beta"])), BCL_TAU_PLUS)
        return (config["alpha"], config["beta"], config["tau_plus"]) == printed
    return config["loss"] == "nt_xent" or config["tau_plus"] == TAU_PLUS.get(dataset, config["tau_plus"])


def _points(row: Row, metric: str) -> dict[int, float]:
    """Epochs -> value: the row's curve, and its last epoch."""
    series = row["series"]
    points = dict(zip(series.get("curve_epochs", ()), series.get(f"curve_{metric}", ()), strict=False))
    if metric in row["metrics"]:
        points[row["config"]["epochs"]] = row["metrics"][metric]
    return points


def _method(config: Mapping[str, Any]) -> str:
    names = {"nt_xent": "SimCLR", "dcl": "DCL", "hcl": f"HCL beta={config['beta']:g}", "bcl": "BCL"}
    return names[config["loss"]]


def _draw(panel: Any, gains: Gains) -> None:
    for number, (method, look) in enumerate(looks(gains).items()):
        points = {epochs * BESIDE ** (number - len(gains) / 2): values for epochs, values in gains[method].items()}
        means = [np.mean(values) for values in points.values()]
        panel.plot(list(points), means, marker=look.marker, color=look.colour, label=method)
        for place, values in points.items():
            panel.plot([place] * len(values), values, ".", color=look.colour, alpha=0.45, markersize=4)
        known = [(place, *interval) for place, values in points.items() if (interval := _interval(values))]
        if known:
            places, low, high = zip(*known, strict=True)
            panel.vlines(places, low, high, color=look.colour, alpha=0.35, linewidth=3)
    every = sorted({epochs for points in gains.values() for epochs in points})
    panel.axhline(0, color=INK, linewidth=0.8)
    panel.set_xscale("log")
    panel.set_xticks(every, [f"{epochs:g}" for epochs in every])
    panel.minorticks_off()


def _interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % t-interval of the mean; none of a single value."""
    if len(values) < 2:
        return None
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


FIGURES = {"length": figure_length}
