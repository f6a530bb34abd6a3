"""One run: training of an image encoder, then kNN and a linear probe on the frozen features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from baselines.moco import KeyQueue
from baselines.pixels import raw_pixels
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.evaluate import (
    add_to_curve,
    curve_point,
    features_of,
    frozen_metrics,
    knn,
    probe_epochs,
    probe_inputs,
    probe_mode,
    probe_step,
)
from benchmarks.hard_negatives.prepare import Prepared, chosen, prepared
from benchmarks.hard_negatives.schedules import alpha_step, beta_of_epoch, estimated_alpha, linear_alpha
from benchmarks.hard_negatives.steps import (
    contrastive_inputs,
    contrastive_step,
    key_queue,
    queue_step,
    supervised_inputs,
    supervised_step,
)
from contrastbench.encoders.resnets import ENCODERS, ImageEncoder
from contrastbench.evaluation.linear import linear_classifier, linear_top1_percent
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep


def train(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Pre-trains, then evaluates the last epoch and maps its features; ``epochs=0`` evaluates the untrained encoder.

    Epochs from ``config.epochs`` on are the linear probe's, so that a run that is killed there resumes there.
    """
    data = prepared(config, seed, device, log)
    encoder = encoder_of(config, data, seed, device)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    classifier = linear_classifier(encoder.width, data.classes, rng=generator(seed, "evaluation")).to(device)
    probe_optimizer = torch.optim.Adam(
        classifier.parameters(), lr=config.probe_learning_rate, weight_decay=config.probe_weight_decay
    )
    metrics: dict[str, Any] = {}
    curve: dict[str, list[float]] = {}
    hardness: dict[str, float] = {}  # what a schedule sets anew: beta, alpha
    parts: dict[str, Any] = {"encoder": encoder, "optimizer": optimizer, "classifier": classifier}
    parts |= {"probe_optimizer": probe_optimizer, "metrics": metrics, "curve": curve, "hardness": hardness}
    if config.queue:
        parts["queue"] = key_queue(config, encoder, seed)
    start = checkpoint.restore(**parts)
    step = step_of(config, encoder, parts.get("queue"), optimizer, data)
    log.total(config.epochs + probe_epochs(config))
    for epoch in range(start, config.epochs):
        hardness.update(hardness_of_epoch(config, encoder, data, seed=seed, epoch=epoch))
        encoder.train()
        for inputs in contrastive_inputs(config, data, seed=seed, epoch=epoch):
            step(**inputs, **hardness)
        loss = step.mean_loss(epoch)
        point = curve_point(config, encoder, data, epoch + 1)
        add_to_curve(curve, epoch + 1, point)
        log(epoch, loss=loss, **point)
        checkpoint.save(epoch + 1, **parts)
    if not metrics:
        metrics.update(frozen_metrics(config, encoder, data))
    probing = probe_step(config, encoder, classifier, probe_optimizer, data)
    for epoch in range(max(start, config.epochs), config.epochs + probe_epochs(config)):
        probe_mode(config, encoder)
        for inputs in probe_inputs(config, data, seed=seed, epoch=epoch):
            probing(**inputs)
        log(epoch, probe_loss=probing.mean_loss(epoch))
        checkpoint.save(epoch + 1, **parts)
    if curve:
        last = {
            name.removeprefix("curve_"): metrics[name.removeprefix("curve_")] for name in curve if "percent" in name
        }
        add_to_curve(curve, config.epochs, last)
    if config.probe == "adam":
        features = features_of(config, encoder, data.test.images, data)
        metrics[f"{data.split}_linear_top1_percent"] = linear_top1_percent(classifier, features, data.test.labels)
    log.selected_by("last epoch")
    return {**metrics, **curve}


