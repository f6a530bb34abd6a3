"""What the losses are set beside: an encoder trained with labels, and the pixels themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from baselines.pixels import raw_pixels
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.evaluate import features_of, knn, labelled_inputs
from benchmarks.hard_negatives.prepare import check_one_process, encoder_of, prepare_data
from contrastbench.data.augmentation import normalised_views
from contrastbench.evaluation.linear import linear_classifier, linear_top1_percent
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, products_in


def supervised(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """The upper reference: the same encoder, views and epochs, trained with labels by cross-entropy.

    ``linear`` is here the classifier that was trained with the encoder, ``knn`` the features before it.
    """
    data = prepare_data(config, seed, device, log)
    check_one_process(config, "the supervised reference")
    encoder = encoder_of(config, data, seed, device)
    classifier = linear_classifier(encoder.width, data.classes, rng=generator(seed, "evaluation")).to(device)
    trained = [*encoder.backbone.parameters(), *classifier.parameters()]
    optimizer = torch.optim.Adam(trained, lr=config.learning_rate, weight_decay=config.weight_decay)

    def loss_of(index: Tensor, **draws: Any) -> Tensor:
        (view,) = normalised_views(data.train.images[index], data.recipe, draws, mean=data.mean, std=data.std)
        with products_in(config.precision, index):
            features = encoder.features(view.contiguous(memory_format=torch.channels_last))
        return nn.functional.cross_entropy(classifier(features.float()), data.train.labels[index])

    step = TrainingStep(loss_of, optimizer, modules=[encoder, classifier], device=device)
    parts = {"encoder": encoder, "classifier": classifier, "optimizer": step.optimizer}
    for epoch in range(checkpoint.restore(**parts), config.epochs):
        encoder.train()
        for inputs in labelled_inputs(data, config.batch, seed=seed, epoch=epoch, drop_last=True):
            step(**inputs)
        log(epoch, loss=step.mean_loss(epoch))
        checkpoint.save(epoch + 1, **parts)
    bank, queries = (features_of(config, encoder, split.images, data) for split in (data.train, data.test))
    log.selected_by("last epoch")
    return {
        f"{data.split}_knn_top1_percent": knn(config, bank, queries, data),
        f"{data.split}_linear_top1_percent": linear_top1_percent(classifier, queries, data.test.labels),
    }


def raw_pixels_knn(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """kNN on the pixels: what an encoder must beat. Nothing in it is random."""
    data = prepare_data(config, seed, device, log)
    log.selected_by("nothing to select")
    bank, queries = raw_pixels(data.train.images), raw_pixels(data.test.images)
    return {f"{data.split}_knn_top1_percent": knn(config, bank, queries, data)}
