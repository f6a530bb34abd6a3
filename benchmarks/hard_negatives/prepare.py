"""What a run sees of its data set: images, statistics, views."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.hard_negatives.config import Config
from contrastbench import distributed
from contrastbench.data.augmentation import Recipe, digits_recipe, natural_recipe, normalised_views
from contrastbench.data.images import Images, Split, fixed_part, load_images, stratified_split
from contrastbench.encoders.resnets import ENCODERS, ImageEncoder
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


def prepare_data(config: Config, seed: int, device: str, log: Log) -> Prepared:
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
    recipe = RECIPES[config.augmentation](config.view_size)
    labels, train, test = train.labels, _on(device, train), _on(device, test)
    return Prepared(pretrain.to(device), train, labels, test, split, images.classes, mean, std, recipe)


def views_of(
    data: Prepared,
    index: Tensor,
    partner: Tensor,
    draws: dict[str, Tensor],
    make_views: Callable[..., list[Tensor]] = normalised_views,
) -> list[Tensor]:
    """The views that were drawn: the first of the images ``index``, all others of ``partner``."""
    if partner is index:
        return make_views(data.pretrain[index], data.recipe, draws, mean=data.mean, std=data.std)
    parts = ((index, {n: v[:1] for n, v in draws.items()}), (partner, {n: v[1:] for n, v in draws.items()}))
    return [
        view
        for images, drawn in parts
        for view in make_views(data.pretrain[images], data.recipe, drawn, mean=data.mean, std=data.std)
    ]


def encoder_of(config: Config, data: Prepared, seed: int, device: str) -> ImageEncoder:
    """The config's encoder with the seed's weights, on the device."""
    encoder = ENCODERS[config.encoder](channels=data.pretrain.shape[1], rng=generator(seed, "weights"))
    return encoder.to(device, memory_format=torch.channels_last)


def _statistics(config: Config, images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = (images.mean, images.std) if config.statistics == "own" else (CIFAR10_MEAN, CIFAR10_STD)
    if len(mean) != images.train.images.shape[1]:
        raise ValueError(
            f"statistics={config.statistics} are of images with {len(mean)} channels; for {config.dataset} use own"
        )
    return mean, std


def _on(device: str, split: Split) -> Split:
    return Split(split.images.to(device), split.labels.to(device))


def check_one_process(config: Config, what: str) -> None:
    if distributed.processes() > 1 or config.batchnorm_groups > 1:
        raise ValueError(f"{what} is trained in one process and with batchnorm_groups=1; two-view losses in several")
