"""Estimates the cost of a run from its number of images and the time that an image took; no torch.

It is for runs of which no similar one has a row, as on a data set of one's own. What an image takes is what ``speed``
measured of a step, or what shipped runs with the same encoder took. A step takes two views of an image through the
encoder, forward and backward. One image that goes forward once counts as a sixth of that. The fit of the exact probe
is left out, and so is what a queue or more views change.
"""

import csv
import json
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from statistics import quantiles

from benchmarks.hard_negatives.config import Config
from contrastbench.data import catalogue, sources
from contrastbench.runner import Run

IMAGES = {  # data set -> images to train on, of these with labels, to test on; as the catalogue has them
    "mnist5k": (3_000, 3_000, 2_000),
    "cifar10": (50_000, 50_000, 10_000),
    "cifar100": (50_000, 50_000, 10_000),
    "stl10": (105_000, 5_000, 8_000),
    "tinyimagenet": (100_000, 100_000, 10_000),
}
FORWARD = 1 / 6  # of an image's share of a step
TIMED_SIDE = 32  # pixels of the views that were timed


def expected_seconds(run: Run, results: Path) -> dict[str, float]:
    """Seconds of a run on one core or one GPU, for each kind of device that ``speed.csv`` or shipped rows were made on.

    Nothing for an encoder that was not timed in the run's precision, and nothing for a data set that is not here.

    Args:
        results: the paper's folder of results.
    """
    config: Config = run.config
    sizes = IMAGES.get(config.dataset.removesuffix("_reencoded"))
    if sizes is None and (counted := sources.count(config.dataset, catalogue.data_root())):
        sizes = counted[0], *counted
    if sizes is None:
        return {}
    work = _work(run, *sizes)
    by_rows = _seconds_of_rows(results / "rows.jsonl").get((config.encoder, config.precision), {})
    return {device: seconds * work for device, seconds in {**by_rows, **_seconds_of_steps(results, config)}.items()}


def _seconds_of_steps(results: Path, config: Config) -> dict[str, float]:
    """Device -> seconds an image, by our measured step whose batch is most like the config's; on a GPU the captured."""
    if not (results / "speed.csv").is_file():
        return {}
    with open(results / "speed.csv", newline="", encoding="utf-8") as opened:
        lines = sorted(csv.DictReader(opened), key=lambda line: -abs(int(line["batch"]) - config.batch))
    seconds = {}
    for line in lines:
        on_cpu = line["device"].startswith("cpu")
        ours = "compiled" if config.compile else "eager" if on_cpu else "captured"
        if (line["contender"], line["encoder"], line["precision"]) == (ours, config.encoder, config.precision):
            cores = int(line["threads"]) if on_cpu else 1
            seconds[line["device"]] = cores * float(line["milliseconds"]) / 1000 / int(line["batch"])
    return seconds


@lru_cache(maxsize=1)
def _seconds_of_rows(file: Path) -> dict[tuple[str, str], dict[str, float]]:
    """(encoder, precision) -> device -> seconds an image: the lower quartile, as other work only adds time."""
    measured: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        row = json.loads(line)
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in row["config"].items()}
        run = Run(row["paper"], Config(**fields), 0, row["scale"], stage=row["stage"])
        if row["status"] == "done" and run.stage == "train" and run.config.epochs and not row["resumes"]:
            work = _work(run, *IMAGES[run.config.dataset.removesuffix("_reencoded")])
            measured[run.config.encoder, run.config.precision][row["device"]].append(row["seconds"] / work)
    return {
        encoder: {device: quantiles(values)[0] for device, values in by_device.items() if len(values) > 1}
        for encoder, by_device in measured.items()
    }


def _work(run: Run, everything: int, labelled: int, tested: int) -> float:
    """The run's images, in those of a training step of 32 x 32 pixels.

    Pixels count as an encoder's features, which cost more.
    """
    config: Config = run.config
    everything, labelled = (min(each, config.train_images or each) for each in (everything, labelled))
    size = (config.view_size / TIMED_SIDE) ** 2
    if run.stage == "raw_pixels_knn":
        return size * FORWARD * (labelled + tested)
    trained = config.epochs * (everything if run.stage == "train" else labelled / 2)
    evaluations = 1 + sum(epochs < config.epochs for epochs in config.curve_epochs)
    probe = config.probe_epochs * labelled if config.probe == "adam" and run.stage == "train" else 0
    return size * (trained + FORWARD * (evaluations * (labelled + tested) + probe))
