"""Neighborhood Contrastive Learning for novel class discovery: neighbours in a queue are pseudo-positives.

B: queries; D: width; M: length of a queue of past embeddings. Keys and queues get no gradient. Nothing here waits for a
GPU or depends on values, so that a step can be captured: ``counted`` leaves queries out and keeps the shapes.
"""

import torch
from torch import Tensor

from contrastbench.losses.parts import (
    check_pair,
    check_positive,
    check_range,
    check_rows,
    dot_products,
    log_sum_exp,
    row_dots,
    unit,
    without_autocast,
)


def ncl(
    query: Tensor,
    key: Tensor,
    queue: Tensor,
    *,
    neighbours: int,
    temperature: float = 0.05,
    positive_weight: float = 0.2,
    hard_negatives: Tensor | None = None,
    hard_cosines: Tensor | None = None,
    counted: Tensor | None = None,
    variant: str = "as_paper",
) -> Tensor:
    """Neighborhood contrastive loss: the other view and the k nearest entries of the queue are all positives.

        l(z) = -s(q, z)/t + log sum_{c in candidates} exp(s(q, c)/t)
        L    = mean over queries of  alpha * l(key) + (1 - alpha)/k * sum_{z in neighbours} l(z)

    The candidates are the key, the queue and the hard negatives. "as_paper" searches the neighbours in the queue;
    "as_code" among key and queue, so that the key, nearly always a neighbour, leaves k - 1 from the queue with
    (1 - alpha)/k each.

    Args:
        query, key: [B, D] embeddings of two views, any norm.
        queue: [M, D] past embeddings of unlabelled images.
        neighbours: k in [1, M]; the authors take M / (classes) / 2.
        temperature: t > 0.
        positive_weight: alpha in [0, 1], of the other view.
        hard_negatives: [B, H, D] from :func:`hard_negative_generation`, never neighbours.
        hard_cosines: [B, H] from :func:`hard_negative_cosines`, the same negatives by their cosines.
        counted: boolean [B], the queries that count; None: all.
        variant: "as_paper" or "as_code".

    Returns:
        Scalar, mean over the queries that count (0 where none does), in nats.

    Source: Zhong et al. 2021, arXiv:2106.10731, eq. 5-7; zhunzhong07/NCL models/NCL.py (smooth_hot).
    """
    _check(query, key, queue, temperature)
    check_range("positive_weight", positive_weight, 0, 1)
    if not 1 <= neighbours <= len(queue):
        raise ValueError(f"neighbours must be in [1, {len(queue)}], the length of the queue, got {neighbours}")
    if variant not in ("as_paper", "as_code"):
        raise ValueError(f"variant must be as_paper or as_code, got {variant!r}")
    q = unit(query)
    scores = _key_and_queue(q, key, queue) / temperature
    searched = scores.detach().clone()
    if variant == "as_paper":
        searched[:, 0] = -torch.inf
    nearest = searched.topk(neighbours, dim=1, sorted=False).indices
    targets = torch.zeros_like(scores).scatter_(1, nearest, (1 - positive_weight) / neighbours)
    targets[:, 0] = positive_weight
    candidates = [scores]
    if hard_negatives is not None:
        with without_autocast(q):
            candidates.append(torch.bmm(unit(hard_negatives.detach()), q[:, :, None]).squeeze(2) / temperature)
    if hard_cosines is not None:
        candidates.append(hard_cosines / temperature)
    log_total = log_sum_exp(torch.cat(candidates, dim=1) if len(candidates) > 1 else scores)
    return _mean(targets.sum(dim=1) * log_total - (targets * scores).sum(dim=1), counted)


def scl(
    query: Tensor,
    key: Tensor,
    labels: Tensor,
    queue: Tensor,
    queue_labels: Tensor,
    *,
    temperature: float = 0.05,
    counted: Tensor | None = None,
) -> Tensor:
    """Supervised contrastive loss against a queue: the other view and all entries of the same class are positives.

        L = mean over queries of mean_{z in {key} and same-class entries} l(z),   l as in :func:`ncl`

    Args:
        query, key: [B, D] embeddings of two views of labelled images, any norm.
        labels: [B] class numbers.
        queue: [M, D] past embeddings; queue_labels: [M] their classes, -1 where the queue is not yet filled.
        temperature: t > 0.
        counted: boolean [B], the queries that count; None: all.

    Returns:
        Scalar, mean over the queries that count (0 where none does), in nats.

    Source: Zhong et al. 2021, arXiv:2106.10731, eq. 8; zhunzhong07/NCL models/NCL.py.
    """
    _check(query, key, queue, temperature)
    if labels.shape != query.shape[:1] or queue_labels.shape != queue.shape[:1]:
        raise ValueError(
            f"labels must be [{len(query)}] and queue_labels [{len(queue)}], "
            f"got {list(labels.shape)} and {list(queue_labels.shape)}"
        )
    scores = _key_and_queue(unit(query), key, queue) / temperature
    positive = torch.nn.functional.pad(labels[:, None] == queue_labels[None, :], (1, 0), value=True)
    mean_positive = (scores * positive).sum(dim=1) / positive.sum(dim=1)
    return _mean(log_sum_exp(scores) - mean_positive, counted)


def _check(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> None:
    check_pair(query, key, ("query", "key"), at_least=1)
    check_rows("queue", queue)
    check_positive("temperature", temperature)


def _mean(losses: Tensor, counted: Tensor | None) -> Tensor:
    if counted is None:
        return losses.mean()
    return (losses * counted).sum() / counted.sum().clamp_min(1)


def _key_and_queue(q: Tensor, key: Tensor, queue: Tensor) -> Tensor:
    """Cosines of each query with its key, in column 0, and with the queue: [B, 1 + M]."""
    k = unit(key.detach())
    return torch.cat([row_dots(q, k)[:, None], dot_products(q, unit(queue.detach()))], dim=1)
