"""Times whole training steps of stage 3 with each method's losses, in turns: what NCL's losses add to the baseline's.

    python -m benchmarks.novel_class_discovery.speed_steps --output results/novel_class_discovery/speed_steps.csv
    python -m benchmarks.novel_class_discovery.speed_steps --device cpu --batch 32 --steps 1 --turns 5

A step is views, network, losses and update, with the published settings for CIFAR-10 and with all losses that the
method ever has. On a GPU it is captured. Images are noise, whose content costs nothing. Each method's time is the
median of its turns, after a first one that captures and warms up.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.discover import discovering
from benchmarks.novel_class_discovery.model import ENCODERS
from benchmarks.novel_class_discovery.pictures import InMemory
from benchmarks.novel_class_discovery.protocols import PROTOCOLS
from benchmarks.novel_class_discovery.queues import Memory
from benchmarks.novel_class_discovery.stages import built
from benchmarks.novel_class_discovery.tables import BASELINE, METHODS
from benchmarks.novel_class_discovery.task import CODE_MEAN, CODE_STD, Task
from contrastbench.randomness import generator
from contrastbench.runner import measured_on

CLASSES = 5  # known, and as many novel ones
Line = dict[str, str | int | float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--encoder", default="resnet18_cifar", choices=[name for name in ENCODERS if name != "resnet18"]
    )
    parser.add_argument("--precision", default="float32", choices=["float32", "bf16"])
    parser.add_argument("--batch", type=int, default=128, help="labelled and unlabelled images")
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=20, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--output", type=Path, help="a CSV file; without it the times are printed alone")
    chosen = parser.parse_args()
    settings = {name: getattr(chosen, name) for name in ("encoder", "precision", "batch")}
    facts = {"threads": torch.get_num_threads(), **measured_on(chosen.device)}
    lines = [{**line, **settings, **facts} for line in timed(settings, chosen)]
    print(*(f"{line['method']}: {line['milliseconds']} ms, {line['times_baseline']} times" for line in lines), sep="\n")
    if chosen.output:
        pd.DataFrame(lines).to_csv(chosen.output, index=False)


def timed(settings: dict[str, str | int], chosen: argparse.Namespace) -> list[Line]:
    """Milliseconds of a step for each method, and each as a multiple of the baseline's."""
    published = PROTOCOLS["paper"]["CIFAR10-5/5"].discover
    task = noise(chosen.images, chosen.device)
    base = dataclasses.replace(published, **settings, epochs=4)  # type: ignore[arg-type]
    steps = {method: steps_of(dataclasses.replace(base, **changes), task) for method, changes in METHODS.items()}
    seconds: dict[str, list[float]] = {method: [] for method in steps}
    for turn in range(chosen.turns + 1):
        for method, taking in steps.items():
            wait(chosen.device)
            start = time.perf_counter()
            for _ in range(chosen.steps):
                next(taking)
            wait(chosen.device)
            if turn:
                seconds[method].append((time.perf_counter() - start) / chosen.steps)
    median = {method: statistics.median(each) for method, each in seconds.items()}
    return [
        {
            **{"method": method, "milliseconds": round(1000 * value, 2)},
            "times_baseline": round(value / median[BASELINE], 2),
        }
        for method, value in median.items()
    ]


def steps_of(config: Discover, task: Task) -> Iterator[None]:
    """Each ``next`` takes a step, with the losses of the last epoch."""
    device = str(task.train.images.device) if isinstance(task.train, InMemory) else "cpu"
    model = built(config, task, {"known": task.known, "novel": task.novel}, 0, device)
    memory = Memory(config, model.width, 0).to(device)
    training = discovering(config, task, model, memory, 0, device)
    training.model.train()
    while True:
        for given in training.inputs(config.epochs - 1):
            training.step(**given)
            yield
        training.step.mean_loss()


def noise(images: int, device: str) -> Task:
    """Noise in place of CIFAR-10: half of the images are of known classes."""
    rng = generator(0, "data")
    pixels = torch.randint(256, (images, 3, 32, 32), generator=rng, dtype=torch.uint8).to(device)
    labels = torch.arange(images // 2) % CLASSES
    none = InMemory(pixels[:0])
    return Task(
        train=InMemory(pixels),
        labels=labels,
        novel_labels_for_evaluation=labels,
        test_known=none,
        test_known_labels=labels[:0],
        test_novel=none,
        test_novel_labels=labels[:0],
        known=CLASSES,
        novel=CLASSES,
        channels=3,
        mean=CODE_MEAN,
        std=CODE_STD,
        about={},
    )


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
