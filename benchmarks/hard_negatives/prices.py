"""Estimates the cost of a run from its number of images and the time of a step that ``speed`` measured; no torch.

It is for runs of which no similar one has a row. A step takes two views of an image through the encoder, forward and
backward. One image that goes forward once counts as a sixth of that. The fit of the exact probe is left out, and so is
what a queue or more views change.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from benchmarks.hard_negatives.config import Config
from contrastbench.runner import Run

IMAGES = {  # data set -> images to train on, of these with labels, to test on; as the catalogue has them
    "mnist5k": (3_000, 3_000, 2_000),
    "cifar10": (50_000, 50_000, 10_000),
    "cifar100": (50_000, 50_000, 10_000),
    "stl10": (105_000, 5_000, 8_000),
    "tinyimagenet": (100_000, 100_000, 10_000),
}
FORWARD = 1 / 6  # of an image's share of a step


def expected_seconds(run: Run, results: Path) -> dict[str, float]:
    """Seconds of a run on one core or one GPU, for each kind of device whose steps the file ``speed.csv`` has.

    Nothing for a data set of one's own, and nothing for an encoder that was not timed in the run's precision.

    Args:
        results: the paper's folder of results.
    """
    config: Config = run.config
    sizes = IMAGES.get(config.dataset.removesuffix("_reencoded"))
    file = results / "speed.csv"
    if sizes is None or not file.is_file():
        return {}
    with open(file, newline="", encoding="utf-8") as opened:
        lines = [line for line in csv.DictReader(opened) if _is_of(line, config)]
    lines.sort(key=lambda line: -abs(int(line["batch"]) - config.batch))  # the batch most like it last, which counts
    return {line["device"]: _seconds_an_image(line) * _images(run, *sizes) for line in lines}


def _is_of(line: Mapping[str, str], config: Config) -> bool:
    """Whether the line is of our step, with the config's encoder, in its precision; on a GPU of the captured one."""
    ours = "compiled" if config.compile else "eager" if line["device"].startswith("cpu") else "captured"
    settings = (line["contender"], line["encoder"], line["precision"])
    return settings == (ours, config.encoder, config.precision)


def _seconds_an_image(line: Mapping[str, str]) -> float:
    cores = int(line["threads"]) if line["device"].startswith("cpu") else 1
    return cores * float(line["milliseconds"]) / 1000 / int(line["batch"])


def _images(run: Run, everything: int, labelled: int, tested: int) -> float:
    """The run's work, in images of a training step. Pixels count as features of an encoder, which cost more."""
    config: Config = run.config
    everything, labelled = (min(each, config.train_images or each) for each in (everything, labelled))
    if run.stage == "raw_pixels_knn":
        return FORWARD * (labelled + tested)
    views = 2 if run.stage == "train" else 1
    evaluations = 1 + sum(epochs < config.epochs for epochs in config.curve_epochs)
    probe = config.probe_epochs * labelled if config.probe == "adam" and run.stage == "train" else 0
    trained = config.epochs * (everything if run.stage == "train" else labelled) * views / 2
    return trained + FORWARD * (evaluations * (labelled + tested) + probe)
