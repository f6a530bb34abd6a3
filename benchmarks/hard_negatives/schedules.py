"""How HCL's beta and BCL's alpha change during training, as the papers' code does it and as the papers say."""

import torch
from torch import Tensor

from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.evaluate import features_of
from benchmarks.hard_negatives.prepare import Prepared
from contrastbench.encoders.resnets import ImageEncoder
from contrastbench.randomness import generator

ANNEALING_VALUES = 9  # beta falls through these many values, the last is 0
ALPHA_STEPS = 20  # alpha changes this often; every 20 epochs of 400, as in BCL's code
FIRST_LINEAR_ALPHA = 0.501


def hardness_of_epoch(
    config: Config, encoder: ImageEncoder, data: Prepared, *, seed: int, epoch: int
) -> dict[str, float]:
    """The beta or alpha that the config's schedule has for an epoch; nothing where the last value goes on."""
    changed: dict[str, float] = {}
    if config.anneal != "none":
        changed["beta"] = beta_of_epoch(config, epoch)
    if config.alpha_from == "linear":
        changed["alpha"] = linear_alpha(config, epoch)
    elif config.alpha_from == "labels" and (epoch == 0 or alpha_step(config, epoch) > alpha_step(config, epoch - 1)):
        features = features_of(config, encoder, data.train.images, data)
        labels = data.train.labels
        drawn = torch.randperm(len(labels), generator=generator(seed, "alpha", epoch))[: 2 * config.batch]
        drawn = drawn.to(labels.device)
        changed["alpha"] = estimated_alpha(features[drawn], labels[drawn], features, labels)
    return changed


def beta_of_epoch(config: Config, epoch: int) -> float:
    """The beta of an epoch, counted from 0.

    ``as_paper``: nine segments of equal length, from beta down to 0. ``as_code``: the code's first step keeps beta, so
    beta holds for two segments, each value comes one segment later, and 0 only in the epochs that are left over: four
    of 400. Where there are fewer than nine epochs the code divides by zero; here each segment is then one epoch.

    Source: joshr17/HCL image/main.py at 7b4647f, lines 151 to 181.
    """
    if config.anneal == "none":
        return config.beta
    if config.anneal == "as_paper":
        step = epoch * ANNEALING_VALUES // config.epochs
    else:
        step = max(0, epoch // max(1, config.epochs // ANNEALING_VALUES) - 1)
    left = ANNEALING_VALUES - 1 - min(step, ANNEALING_VALUES - 1)
    return config.beta * left / (ANNEALING_VALUES - 1)


def alpha_step(config: Config, epoch: int) -> int:
    """Which of the steps of alpha an epoch belongs to, 0 to 19."""
    return min(epoch * ALPHA_STEPS // config.epochs, ALPHA_STEPS - 1)


def linear_alpha(config: Config, epoch: int) -> float:
    """From 0.501 up to the config's alpha, in twenty steps (liubin06/BCL image/main.py at 29b2a79)."""
    return FIRST_LINEAR_ALPHA + (config.alpha - FIRST_LINEAR_ALPHA) * alpha_step(config, epoch) / (ALPHA_STEPS - 1)


@torch.no_grad()
def estimated_alpha(queries: Tensor, query_labels: Tensor, bank: Tensor, bank_labels: Tensor) -> float:
    """P(an image of the query's class is more similar than one of another class), the mean over the queries.

    It needs labels, so a run that trains with it is not self-supervised; at least 0.5, the least that BCL allows.

    Args:
        queries, bank: [Q, F], [N, F] features; the queries are in the bank, as in the authors' code.
        query_labels, bank_labels: [Q], [N]. Every query has images of its class and of others in the bank.

    Source: the function ``auc`` of liubin06/BCL image/main.py at 29b2a79.
    """
    similarity = torch.nn.functional.normalize(queries, dim=1) @ torch.nn.functional.normalize(bank, dim=1).T
    same = query_labels[:, None] == bank_labels
    order = similarity.argsort(dim=1, stable=True)
    ranks = torch.arange(1, len(bank) + 1, dtype=torch.float64, device=bank.device)
    positives = same.sum(dim=1).double()
    rank_sums = (same.gather(1, order).double() * ranks).sum(dim=1)
    wins = rank_sums - positives * (positives + 1) / 2
    return max(0.5, float((wins / (positives * (len(bank) - positives))).mean()))
