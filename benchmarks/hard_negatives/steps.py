"""The steps of training: what a batch is, which loss it gets, and all that is random about it.

B: items in a batch; everything random is drawn on the CPU and comes into a step as its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from baselines.moco import KeyQueue
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prepare import Prepared, chosen, precision
from contrastbench import distributed, losses
from contrastbench.data.augmentation import draw_views, normalised_views
from contrastbench.encoders.resnets import HEAD_OUTPUT, ImageEncoder
from contrastbench.losses.parts import full_precision
from contrastbench.randomness import generator
from contrastbench.training import TrainingStep, batches

MOCHI_DRAWS = ("mochi_a", "mochi_b", "mochi_first", "mochi_second", "mochi_with_query")


def contrastive_step(
    config: Config, encoder: ImageEncoder, optimizer: torch.optim.Optimizer, data: Prepared
) -> TrainingStep:
    """Two views of a batch (more with DCL's M), the encoder on one after the other (batch norm sees one at a time, as
    in the authors' code), the loss and an update. Processes that share the run have a part of each batch."""
    model = distributed.spread(encoder, config.batchnorm_groups)
    make_views = compiled(config, encoder, data.pretrain.device)

    def loss_of(
        index: Tensor,
        partner: Tensor | None = None,
        beta: float = config.beta,
        alpha: float = config.alpha,
        **draws: Any,
    ) -> Tensor:
        views = _views(data, index, index if partner is None else partner, draws, make_views)
        with precision(config, index):
            own = [full_precision(model(view.contiguous(memory_format=torch.channels_last))) for view in views]
            z_a, z_b, *more = map(distributed.gathered, own)
        if more:
            more_positives = torch.stack(more)
            return losses.dcl_many_positives(
                z_a, z_b, more_positives, temperature=config.temperature, tau_plus=config.tau_plus
            )
        settings = {"temperature": config.temperature, "tau_plus": config.tau_plus, "beta": beta, "alpha": alpha}
        return losses.two_view_loss_named(config.loss, z_a, z_b, **settings)

    if config.positive_samples > 1 and config.loss != "dcl":
        raise ValueError(f"positive_samples above 1 are DCL's; loss is {config.loss!r}")
    alone = distributed.processes() == 1  # a step is captured only then
    return TrainingStep(loss_of, optimizer, modules=[encoder], device=str(data.pretrain.device), capture=alone)


def compiled(config: Config, encoder: ImageEncoder, device: torch.device) -> Callable[..., list[Tensor]]:
    """What makes the views; it and the encoder go through torch.compile if the config asks for it.

    On a CPU the encoder alone: there only some images' hue is turned, and each number of them would be compiled anew.
    """
    if not config.compile:
        return normalised_views
    encoder.compile(dynamic=False)
    return normalised_views if device.type == "cpu" else torch.compile(normalised_views, dynamic=False)


def queue_step(
    config: Config, encoder: ImageEncoder, queue: KeyQueue, optimizer: torch.optim.Optimizer, data: Prepared
) -> TrainingStep:
    """MoCo: one view's query must find the other view's key among the keys of the queue."""
    _in_one_process(config, "a queue")
    loss_by_name: dict[str, Callable[..., Tensor]] = {"nt_xent": _plain_queue_loss, "dcl": _hard, "hcl": _hard}
    queue_loss = chosen("loss with a queue", config.loss, loss_by_name)
    if config.mochi and (config.loss != "nt_xent" or len(config.mochi) != 3):
        raise ValueError(f"mochi is three numbers and goes with loss nt_xent, got {config.mochi} and {config.loss!r}")

    make_views = compiled(config, encoder, data.pretrain.device)

    def loss_of(index: Tensor, beta: float = config.beta, **draws: Any) -> Tensor:
        mixing = {name: draws.pop(name) for name in MOCHI_DRAWS if name in draws}
        view_a, view_b = (
            view.contiguous(memory_format=torch.channels_last) for view in _views(data, index, index, draws, make_views)
        )
        with precision(config, index):
            query, key = encoder(view_a).float(), queue.keys_of(view_b)
        return queue_loss(config, query, key, queue.queue, beta, mixing)

    return TrainingStep(
        loss_of,
        optimizer,
        modules=[encoder, queue],
        device=str(data.pretrain.device),
        after_update=lambda: queue.advance(encoder),
    )


def _in_one_process(config: Config, what: str) -> None:
    if distributed.processes() > 1 or config.batchnorm_groups > 1:
        raise ValueError(f"{what} is trained in one process and with batchnorm_groups=1; two-view losses in several")


def key_queue(config: Config, encoder: ImageEncoder, seed: int) -> KeyQueue:
    """The config's queue, its first keys drawn from the seed."""
    if config.positives != "views" or config.positive_samples != 1:
        raise ValueError("a queue takes positives from the views of an image, one for each")
    rng = generator(seed, "queue")
    return KeyQueue(encoder, keys=config.queue, width=HEAD_OUTPUT, momentum=config.key_momentum, rng=rng)


def _plain_queue_loss(
    config: Config, query: Tensor, key: Tensor, queue: Tensor, beta: float, mixing: dict[str, Tensor]
) -> Tensor:
    """InfoNCE over the queue and, with MoCHi, the hard negatives mixed from it."""
    synthetic = None
    if config.mochi:
        a, b, *picks = (mixing[name] for name in MOCHI_DRAWS)
        synthetic = losses.mochi_of_draws(query, queue, a, b, picks, hardest=config.mochi[0])
    return losses.infonce_queue(query, key, queue, temperature=config.temperature, synthetic=synthetic)


def _hard(config: Config, query: Tensor, key: Tensor, queue: Tensor, beta: float, mixing: dict[str, Tensor]) -> Tensor:
    """HCL's loss (beta = 0: DCL's) with the queue's keys as negatives, as HCL's appendix has it for MoCo-v2."""
    unit_query = nn.functional.normalize(query, dim=1) / config.temperature
    positive = torch.linalg.vecdot(unit_query, key)
    negatives = unit_query @ queue.T
    return losses.hard_info_nce(
        positive, negatives, tau_plus=config.tau_plus, beta=beta, log_floor=-1 / config.temperature
    )


def contrastive_inputs(config: Config, data: Prepared, *, seed: int, epoch: int) -> Iterator[dict[str, Tensor]]:
    """The inputs of an epoch's steps: which images, and all that is random about their views.

    The last images, fewer than a batch, are dropped, as in the authors' code.
    """
    rng, mixing = generator(seed, "augmentation", epoch), generator(seed, "mochi", epoch)
    partners = _partners(config, data, seed, epoch)
    for index in batches(len(data.pretrain), config.batch, generator(seed, "order", epoch)):
        shape = (len(index), *data.pretrain.shape[1:])
        inputs = {"index": index, **draw_views(1 + config.positive_samples, shape, data.recipe, rng)}
        if partners is not None:
            inputs["partner"] = partners[index]
        if config.mochi:
            a, b, picks = losses.mochi_draws(len(index), *config.mochi, rng=mixing, dtype=torch.float32)
            inputs |= dict(zip(MOCHI_DRAWS, (a, b, *picks), strict=True))
        yield {name: distributed.part(value, _batch_dim(name)) for name, value in inputs.items()}


def _batch_dim(name: str) -> int:
    """Where an input counts the items of a batch: draws count their views first."""
    return 0 if name in ("index", "partner") else 1


def _partners(config: Config, data: Prepared, seed: int, epoch: int) -> Tensor | None:
    """For each training image one of its class, itself among them: the paper's oracle (image/utils.py of its code)."""
    if not chosen("positives", config.positives, {"views": False, "labels": True}):
        return None
    labels = data.labels
    if len(labels) != len(data.pretrain):
        raise ValueError(f"positives by label need every image's label; {config.dataset} has images without")
    by_class = labels.argsort(stable=True)
    counts = labels.bincount()
    first = counts.cumsum(0) - counts
    share = torch.rand(len(labels), generator=generator(seed, "positives", epoch))
    return by_class[first[labels] + (share * counts[labels]).long()]


def _views(
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


def supervised_step(
    config: Config, encoder: ImageEncoder, classifier: nn.Linear, optimizer: torch.optim.Optimizer, data: Prepared
) -> TrainingStep:
    """Cross-entropy of one view of each labelled image."""
    _in_one_process(config, "the supervised reference")

    def loss_of(index: Tensor, **draws: Any) -> Tensor:
        (view,) = normalised_views(data.train.images[index], data.recipe, draws, mean=data.mean, std=data.std)
        with precision(config, index):
            features = encoder.features(view.contiguous(memory_format=torch.channels_last))
        return nn.functional.cross_entropy(classifier(features.float()), data.train.labels[index])

    return TrainingStep(loss_of, optimizer, modules=[encoder, classifier], device=str(data.pretrain.device))


def supervised_inputs(config: Config, data: Prepared, *, seed: int, epoch: int) -> Iterator[dict[str, Tensor]]:
    """As ``contrastive_inputs``, of the labelled images and one view of each."""
    rng = generator(seed, "augmentation", epoch)
    for index in batches(len(data.train), config.batch, generator(seed, "order", epoch)):
        yield {"index": index, **draw_views(1, (len(index), *data.train.images.shape[1:]), data.recipe, rng)}
