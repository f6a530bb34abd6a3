"""One run: contrastive training of an image encoder, then kNN and a linear probe on the frozen features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.functional import resize

from baselines.images import raw_pixels
from benchmarks.hard_negatives.config import Config
from contrastbench import losses
from contrastbench.data.augmentation import (
    Recipe,
    augment,
    digits_recipe,
    draw_views,
    natural_recipe,
    normalised,
    normalised_views,
)
from contrastbench.data.images import Images, Split, fixed_part, load_images, stratified_split
from contrastbench.encoders.images import ENCODERS, ImageEncoder
from contrastbench.evaluation.features import image_features
from contrastbench.evaluation.linear import (
    linear_classifier,
    linear_top1_percent,
    logistic_top1_percent,
    probe_epoch,
)
from contrastbench.evaluation.maps import principal_map
from contrastbench.evaluation.nearest import knn_top1_percent
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches

RECIPES: dict[str, Callable[[int], Recipe]] = {"natural": natural_recipe, "digits": digits_recipe}
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # as printed in the authors' utils.py


@dataclass(frozen=True)
class Prepared:
    """What a run sees of its data set; images on the device."""

    pretrain: Tensor  # uint8 [N, C, H, W], without labels
    train: Split  # for the probes
    test: Split  # the test images, or the held-out training images
    split: str  # "test" or "validation": the metrics' prefix
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    recipe: Recipe


def train(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Pre-trains, then evaluates the last epoch and maps its features; ``epochs=0`` evaluates the untrained encoder.

    Epochs from ``config.epochs`` on are the linear probe's, so that a run that is killed there resumes there.
    """
    data = prepared(config, seed, device, log)
    encoder = _chosen("encoder", config.encoder, ENCODERS)(
        channels=data.pretrain.shape[1], rng=generator(seed, "weights")
    )
    encoder.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    classifier = linear_classifier(encoder.width, data.classes, rng=generator(seed, "evaluation")).to(device)
    probe_optimizer = torch.optim.Adam(
        classifier.parameters(), lr=config.probe_learning_rate, weight_decay=config.probe_weight_decay
    )
    metrics: dict[str, Any] = {}
    parts = {
        "encoder": encoder,
        "optimizer": optimizer,
        "classifier": classifier,
        "probe_optimizer": probe_optimizer,
        "metrics": metrics,
    }
    start = checkpoint.restore(**parts)
    step = contrastive_step(config, encoder, optimizer, data)
    for epoch in range(start, config.epochs):
        encoder.train()
        for inputs in contrastive_inputs(config, data, seed=seed, epoch=epoch):
            step(**inputs)
        log(epoch, loss=step.mean_loss(epoch))
        checkpoint.save(epoch + 1, **parts)
    if not metrics:
        metrics.update(frozen_metrics(config, encoder, data))
    for epoch in range(max(start, config.epochs), config.epochs + _probe_epochs(config)):
        batches = probe_batches(config, encoder, data, seed=seed, epoch=epoch)
        log(epoch, probe_loss=probe_epoch(classifier, probe_optimizer, batches))
        checkpoint.save(epoch + 1, **parts)
    if config.probe == "adam":
        features = _features(config, encoder, data.test.images, data)
        metrics[f"{data.split}_linear_top1_percent"] = linear_top1_percent(classifier, features, data.test.labels)
    log.selected_by("last epoch")
    return dict(metrics)