def supervised(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """The upper reference: the same encoder, views and epochs, trained with labels by cross-entropy.

    ``linear`` is here the classifier that was trained with the encoder, ``knn`` the features before it.
    """
    data = prepared(config, seed, device, log)
    encoder = encoder_of(config, data, seed, device)
    classifier = linear_classifier(encoder.width, data.classes, rng=generator(seed, "evaluation")).to(device)
    trained = [*encoder.backbone.parameters(), *classifier.parameters()]
    optimizer = torch.optim.Adam(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    parts = {"encoder": encoder, "classifier": classifier, "optimizer": optimizer}
    start = checkpoint.restore(**parts)
    step = supervised_step(config, encoder, classifier, optimizer, data)
    for epoch in range(start, config.epochs):
        encoder.train()
        for inputs in supervised_inputs(config, data, seed=seed, epoch=epoch):
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
    data = prepared(config, seed, device, log)
    log.selected_by("nothing to select")
    bank, queries = raw_pixels(data.train.images), raw_pixels(data.test.images)
    return {f"{data.split}_knn_top1_percent": knn(config, bank, queries, data)}


def encoder_of(config: Config, data: Prepared, seed: int, device: str) -> ImageEncoder:
    """The config's encoder with the seed's weights, on the device."""
    build = chosen("encoder", config.encoder, ENCODERS)
    encoder = build(channels=data.pretrain.shape[1], rng=generator(seed, "weights"))
    return encoder.to(device, memory_format=torch.channels_last)


def step_of(
    config: Config, encoder: ImageEncoder, queue: KeyQueue | None, optimizer: torch.optim.Optimizer, data: Prepared
) -> TrainingStep:
    """The config's step, with a queue or without."""
    if queue is None:
        return contrastive_step(config, encoder, optimizer, data)
    return queue_step(config, encoder, queue, optimizer, data)


def hardness_of_epoch(
    config: Config, encoder: ImageEncoder, data: Prepared, *, seed: int, epoch: int
) -> dict[str, float]:
    """The beta or alpha that the config's schedule has for an epoch; nothing where the last value goes on."""
    changed: dict[str, float] = {}
    if chosen("anneal", config.anneal, {"none": False, "as_code": True, "as_paper": True}):
        changed["beta"] = beta_of_epoch(config, epoch)
    from_where = chosen("alpha_from", config.alpha_from, {"fixed": "", "linear": "epoch", "labels": "labels"})
    if from_where == "epoch":
        changed["alpha"] = linear_alpha(config, epoch)
    elif from_where and (epoch == 0 or alpha_step(config, epoch) > alpha_step(config, epoch - 1)):
        features = features_of(config, encoder, data.train.images, data)
        labels = data.train.labels
        drawn = torch.randperm(len(labels), generator=generator(seed, "alpha", epoch))[: 2 * config.batch]
        drawn = drawn.to(labels.device)
        changed["alpha"] = estimated_alpha(features[drawn], labels[drawn], features, labels)
    return changed


# ----------------------------------------------------------------------- single steps, for tests on any device

Steps = tuple[TrainingStep, Iterable[dict[str, Any]]]


def first_steps(config: Config, device: str, seed: int = 0) -> Steps | None:
    """A run's step and the inputs of its first epoch; None for the untrained encoder."""
    if not config.epochs:
        return None
    data = prepared(config, seed, device, Log())
    encoder = encoder_of(config, data, seed, device)
    queue = key_queue(config, encoder, seed) if config.queue else None
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    step = step_of(config, encoder, queue, optimizer, data)
    return step, contrastive_inputs(config, data, seed=seed, epoch=0)


def first_probe_steps(config: Config, device: str, seed: int = 0) -> Steps | None:
    """The same for the linear probe, on the untrained encoder; None where the probe is exact."""
    if not probe_epochs(config):
        return None
    data = prepared(config, seed, device, Log())
    encoder = encoder_of(config, data, seed, device)
    probe_mode(config, encoder)
    classifier = linear_classifier(encoder.width, data.classes, rng=generator(seed, "evaluation")).to(device)
    step = probe_step(config, encoder, classifier, torch.optim.Adam(classifier.parameters()), data)
    return step, probe_inputs(config, data, seed=seed, epoch=0)


def first_supervised_steps(config: Config, device: str, seed: int = 0) -> Steps:
    data = prepared(config, seed, device, Log())
    encoder = encoder_of(config, data, seed, device)
    classifier = linear_classifier(encoder.width, data.classes, rng=generator(seed, "evaluation")).to(device)
    optimizer = torch.optim.Adam([*encoder.backbone.parameters(), *classifier.parameters()])
    step = supervised_step(config, encoder, classifier, optimizer, data)
    return step, supervised_inputs(config, data, seed=seed, epoch=0)
