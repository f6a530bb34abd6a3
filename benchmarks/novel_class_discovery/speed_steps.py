"""Times whole training steps of stage 3 with each method's losses, in turns: what NCL's losses add to the baseline's.

    python -m benchmarks.novel_class_discovery.speed_steps --output results/novel_class_discovery/speed_steps.csv
    python -m benchmarks.novel_class_discovery.speed_steps --device cpu --batch 32 --steps 1 --turns 5

A step is views, network, losses and update, with the published settings for CIFAR-10 and with all losses that the
method ever has. Images are noise, whose content costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.discover import discovering
from benchmarks.novel_class_discovery.protocols import PAPER_CIFAR10
from benchmarks.novel_class_discovery.stages import build_network
from benchmarks.novel_class_discovery.tables import BASELINE, METHODS
from benchmarks.novel_class_discovery.task import CODE_STATISTICS, InMemory, Task
from contrastbench.randomness import generator
from contrastbench.timing import Line, measure, seconds_in_turns

CLASSES = 5  # known, and as many novel ones


def lines(
    device: str,
    encoder: str = "resnet18_cifar",
    precision: str = "float32",
    batch: int = 128,
    images: int = 4096,
    steps: int = 20,
    turns: int = 9,
) -> Iterator[Line]:
    """Milliseconds of a step for each method, and as a multiple of the baseline's; a turn has ``steps`` steps."""
    shared = {"encoder": encoder, "precision": precision, "batch": batch}
    base = replace(PAPER_CIFAR10.discover, epochs=4, **shared)  # type: ignore[arg-type]
    task = noise(images, device)
    turn = {method: _turn(replace(base, **changes), task, steps, device) for method, changes in METHODS.items()}
    seconds = seconds_in_turns(turn, turns, device)
    for method, each in seconds.items():
        times = {"milliseconds": round(1e3 * each / steps, 2), "times_baseline": round(each / seconds[BASELINE], 2)}
        yield {"method": method, **times, **shared}


def _turn(config: Discover, task: Task, steps: int, device: str) -> Callable[[], None]:
    model = build_network(config, task, {"known": task.known, "novel": task.novel}, 0, device)
    training = discovering(config, task, model, 0, device)
    training.model.train()

    def endless() -> Iterator[None]:
        while True:
            for given in training.inputs(config.epochs - 1):  # its losses are all that the run ever has
                training.step(**given)
                yield
            training.step.mean_loss()

    taking = endless()

    def turn() -> None:
        for _ in range(steps):
            next(taking)

    return turn


def noise(images: int, device: str) -> Task:
    """Noise in place of CIFAR-10: half of the images are of known classes."""
    rng = generator(0, "data")
    pixels = torch.randint(256, (images, 3, 32, 32), generator=rng, dtype=torch.uint8).to(device)
    labels = torch.arange(images // 2) % CLASSES
    none, (mean, std) = InMemory(pixels[:0]), CODE_STATISTICS["cifar10"]
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
        mean=mean,
        std=std,
        about={},
    )


if __name__ == "__main__":
    measure(lines, ("method", "encoder", "precision", "batch"), __doc__)