def raw_pixels_knn(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """kNN on the pixels: what an encoder must beat. Nothing in it is random."""
    data = prepared(config, seed, device, log)
    log.selected_by("nothing to select")
    bank, queries = raw_pixels(data.train.images), raw_pixels(data.test.images)
    return {f"{data.split}_knn_top1_percent": _knn(config, bank, queries, data)}


def prepared(config: Config, seed: int, device: str, log: Log) -> Prepared:
    """Loads the data set and cuts it to what the config asks for."""
    images = load_images(config.dataset)
    log.data(config.dataset, images.sha256)
    train, test, split = fixed_part(images.train, config.train_images), images.test, "test"
    if config.validation:
        kept, held_out = stratified_split(train.labels, config.validation, generator(seed, "split"))
        train, test, split = train.take(kept), train.take(held_out), "validation"
    if config.batch > len(train) or config.batch < 2:
        raise ValueError(f"batch must be 2 to {len(train)}, the number of training images; got {config.batch}")
    mean, std = _statistics(config, images)
    pretrain = train.images if images.unlabelled is None else torch.cat([train.images, images.unlabelled])
    recipe = _chosen("augmentation", config.augmentation, RECIPES)(config.view_size)
    train, test = _on(device, train), _on(device, test)
    return Prepared(pretrain.to(device), train, test, split, images.classes, mean, std, recipe)


def contrastive_step(
    config: Config, encoder: ImageEncoder, optimizer: torch.optim.Optimizer, data: Prepared
) -> TrainingStep:
    """Two views of a batch, the encoder on one after the other (batch norm sees one at a time, as in the authors'
    code), the loss and an update."""

    def loss_of(index: Tensor, **draws: Tensor) -> Tensor:
        views = normalised_views(data.pretrain[index], data.recipe, draws, mean=data.mean, std=data.std)
        with _precision(config, index):
            z_a, z_b = (encoder(view.contiguous(memory_format=torch.channels_last)) for view in views)
        return losses.two_view_loss_named(
            config.loss,
            z_a.float(),
            z_b.float(),
            temperature=config.temperature,
            tau_plus=config.tau_plus,
            beta=config.beta,
            alpha=config.alpha,
        )

    return TrainingStep(loss_of, optimizer, modules=[encoder], device=str(data.pretrain.device))


def contrastive_inputs(config: Config, data: Prepared, *, seed: int, epoch: int) -> Iterator[dict[str, Tensor]]:
    """The inputs of an epoch's steps: which images, and all that is random about their views.

    The last images, fewer than a batch, are dropped, as in the authors' code.
    """
    rng = generator(seed, "augmentation", epoch)
    for index in batches(
        len(data.pretrain), config.batch, generator(seed, "order", epoch)
    ):  # drop_last, as the authors
        yield {"index": index, **draw_views(2, (len(index), *data.pretrain.shape[1:]), data.recipe, rng)}


def frozen_metrics(config: Config, encoder: ImageEncoder, data: Prepared) -> dict[str, Any]:
    """kNN, a map, and the logistic probe where the config asks for it, on features of images without augmentation."""
    bank, queries = (_features(config, encoder, split.images, data) for split in (data.train, data.test))
    metrics: dict[str, Any] = {f"{data.split}_knn_top1_percent": _knn(config, bank, queries, data)}
    metrics |= principal_map(queries, data.test.labels)
    if config.probe == "logistic":
        accuracy = logistic_top1_percent(bank, data.train.labels, queries, data.test.labels)
        metrics[f"{data.split}_linear_top1_percent"] = accuracy
    return metrics


def probe_batches(
    config: Config, encoder: ImageEncoder, data: Prepared, *, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Features of freshly augmented training images; with ``probe_batchnorm="train"`` the running statistics move."""
    encoder.train(_chosen("probe_batchnorm", config.probe_batchnorm, {"train": True, "eval": False}))
    order = torch.randperm(len(data.train), generator=generator(seed, "order", epoch)).to(data.train.labels.device)
    rng = generator(seed, "augmentation", epoch)
    for index in order.split(config.probe_batch):
        views = augment(data.train.images[index], data.recipe, rng=rng)
        views = normalised(views, data.mean, data.std).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), _precision(config, views):
            features = encoder.features(views)
        yield features, data.train.labels[index]


def _features(config: Config, encoder: ImageEncoder, images: Tensor, data: Prepared) -> Tensor:
    if config.evaluation_size and config.evaluation_size != images.shape[-1]:
        images = resize(images, [config.evaluation_size] * 2, antialias=True)
    with _precision(config, images):
        return image_features(encoder, images, mean=data.mean, std=data.std, device=str(images.device))


def _knn(config: Config, bank: Tensor, queries: Tensor, data: Prepared) -> float:
    return knn_top1_percent(
        bank,
        data.train.labels,
        queries,
        data.test.labels,
        neighbours=config.knn_neighbours,
        temperature=config.knn_temperature,
    )


def _probe_epochs(config: Config) -> int:
    return _chosen("probe", config.probe, {"adam": config.probe_epochs, "logistic": 0})


def _precision(config: Config, beside: Tensor) -> AbstractContextManager[object]:
    low = _chosen("precision", config.precision, {"float32": False, "bf16": True})
    if beside.device.type == "meta":  # where autocast is not known
        return nullcontext()
    return torch.autocast(beside.device.type, torch.bfloat16, enabled=low, cache_enabled=False)  # for graph capture


def _statistics(config: Config, images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    possible = {"cifar10": (CIFAR10_MEAN, CIFAR10_STD), "own": (images.mean, images.std)}
    mean, std = _chosen("statistics", config.statistics, possible)
    if len(mean) != images.train.images.shape[1]:
        raise ValueError(f"statistics {config.statistics!r} are for {len(mean)} channels; {config.dataset} needs 'own'")
    return mean, std


def _on(device: str, split: Split) -> Split:
    return Split(split.images.to(device), split.labels.to(device))


def _chosen(what: str, name: str, possible: dict[str, Any]) -> Any:
    if name not in possible:
        raise ValueError(f"unknown {what} {name!r}; hard_negatives has: {', '.join(possible)}")
    return possible[name]
