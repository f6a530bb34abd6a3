"""What an encoder has learnt: kNN and linear probes on its frozen features, at the end and along the way."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import resize

from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prepare import Prepared
from contrastbench.data.augmentation import draw_views, normalised_views
from contrastbench.encoders.resnets import ImageEncoder
from contrastbench.evaluation.features import image_features
from contrastbench.evaluation.linear import linear_classifier, logistic_top1_percent, probe_loss
from contrastbench.evaluation.maps import principal_map
from contrastbench.evaluation.nearest import knn_top1_percent
from contrastbench.randomness import generator
from contrastbench.training import TrainingStep, batches, products_in


def frozen_metrics(config: Config, encoder: ImageEncoder, data: Prepared) -> dict[str, Any]:
    """kNN, a map, and the logistic probe where the config asks for it, on features of images without augmentation."""
    bank, queries = (features_of(config, encoder, split.images, data) for split in (data.train, data.test))
    return {**accuracies(config, bank, queries, data), **principal_map(queries, data.test.labels)}


def accuracies(config: Config, bank: Tensor, queries: Tensor, data: Prepared) -> dict[str, float]:
    """Percent of the queries that kNN and, where the config asks for it, the logistic probe get right."""
    found = {f"{data.split}_knn_top1_percent": knn(config, bank, queries, data)}
    if config.probe == "logistic":
        accuracy = logistic_top1_percent(bank, data.train.labels, queries, data.test.labels)
        found[f"{data.split}_linear_top1_percent"] = accuracy
    return found


def curve_point(config: Config, encoder: ImageEncoder, data: Prepared, epochs: int) -> dict[str, float]:
    """The accuracies after so many epochs if the config's curve asks for them; the last epoch is measured anyway.

    Nothing here is random and the encoder stays as it is, so a run with a curve trains as one without.
    """
    if epochs not in config.curve_epochs or epochs == config.epochs:
        return {}
    bank, queries = (features_of(config, encoder, split.images, data) for split in (data.train, data.test))
    return accuracies(config, bank, queries, data)


def curve_series(points: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    """The series that a row keeps of a curve: ``curve_epochs``, and ``curve_...`` for each accuracy of the first point.

    Args:
        points: epochs done -> accuracies.
    """
    first = next(iter(points.values()))
    series = {f"curve_{name}": [point[name] for point in points.values()] for name in first}
    return {"curve_epochs": [int(epochs) for epochs in points], **series}


def linear_probe(config: Config, encoder: ImageEncoder, data: Prepared, seed: int) -> tuple[nn.Linear, TrainingStep]:
    """The papers' probe: a linear layer, and its step on the features of freshly augmented training images.

    With ``probe_batchnorm="train"`` the running statistics of the "frozen" encoder move.
    """
    device = data.train.images.device
    classifier = linear_classifier(encoder.width, data.classes, rng=generator(seed, "evaluation")).to(device)
    optimizer = torch.optim.Adam(
        classifier.parameters(), lr=config.probe_learning_rate, weight_decay=config.probe_weight_decay
    )

    def loss_of(index: Tensor, **draws: Tensor) -> Tensor:
        (view,) = normalised_views(data.train.images[index], data.recipe, draws, mean=data.mean, std=data.std)
        with torch.no_grad(), products_in(config.precision, view):
            features = encoder.features(view.contiguous(memory_format=torch.channels_last))
        return probe_loss(classifier, features, data.train.labels[index])

    return classifier, TrainingStep(loss_of, optimizer, modules=[encoder, classifier], device=str(device))


def labelled_inputs(
    data: Prepared, batch: int, *, seed: int, epoch: int, drop_last: bool
) -> Iterator[dict[str, Tensor]]:
    """The inputs of an epoch's steps that see one view of each labelled image."""
    rng = generator(seed, "augmentation", epoch)
    for index in batches(len(data.train), batch, generator(seed, "order", epoch), drop_last):
        yield {"index": index, **draw_views(1, (len(index), *data.train.images.shape[1:]), data.recipe, rng)}


def features_of(config: Config, encoder: ImageEncoder, images: Tensor, data: Prepared) -> Tensor:
    """[N, F] features of images without augmentation, in evaluation mode."""
    if config.evaluation_size and config.evaluation_size != images.shape[-1]:
        images = resize(images, [config.evaluation_size] * 2, antialias=True)
    with products_in(config.precision, images):
        return image_features(encoder, images, mean=data.mean, std=data.std, device=str(images.device))


def knn(config: Config, bank: Tensor, queries: Tensor, data: Prepared) -> float:
    """Percent of the test images that their nearest training images classify."""
    return knn_top1_percent(
        bank,
        data.train.labels,
        queries,
        data.test.labels,
        neighbours=config.knn_neighbours,
        temperature=config.knn_temperature,
    )


def probe_epochs(config: Config) -> int:
    """How many epochs the config's probe trains for: none where it is exact."""
    return config.probe_epochs if config.probe == "adam" else 0
