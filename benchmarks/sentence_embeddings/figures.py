"""The paper's own figures, made from rows alone: what the losses gain, test by test.

Rows are dicts as the runner writes them; of several scales the greatest is drawn. Intervals are 95 % t-intervals over
seeds, and every seed is a point.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.sentence_embeddings.tables import EVERYWHERE
from contrastbench.report.style import INK, looks, new_figure
from contrastbench.verdicts.statistics import summarise, t_interval

Row = dict[str, Any]
SCALES = ("smoke", "quick", "lite", "paper")
TRANSFER, STS = "test_transfer_average_percent", "test_sts_average_x100"
TESTS = {
    TRANSFER: "average",
    **{f"test_{name.lower()}_accuracy_percent": name for name in ("MR", "CR", "SUBJ", "MPQA", "TREC", "MRPC")},
    STS: "average",
    **{f"test_sts{year}_spearman_x100": f"STS{year}" for year in (12, 13, 14, 15, 16)},
    **{"test_stsb_spearman_x100": "STS-B", "test_sick_r_spearman_x100": "SICK-R"},
}
NOT_ASKED = {"selection": "last", "temperature": 0.05, "hard_weight": 1.0, "model": ""}  # in figures of other settings


def figure_gains(rows: Sequence[Row]) -> Figure | None:
    """What debiased and hard negatives gain over Quick-Thoughts' and SimCSE's own losses, test by test."""
    thoughts = _seeds(_trained(rows, "quick_thoughts", encoder="gru"), _loss)
    alone, labelled = (_seeds(_trained(rows, "simcse", data=data), _loss) for data in ("books", "SNLI"))
    panels = {"Quick-Thoughts": thoughts, "SimCSE without labels": alone, "SimCSE with labels": labelled}
    drawn = {title: methods for title, methods in panels.items() if len(methods) > 1 and "its own loss" in methods}
    if not drawn:
        return None
    figure, axes = new_figure(4.4 * len(drawn), 4.6, ncols=len(drawn), squeeze=False)
    for panel, (title, methods) in zip(axes[0], drawn.items(), strict=True):
        _draw_gains(panel, methods, "its own loss")
        panel.set(title=title, xlabel="gain over its own loss, points")
    return figure


def figure_lift(rows: Sequence[Row]) -> Figure | None:
    """What SimCSE gains on the tests of similarity over the encoder that it starts from."""
    started = [row for row in _of(rows, "simcse", epochs=0, model="") if _has_scales_own(row)]
    starts = _seeds(started, lambda config: "the start")
    trained = _seeds(_trained(rows, "simcse"), lambda config: f"{_loss(config)}, {_data(config)}")
    if not starts or not trained:
        return None
    figure, panel = new_figure(7.4, 6.0)
    _draw_gains(panel, {**starts, **trained}, "the start")
    panel.set(title="SimCSE against its start", xlabel="gain, Spearman x 100")
    return figure


FIGURES: dict[str, Callable[[list[Row]], Figure | None]] = {
    "gains": figure_gains,
    "lift": figure_lift,
}


# --------------------------------------------------------------------------------------------------------- which rows


def _of(rows: Iterable[Row], stage: str, **config: object) -> list[Row]:
    """The finished rows of a stage and of these settings, of the greatest scale that has any of that stage."""
    of_stage = [row for row in rows if row["stage"] == stage and row["status"] == "done"]
    scale = max((row["scale"] for row in of_stage), key=SCALES.index, default=None)
    own = [row for row in of_stage if row["scale"] == scale]
    return [row for row in own if all(row["config"][name] == value for name, value in config.items())]


def _trained(rows: Iterable[Row], stage: str, **config: object) -> list[Row]:
    """Trained rows that differ from the tables' defaults in loss, beta and tau_plus alone."""
    others = NOT_ASKED if stage == "simcse" else {"diagonal": "code"}
    trained = [row for row in _of(rows, stage, **others, **config) if row["config"]["epochs"]]
    return [row for row in trained if _has_scales_own(row, "sentences", "batch")]


def _has_scales_own(row: Row, *settings: str) -> bool:
    """Whether the run has its scale's tests and these settings; ``books``, ``batch`` and others have other ones."""
    config, own = row["config"], EVERYWHERE[row["scale"]][0].base
    supervised = own.supervised if config.get("data") == "SNLI" else None
    base = own.thoughts if row["stage"] == "quick_thoughts" else supervised or own.unsupervised
    return [*config["tests"]] == [*base.tests] and all(config[name] == getattr(base, name) for name in settings)


def _loss(config: Mapping[str, Any]) -> str:
    if config["loss"] in ("biased", "simcse"):
        return "its own loss"
    beta = f", beta={config['beta']:g}" if config["loss"] == "hcl" else ""
    return f"{config['loss'].upper()} tau={config['tau_plus']:g}{beta}"


def _data(config: Mapping[str, Any]) -> str:
    return "with labels" if config["data"] == "SNLI" else "without labels"


def _seeds(rows: Iterable[Row], method_of: Callable[[Mapping[str, Any]], str]) -> dict[str, dict[int, Row]]:
    """Method -> seed -> row."""
    found: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in rows:
        found[method_of(row["config"])][row["seed"]] = row
    return {method: dict(sorted(seeds.items())) for method, seeds in sorted(found.items())}


# ------------------------------------------------------------------------------------------------------------- drawing


def _draw_gains(panel: Any, methods: Mapping[str, Mapping[int, Row]], baseline: str) -> None:
    """A line of dots for each test, and on it each method's gain over the baseline in pairs by seed."""
    against = methods[baseline]
    others = {method: seeds for method, seeds in methods.items() if method != baseline}
    tests = [test for test in TESTS if all(test in row["metrics"] for row in against.values())]
    for number, (method, look) in enumerate(looks(others).items()):
        shift = 0.8 * ((number + 0.5) / len(others) - 0.5)
        for place, test in enumerate(tests):
            shared = others[method].keys() & against.keys()
            gains = [others[method][s]["metrics"][test] - against[s]["metrics"][test] for s in sorted(shared)]
            if not gains:
                continue
            panel.plot(gains, [place + shift] * len(gains), ".", color=look.colour, alpha=0.45, markersize=3)
            if interval := t_interval(summarise(gains)):
                panel.plot(interval, [place + shift] * 2, color=look.colour, alpha=0.6, linewidth=1)
            label = method if place == 0 else None
            panel.plot(np.mean(gains), place + shift, marker=look.marker, color=look.colour, label=label)
    panel.axvline(0, color=INK, linewidth=0.8)
    panel.set_yticks(range(len(tests)), [TESTS[test] for test in tests])
    panel.invert_yaxis()
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
