"""What SimCLR, DCL and HCL do to an encoder of digits: alignment, uniformity, similarities, annealed hardness."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.loss_studies.config import Images
from contrastbench import losses
from contrastbench.data.augmentation import augment, digits_recipe, draw_views, draws_of_each_view, normalise, view
from contrastbench.data.images import Images as Data
from contrastbench.data.images import Split, fixed_part, load_images
from contrastbench.encoders.resnets import ImageEncoder, small_resnet
from contrastbench.evaluation.features import image_features
from contrastbench.evaluation.nearest import knn_top1_percent
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches

ANNEALING_STEPS = 9  # joshr17/HCL image/main.py: np.linspace(beta, 0, 9)
WATCHED = 1000  # test images whose embeddings are measured after each epoch


def images(config: Images, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict:
    """Trains an encoder; after each epoch measures alignment and uniformity, in the end similarities and kNN."""
    data = load_images(config.dataset)
    log.data(config.dataset, data.sha256)
    train = fixed_part(data.train, config.images)
    encoder = small_resnet(rng=generator(seed, "weights"))
    step = _step(config, encoder, train, data)
    curve: dict[str, list[float]] = {"alignment": [], "uniformity": []}
    start = checkpoint.restore(encoder=encoder, optimizer=step.optimizer, curve=curve)
    for epoch in range(start, config.epochs):
        encoder.train()
        for inputs in _inputs(config, train, seed, epoch):
            step(**inputs)
        loss = step.mean_loss(epoch)
        measured = _alignment_and_uniformity(encoder, data, seed, epoch)
        curve = {name: [*values, measured[name]] for name, values in curve.items()}
        log(epoch, loss=loss, **measured)
        checkpoint.save(epoch + 1, encoder=encoder, optimizer=step.optimizer, curve=curve)
    last = {f"test_{name}": values[-1] for name, values in curve.items()}
    return {**last, **curve, **_similarities(config, encoder, data, seed), **_knn(encoder, train, data)}


def hardness(config: Images, epoch: int) -> float:
    """The epoch's beta: constant, or down to 0 in nine equal steps."""
    if not config.annealed:
        return config.beta
    return config.beta * (1 - (ANNEALING_STEPS * epoch // config.epochs) / (ANNEALING_STEPS - 1))


def _step(config: Images, encoder: ImageEncoder, train: Split, data: Data) -> TrainingStep:
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate)

    def loss_of(index: Tensor, partner: Tensor, beta: float, **draws: Tensor) -> Tensor:
        drawn = zip((index, partner), draws_of_each_view(draws), strict=True)
        views = [view(train.images[chosen], digits_recipe(), one) for chosen, one in drawn]
        z_a, z_b = (encoder(normalise(one, data.mean, data.std)) for one in views)
        settings = {"temperature": config.temperature, "tau_plus": config.tau_plus, "beta": beta}
        return losses.two_view_loss_named(config.loss, z_a, z_b, **settings)

    return TrainingStep(loss_of, optimizer, modules=[encoder])


def _inputs(config: Images, train: Split, seed: int, epoch: int) -> Iterator[dict[str, Any]]:
    """The inputs of an epoch's steps; a last batch that is smaller is used only where it is the only one."""
    rng, beta = generator(seed, "augmentation", epoch), hardness(config, epoch)
    order = generator(seed, "order", epoch)
    for index in batches(len(train), config.batch, order, drop_last=len(train) > config.batch):
        partner = index if config.positives == "views" else _same_class(train.labels, index, rng)
        drawn = draw_views(2, (len(index), *train.images.shape[1:]), digits_recipe(), rng)
        yield {"index": index, "partner": partner, "beta": beta, **drawn}


def _same_class(labels: Tensor, index: Tensor, rng: torch.Generator) -> Tensor:
    """For each image a random one of its class, maybe itself (joshr17/HCL image/utils.py, cifar100_true_label)."""
    chance = torch.rand(len(index), len(labels), generator=rng)
    return chance.masked_fill(labels[index][:, None] != labels, -1).argmax(dim=1)


@torch.no_grad()
def _alignment_and_uniformity(encoder: ImageEncoder, data: Data, seed: int, epoch: int) -> dict[str, float]:
    encoder.eval()
    rng, chosen = generator(seed, "evaluation", epoch), data.test.images[:WATCHED]
    views = [augment(chosen, digits_recipe(), rng=rng) for _ in range(2)]
    z_a, z_b = (encoder(normalise(one, data.mean, data.std)) for one in views)
    return {"alignment": float(losses.alignment(z_a, z_b)), "uniformity": float(losses.uniformity(z_a))}


@torch.no_grad()
def _similarities(config: Images, encoder: ImageEncoder, data: Data, seed: int) -> dict:
    """Cosines between embeddings of test images of one class (positives) and of two (negatives)."""
    encoder.eval()
    z = encoder(normalise(data.test.images[:WATCHED], data.mean, data.std))
    u, labels = torch.nn.functional.normalize(z, dim=1), data.test.labels[:WATCHED]
    cosine, same = u @ u.T, labels[:, None] == labels
    upper = torch.ones_like(same).triu(1)
    positive, negative = cosine[same & upper], cosine[~same & upper]
    results: dict[str, float | list[float]] = {}
    for name, values in (("positive", positive), ("negative", negative)):
        results[f"test_{name}_cosine"] = float(values.mean())
        results[f"{name}_density"] = (torch.histc(values, config.bins, -1, 1) / len(values) * config.bins / 2).tolist()
    ranks = torch.cat([positive, negative]).argsort().argsort()[: len(positive)].double() + 1
    pairs = len(positive) * len(negative)
    area = (ranks.sum() - len(positive) * (len(positive) + 1) / 2) / pairs
    return {**results, "test_positive_above_negative_percent": 100 * float(area)}


def _knn(encoder: ImageEncoder, train: Split, data: Data) -> dict[str, float]:
    bank, queries = (image_features(encoder, part.images, mean=data.mean, std=data.std) for part in (train, data.test))
    top1 = knn_top1_percent(bank, train.labels, queries, data.test.labels, neighbours=20)
    return {"test_knn_top1_percent": top1}
