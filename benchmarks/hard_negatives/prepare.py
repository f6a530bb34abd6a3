"""What a run sees of its data set."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.hard_negatives.config import Config
from contrastbench.data.augmentation import Recipe, digits_recipe, natural_recipe
from contrastbench.data.images import Images, Split, fixed_part, load_images, stratified_split
from contrastbench.randomness import generator
from contrastbench.runner import Log

RECIPES: dict[str, Callable[[int], Recipe]] = {"natural": natural_recipe, "digits": digits_recipe}
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # as printed in the authors' utils.py


@dataclass(frozen=True)
class Prepared:
    """What a run sees of its data set; images on the device."""

    pretrain: Tensor  # uint8 [N, C, H, W], without labels
    train: Split  # for the probes
    labels: Tensor  # the training images' once more, on the CPU: what is drawn by class is drawn there
    test: Split  # the test images, or the held-out training images
    split: str  # "test" or "validation": the metrics' prefix
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    recipe: Recipe


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
    recipe = chosen("augmentation", config.augmentation, RECIPES)(config.view_size)
    labels, train, test = train.labels, _on(device, train), _on(device, test)
    return Prepared(pretrain.to(device), train, labels, test, split, images.classes, mean, std, recipe)


def precision(config: Config, beside: Tensor) -> AbstractContextManager[object]:
    """Autocast as the config asks for it, on the device of the tensor ``beside``."""
    low = chosen("precision", config.precision, {"float32": False, "bf16": True})
    if beside.device.type == "meta":  # where autocast is not known
        return nullcontext()
    return torch.autocast(beside.device.type, torch.bfloat16, enabled=low, cache_enabled=False)  # for graph capture


def _statistics(config: Config, images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    possible = {"cifar10": (CIFAR10_MEAN, CIFAR10_STD), "own": (images.mean, images.std)}
    mean, std = chosen("statistics", config.statistics, possible)
    if len(mean) != images.train.images.shape[1]:
        raise ValueError(
            f"statistics={config.statistics} are of images with {len(mean)} channels; for {config.dataset} use own"
        )
    return mean, std


def _on(device: str, split: Split) -> Split:
    return Split(split.images.to(device), split.labels.to(device))


def chosen(what: str, name: str, possible: dict[str, Any]) -> Any:
    """What a setting's value stands for.

    Raises:
        ValueError: it stands for nothing; the message lists the possible values.
    """
    if name not in possible:
        raise ValueError(f"unknown {what} {name!r}; hard_negatives has: {', '.join(possible)}")
    return possible[name]
