"""Times whole training steps of stage 3 with each method's losses, in turns: what NCL's losses add to the baseline's.

    python -m benchmarks.novel_class_discovery.speed_steps --output results/novel_class_discovery/speed_steps.csv
    python -m benchmarks.novel_class_discovery.speed_steps --device cpu --batch 32 --steps 1 --turns 5

A step is views, network, losses and update, with the published settings for CIFAR-10 and with all losses that the
method ever has. Images are noise, whose content costs nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import torch

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.discover import discovering
from benchmarks.novel_class_discovery.protocols import PAPER_CIFAR10
from benchmarks.novel_class_discovery.tables import BASELINE, METHODS
from benchmarks.novel_class_discovery.task import CODE_STATISTICS, Task, task_in_memory
from contrastbench.data.images import Images, Split
from contrastbench.randomness import generator
from contrastbench.timing import Line, measure, seconds_in_turns


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
    base = replace(PAPER_CIFAR10.discover, epochs=4, clusters=5, **shared)  # type: ignore[arg-type]
    task = noise(base, images, device)
    taking = {method: taken(replace(base, **changes), task, device) for method, changes in METHODS.items()}
    turn = {method: lambda each=each: list(islice(each, steps)) for method, each in taking.items()}
    seconds = seconds_in_turns(turn, turns, device)
    for method, each in seconds.items():
        times = {"milliseconds": round(1e3 * each / steps, 2), "times_baseline": round(each / seconds[BASELINE], 2)}
        yield {"method": method, **times, **shared}


def taken(config: Discover, task: Task, device: str) -> Iterator[None]:
    """Each ``next`` takes a step with all losses that the run ever has: those of its last epoch."""
    training = discovering(config, task, 0, device)
    while True:
        for given in training.inputs(config.epochs - 1):
            training.step(**given)
            yield
        training.step.mean_loss()


def noise(config: Discover, images: int, device: str) -> Task:
    """Noise in place of CIFAR-10, as many images of each class."""
    pixels = torch.randint(256, (images, 3, 32, 32), generator=generator(0, "data"), dtype=torch.uint8)
    split = Split(pixels, torch.arange(images) % 10)
    return task_in_memory(config, Images("cifar10", split, split, 10, "", *CODE_STATISTICS["cifar10"], ""), device)


if __name__ == "__main__":
    measure(lines, ("method", "encoder", "precision", "batch"), __doc__)
