"""Trains with a pipeline like the published one and with ours, seed by seed, and compares kNN after as many epochs.

    python -m benchmarks.hard_negatives.same_accuracy --output results/hard_negatives/same_accuracy.csv

The setting is that of the table ``photographs``, HCL, with the same first weights for both; it needs CIFAR-10 in the
data root. Views and order are drawn by each pipeline in its own way, so that the two agree within the seeds' noise.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.evaluate import features_of, knn
from benchmarks.hard_negatives.prepare import Prepared, prepared
from benchmarks.hard_negatives.published_pipeline import published_steps
from benchmarks.hard_negatives.steps import contrastive_inputs, contrastive_step
from benchmarks.hard_negatives.tables import HCL_BETA, PHOTOGRAPHS, hcl
from contrastbench.encoders.resnets import ENCODERS, ImageEncoder
from contrastbench.randomness import generator
from contrastbench.runner import Log, measured_on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=PHOTOGRAPHS.epochs)
    parser.add_argument("--images", type=int, default=PHOTOGRAPHS.train_images, help="to train on; 0: all")
    parser.add_argument("--encoder", default=PHOTOGRAPHS.encoder, choices=list(ENCODERS))
    parser.add_argument("--workers", type=int, default=1, help="DataLoader workers of the published pipeline")
    parser.add_argument("--output", type=Path, required=True, help="a CSV file")
    chosen = parser.parse_args()
    config = dataclasses.replace(
        PHOTOGRAPHS, epochs=chosen.epochs, train_images=chosen.images, encoder=chosen.encoder, curve_epochs=()
    )
    facts = {"encoder": config.encoder, "images": config.train_images, "batch": config.batch, "epochs": config.epochs}
    facts |= measured_on(chosen.device)
    lines = []
    for seed in range(chosen.seeds):
        for pipeline, percent in accuracies(config, chosen.device, chosen.workers, seed).items():
            lines.append({"pipeline": pipeline, "seed": seed, "test_knn_top1_percent": round(percent, 2), **facts})
            print(f"{pipeline}, seed {seed}: {percent:.2f} %", flush=True)
    print(summary(lines))
    pd.DataFrame(lines).to_csv(chosen.output, index=False)


def accuracies(config: Config, device: str, workers: int, seed: int) -> dict[str, float]:
    """Percent of the test images that kNN gets right after training by each pipeline."""
    config = hcl(config, "CIFAR10", beta=HCL_BETA)
    data = prepared(config, seed, device, Log())
    return {
        "published": _knn(config, published(config, data, workers, seed), data),
        "ours": _knn(config, ours(config, data, seed), data),
    }


def published(config: Config, data: Prepared, workers: int, seed: int) -> ImageEncoder:
    encoder = _encoder(config, data, seed)
    steps = published_steps(config, encoder, data.pretrain.cpu(), workers, generator(seed, "published"))
    encoder.train()
    for _ in range(config.epochs * (len(data.pretrain) // config.batch)):
        next(steps)
    return encoder


def ours(config: Config, data: Prepared, seed: int) -> ImageEncoder:
    encoder = _encoder(config, data, seed).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    step = contrastive_step(config, encoder, optimizer, data)
    encoder.train()
    for epoch in range(config.epochs):
        for inputs in contrastive_inputs(config, data, seed=seed, epoch=epoch):
            step(**inputs)
        step.mean_loss(epoch)
    return encoder


def summary(lines: list[dict[str, Any]]) -> str:
    """Means and deviations over the seeds, and of the differences in pairs."""
    by_pipeline = {
        name: [line["test_knn_top1_percent"] for line in lines if line["pipeline"] == name]
        for name in ("published", "ours")
    }
    by_pipeline["ours minus published"] = [ours - theirs for theirs, ours in zip(*by_pipeline.values(), strict=True)]
    spread = {name: statistics.stdev(values) if len(values) > 1 else 0.0 for name, values in by_pipeline.items()}
    return "\n".join(
        f"{name}: {statistics.mean(values):.2f} with a deviation of {spread[name]:.2f} over {len(values)} seeds"
        for name, values in by_pipeline.items()
    )


def _encoder(config: Config, data: Prepared, seed: int) -> ImageEncoder:
    encoder = ENCODERS[config.encoder](channels=data.pretrain.shape[1], rng=generator(seed, "weights"))
    return encoder.to(data.pretrain.device)


def _knn(config: Config, encoder: ImageEncoder, data: Prepared) -> float:
    bank, queries = (features_of(config, encoder, split.images, data) for split in (data.train, data.test))
    return knn(config, bank, queries, data)


if __name__ == "__main__":
    main()
