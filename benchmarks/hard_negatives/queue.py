"""MoCo-v2: the past keys as negatives, with HCL's loss too, and MoCHi's mixed negatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from baselines.moco import KeyQueue
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prepare import Prepared, check_one_process, views_of
from contrastbench import losses
from contrastbench.encoders.resnets import HEAD_OUTPUT, ImageEncoder
from contrastbench.randomness import generator
from contrastbench.training import TrainingStep, products_in

MOCHI_DRAWS = ("mochi_a", "mochi_b", "mochi_first", "mochi_second", "mochi_with_query")


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
