"""Trains with a pipeline like the published one and with ours, seed by seed, and compares kNN after as many epochs.

    python -m benchmarks.hard_negatives.same_accuracy --output results/hard_negatives/same_accuracy.csv

The setting is that of the table ``photographs``, HCL, with the same first weights for both; it needs CIFAR-10 in the
data root. Views and order are drawn by each pipeline in its own way, so that the two agree within the seeds' noise.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.evaluate import features_of, knn
from benchmarks.hard_negatives.prepare import Prepared, encoder_of, prepare_data
from benchmarks.hard_negatives.speed import published_steps
from benchmarks.hard_negatives.tables import PHOTOGRAPHS, hcl
from benchmarks.hard_negatives.train import contrastive_inputs, contrastive_step
from contrastbench.encoders.resnets import ImageEncoder
from contrastbench.randomness import generator
from contrastbench.runner import Log
from contrastbench.timing import Line, measure


def lines(
    device: str,
    seeds: int = 5,
    epochs: int = PHOTOGRAPHS.epochs,
    images: int = PHOTOGRAPHS.train_images,
    encoder: str = PHOTOGRAPHS.encoder,
    workers: int = 1,
) -> Iterator[Line]:
    """A line for each pipeline and seed: the percentage of test images that kNN gets right."""
    base = replace(PHOTOGRAPHS, epochs=epochs, train_images=images, encoder=encoder, curve_epochs=())
    config = hcl(base, "CIFAR10")
    facts = {"encoder": encoder, "images": images, "batch": config.batch, "epochs": epochs}
    for seed in range(seeds):
        data = prepare_data(config, seed, device, Log())
        trained = {"published": published(config, data, seed, workers), "ours": ours(config, data, seed)}
        for pipeline, model in trained.items():
            bank, queries = (features_of(config, model, split.images, data) for split in (data.train, data.test))
            percent = round(knn(config, bank, queries, data), 2)
            yield {"pipeline": pipeline, "seed": seed, "test_knn_top1_percent": percent, **facts}


def published(config: Config, data: Prepared, seed: int, workers: int) -> ImageEncoder:
    encoder = encoder_of(config, data, seed, str(data.pretrain.device)).to(memory_format=torch.contiguous_format)
    steps = published_steps(config, encoder, data.pretrain.cpu(), workers, generator(seed, "published"))
    encoder.train()
    for _ in range(config.epochs * (len(data.pretrain) // config.batch)):
        next(steps)
    return encoder


def ours(config: Config, data: Prepared, seed: int) -> ImageEncoder:
    encoder = encoder_of(config, data, seed, str(data.pretrain.device))
    step = contrastive_step(config, encoder, data)
    encoder.train()
    for epoch in range(config.epochs):
        for inputs in contrastive_inputs(config, data, seed=seed, epoch=epoch):
            step(**inputs)
        step.mean_loss(epoch)
    return encoder


if __name__ == "__main__":
    measure(lines, ("pipeline", "seed", "encoder", "images", "batch", "epochs"), __doc__)
