"""One run: training of an image encoder, then kNN and a linear probe on the frozen features; and its references.

B: items in a batch; everything random is drawn on the CPU and comes into a step as its input.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from baselines.moco import KeyQueue
from baselines.pixels import raw_pixels
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.evaluate import (
    curve_point,
    curve_series,
    features_of,
    frozen_metrics,
    knn,
    labelled_inputs,
    linear_probe,
    probe_epochs,
)
from benchmarks.hard_negatives.prepare import Prepared, check_one_process, encoder_of, prepare_data, views_of
from benchmarks.hard_negatives.schedules import hardness_of_epoch
from contrastbench import distributed, losses
from contrastbench.data.augmentation import draw_views, normalised_views
from contrastbench.encoders.resnets import HEAD_OUTPUT, ImageEncoder
from contrastbench.evaluation.linear import linear_classifier, linear_top1_percent
from contrastbench.losses.parts import full_precision
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches, products_in

MOCHI_DRAWS = ("mochi_a", "mochi_b", "mochi_first", "mochi_second", "mochi_with_query")


def train(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Pre-trains, then evaluates the last epoch and maps its features; ``epochs=0`` evaluates the untrained encoder.

    Epochs from ``config.epochs`` on are the linear probe's, so that a run that is killed there resumes there.
    """
    data = prepare_data(config, seed, device, log)
    encoder = encoder_of(config, data, seed, device)
    step = step_of(config, encoder, data, seed)
    classifier, probing = linear_probe(config, encoder, data, seed)
    metrics: dict[str, Any] = {}
    curve: dict[str, dict[str, float]] = {}  # epochs done -> accuracies
    hardness: dict[str, float] = {}  # what a schedule sets anew: beta, alpha
    parts: dict[str, Any] = {"modules": nn.ModuleList([*step.modules, classifier]), "metrics": metrics, "curve": curve}
    parts |= {"optimizer": step.optimizer, "probe_optimizer": probing.optimizer, "hardness": hardness}
    start = checkpoint.restore(**parts)
    log.total(config.epochs + probe_epochs(config))
    for epoch in range(start, config.epochs):
        hardness.update(hardness_of_epoch(config, encoder, data, seed=seed, epoch=epoch))
        encoder.train()
        for inputs in contrastive_inputs(config, data, seed=seed, epoch=epoch):
            step(**inputs, **hardness)
        loss = step.mean_loss(epoch)
        point = curve_point(config, encoder, data, epoch + 1)
        curve |= {str(epoch + 1): point} if point else {}
        log(epoch, loss=loss, **point)
        checkpoint.save(epoch + 1, **parts)
    if not metrics:
        metrics.update(frozen_metrics(config, encoder, data))
    for epoch in range(max(start, config.epochs), config.epochs + probe_epochs(config)):
        encoder.train(config.probe_batchnorm == "train")
        for inputs in labelled_inputs(data, config.probe_batch, seed=seed, epoch=epoch, drop_last=False):
            probing(**inputs)
        log(epoch, probe_loss=probing.mean_loss(epoch))
        checkpoint.save(epoch + 1, **parts)
    series = curve_series({**curve, str(config.epochs): metrics}) if curve else {}
    if config.probe == "adam":
        features = features_of(config, encoder, data.test.images, data)
        metrics[f"{data.split}_linear_top1_percent"] = linear_top1_percent(classifier, features, data.test.labels)
    log.selected_by("last epoch")
    return {**metrics, **series}


def contrastive_step(
    config: Config, encoder: ImageEncoder, data: Prepared, make_views: Callable[..., list[Tensor]] = normalised_views
) -> TrainingStep:
    """Two views of a batch (more with DCL's M), the encoder on one after the other (batch norm sees one at a time, as
    in the authors' code), the loss and an update. Processes that share the run have a part of each batch."""
    model = distributed.spread(encoder, config.batchnorm_groups)

    def loss_of(
        index: Tensor,
        partner: Tensor | None = None,
        beta: float = config.beta,
        alpha: float = config.alpha,
        **draws: Any,
    ) -> Tensor:
        views = views_of(data, index, index if partner is None else partner, draws, make_views)
        with products_in(config.precision, index):
            own = [full_precision(model(view.contiguous(memory_format=torch.channels_last))) for view in views]
            z_a, z_b, *more = map(distributed.gather_rows, own)
        if more:
            more_positives = torch.stack(more)
            return losses.dcl_many_positives(
                z_a, z_b, more_positives, temperature=config.temperature, tau_plus=config.tau_plus
            )
        settings = {"temperature": config.temperature, "tau_plus": config.tau_plus, "beta": beta, "alpha": alpha}
        return losses.two_view_loss_named(config.loss, z_a, z_b, **settings)

    if config.positive_samples > 1 and config.loss != "dcl":
        raise ValueError(f"positive_samples above 1 are DCL's; loss is {config.loss!r}")
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    alone = distributed.processes() == 1  # a step is captured only then
    return TrainingStep(loss_of, optimizer, modules=[encoder], device=str(data.pretrain.device), capture=alone)


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
        items_first = ("index", "partner")  # draws count their views first
        yield {name: distributed.part(value, int(name not in items_first)) for name, value in inputs.items()}


