"""Milliseconds of a training step: ours eager, captured and compiled, and a pipeline as the papers published theirs.

    python -m benchmarks.hard_negatives.speed --output results/hard_negatives/speed.csv
    python -m benchmarks.hard_negatives.speed --encoders resnet18 --batch 16 --steps 2 --turns 3 --workers 1

The second line is for a CPU, where nothing can be captured. Images are noise, whose content costs nothing. The
contenders take turns, so that a busy machine disturbs all alike; the median of the turns counts. Each line of the file
names the device and the commit. Lines that the file has of other devices, encoders or precisions stay.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prepare import CIFAR10_MEAN, CIFAR10_STD, Prepared
from benchmarks.hard_negatives.published_pipeline import published_steps
from benchmarks.hard_negatives.steps import contrastive_inputs, contrastive_step
from contrastbench.data.augmentation import natural_recipe
from contrastbench.data.images import Split
from contrastbench.encoders.resnets import ENCODERS
from contrastbench.randomness import generator
from contrastbench.runner import measured_on

Steps = Iterator[None]  # each ``next`` takes a step
CONTENDERS = ("published", "eager", "captured", "compiled")
MEASUREMENT = ["contender", "encoder", "precision", "batch", "device"]  # what tells the lines of the file apart


def contender(name: str, config: Config, images: Tensor, device: str, workers: int) -> Steps | None:
    """Takes steps as that contender does; None for what the device or the precision rules out."""
    if name == "published":
        if config.precision != "float32":
            return None
        encoder = ENCODERS[config.encoder](channels=3, rng=generator(0, "weights")).to(device)
        return published_steps(config, encoder, images, workers, generator(0, "published"))
    if name == "captured" and device == "cpu":
        return None
    return _our_steps(config, _prepared(config, images.to(device)), device, name)


def _our_steps(config: Config, data: Prepared, device: str, name: str) -> Steps:
    """Steps of the suite; "compiled" on a GPU is captured too."""
    encoder = ENCODERS[config.encoder](channels=3, rng=generator(0, "weights"))
    encoder.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    step = contrastive_step(config, encoder, optimizer, data)
    step.capture = name != "eager"
    epoch = 0
    while True:
        for inputs in contrastive_inputs(config, data, seed=0, epoch=epoch):
            step(**inputs)
            yield
        step.mean_loss(epoch)
        epoch += 1


def _prepared(config: Config, images: Tensor) -> Prepared:
    nothing = Split(images[:0], torch.zeros(0, dtype=torch.long))
    recipe = natural_recipe(config.view_size)
    return Prepared(images, nothing, nothing.labels, nothing, "test", 10, CIFAR10_MEAN, CIFAR10_STD, recipe)


def milliseconds(steps: dict[str, Steps], count: int, turns: int, wait: Callable[[], None]) -> dict[str, float]:
    """The median over the turns of each contender's time for a step, after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns + 1):
        for name, taking in steps.items():
            wait()
            began = time.perf_counter()
            for _ in range(count):
                next(taking)
            wait()
            if turn:  # the first captures, compiles and starts workers
                times[name].append(1000 * (time.perf_counter() - began) / count)
    return {name: statistics.median(each) for name, each in times.items()}


def measured(config: Config, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """One line for each contender of one encoder and precision."""
    rng = generator(0, "data")
    images = torch.randint(256, (chosen.images, 3, 32, 32), generator=rng, dtype=torch.uint8)
    steps = {}
    for name in chosen.contenders:
        made = contender(name, _config_of(name, config), images, chosen.device, chosen.workers)
        if made is not None:
            steps[name] = made
    on_gpu = chosen.device != "cpu"
    times = milliseconds(steps, chosen.steps, chosen.turns, torch.cuda.synchronize if on_gpu else lambda: None)
    shared = {"encoder": config.encoder, "precision": config.precision, "batch": config.batch}
    return [{"contender": name, "milliseconds": round(value, 2), **shared} for name, value in times.items()]


def _config_of(name: str, config: Config) -> Config:
    return Config(**{**vars(config), "compile": name == "compiled"})


def write(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes the lines in place of those that the file has of the same measurement, and keeps its others."""
    table = pd.DataFrame(lines)
    if path.exists():
        table = pd.concat([pd.read_csv(path), table]).drop_duplicates(MEASUREMENT, keep="last")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--encoders", nargs="+", default=["resnet18", "resnet50"], choices=list(ENCODERS))
    parser.add_argument("--precisions", nargs="+", default=["bf16", "float32"], choices=["bf16", "float32"])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--batch", type=int, default=256, help="items")
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=20, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--workers", type=int, default=12, help="DataLoader workers of the published pipeline")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    lines = []
    for encoder in chosen.encoders:
        for precision in chosen.precisions:
            config = Config(
                encoder=encoder, loss="hcl", tau_plus=0.1, beta=1.0, batch=chosen.batch, precision=precision
            )
            for line in measured(config, chosen):
                lines.append(line)
                print(*(str(value).ljust(12) for value in line.values()))
    if chosen.output:
        facts = {**measured_on(chosen.device), "threads": torch.get_num_threads(), "workers": chosen.workers}
        write([{**line, **facts} for line in lines], chosen.output)


if __name__ == "__main__":
    main()
