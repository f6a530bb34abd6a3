"""The paper's own figure, made from rows alone: how long the gain over SimCLR lasts."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.tables import BAYES, BCL_TAU_PLUS, TAU_PLUS
from contrastbench.report.curves import Panel, curve_panels

Row = dict[str, Any]

METRICS = ("test_linear_top1_percent", "test_knn_top1_percent")
LOSS_FIELDS = ("loss", "tau_plus", "alpha", "beta", "probe_learning_rate")  # what sets a method apart from SimCLR
LENGTH_FIELDS = ("epochs", "curve_epochs")
SETTINGS_OF_THEIR_OWN = ("anneal", "alpha_from", "positives", "positive_samples", "queue")  # other questions


def figure_length(rows: Sequence[Row]) -> Figure | None:
    """Gain over SimCLR after training for so long, paired by seed: mean, 95 % t-interval and every seed.

    A panel for each protocol that was trained for more than one length, or measured along the way, and each metric. A
    method is at its printed settings, or at any beta.
    """
    every = [
        Panel(title, m, gains_over_simclr(own, m), baseline="SimCLR")
        for title, own in _protocols(rows).items()
        for m in METRICS
    ]
    panels = [panel for panel in every if len({epochs for points in panel.lines.values() for epochs in points}) > 1]
    return curve_panels(panels, "epochs", widest=2) if panels else None


def gains_over_simclr(rows: Sequence[Row], metric: str) -> dict[str, dict[int, dict[int, float]]]:
    """Method -> epochs -> seed -> the gain, in points, over SimCLR of the seed after as many epochs."""
    measured: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    for row in rows:
        for epochs, value in _points(row, metric).items():
            measured[_method(row["config"])][epochs, row["seed"]] = value
    baseline = measured.pop("SimCLR", {})
    gains: dict[str, dict[int, dict[int, float]]] = {}
    for method, values in sorted(measured.items()):
        for epochs, seed in sorted(values.keys() & baseline.keys()):
            gain = values[epochs, seed] - baseline[epochs, seed]
            gains.setdefault(method, {}).setdefault(epochs, {})[seed] = gain
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


FIGURES = {"length": figure_length}