def _partners(config: Config, data: Prepared, seed: int, epoch: int) -> Tensor | None:
    """For each training image one of its class, itself among them: the paper's oracle (image/utils.py of its code)."""
    if config.positives == "views":
        return None
    labels = data.labels
    if len(labels) != len(data.pretrain):
        raise ValueError(f"positives by label need every image's label; {config.dataset} has images without")
    by_class = labels.argsort(stable=True)
    counts = labels.bincount()
    first = counts.cumsum(0) - counts
    share = torch.rand(len(labels), generator=generator(seed, "positives", epoch))
    return by_class[first[labels] + (share * counts[labels]).long()]


def step_of(config: Config, encoder: ImageEncoder, data: Prepared, seed: int) -> TrainingStep:
    """The config's step, with a queue or without."""
    make_views = compile_encoder(config, encoder, data.pretrain.device)
    if config.queue:
        return queue_step(config, encoder, data, seed, make_views)
    return contrastive_step(config, encoder, data, make_views)


def compile_encoder(config: Config, encoder: ImageEncoder, device: torch.device) -> Callable[..., list[Tensor]]:
    """What makes the views; it and the encoder go through torch.compile if the config asks for it.

    On a CPU the encoder alone: there only some images' hue is turned, and each number of them would be compiled anew.
    """
    if not config.compile:
        return normalised_views
    encoder.compile(dynamic=False)
    return normalised_views if device.type == "cpu" else torch.compile(normalised_views, dynamic=False)


# ----------------------------------------------------------------------- MoCo-v2: past keys as negatives, and MoCHi's


def queue_step(
    config: Config, encoder: ImageEncoder, data: Prepared, seed: int, make_views: Callable[..., list[Tensor]]
) -> TrainingStep:
    """MoCo: one view's query must find the other view's key among the keys of the queue."""
    check_one_process(config, "a queue")
    loss_by_name: dict[str, Callable[..., Tensor]] = {"nt_xent": _plain_queue_loss, "dcl": _hard, "hcl": _hard}
    if config.loss not in loss_by_name:
        raise ValueError(f"a queue goes with the losses {', '.join(loss_by_name)}, got {config.loss!r}")
    if config.mochi and (config.loss != "nt_xent" or len(config.mochi) != 3):
        raise ValueError(f"mochi is three numbers and goes with loss nt_xent, got {config.mochi} and {config.loss!r}")

    if config.positives != "views" or config.positive_samples != 1:
        raise ValueError("a queue takes positives from the views of an image, one for each")
    rng = generator(seed, "queue")
    queue = KeyQueue(encoder, keys=config.queue, width=HEAD_OUTPUT, momentum=config.key_momentum, rng=rng)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)

    def loss_of(index: Tensor, beta: float = config.beta, **draws: Any) -> Tensor:
        mixing = {name: draws.pop(name) for name in MOCHI_DRAWS if name in draws}
        views = views_of(data, index, index, draws, make_views)
        view_a, view_b = (view.contiguous(memory_format=torch.channels_last) for view in views)
        with products_in(config.precision, index):
            query, key = encoder(view_a).float(), queue.keys_of(view_b)
        return loss_by_name[config.loss](config, query, key, queue.queue, beta, mixing)

    return TrainingStep(
        loss_of,
        optimizer,
        modules=[encoder, queue],
        device=str(data.pretrain.device),
        after_update=lambda: queue.advance(encoder),
    )


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


# ------------------------------------------------------------------------------------ what losses are set beside


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
