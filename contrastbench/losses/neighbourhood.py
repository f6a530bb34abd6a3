"""Neighborhood Contrastive Learning for novel class discovery: neighbours as pseudo-positives, mixed hard negatives.

B: queries; D: width; M: length of a queue of past embeddings. Keys and queues get no gradient.
"""

from __future__ import annotations

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
        variant: "as_paper" or "as_code".

    Returns:
        Scalar, mean over the queries, in nats.

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
    nearest = searched.topk(neighbours, dim=1).indices
    targets = torch.zeros_like(scores).scatter_(1, nearest, (1 - positive_weight) / neighbours)
    targets[:, 0] = positive_weight
    candidates = scores
    if hard_negatives is not None:
        with torch.autocast(device_type=q.device.type, enabled=False):
            hard = torch.bmm(unit(hard_negatives.detach()), q[:, :, None]).squeeze(2) / temperature
        candidates = torch.cat([scores, hard], dim=1)
    return (targets.sum(dim=1) * log_sum_exp(candidates) - (targets * scores).sum(dim=1)).mean()


def scl(
    query: Tensor, key: Tensor, labels: Tensor, queue: Tensor, queue_labels: Tensor, *, temperature: float = 0.05
) -> Tensor:
    """Supervised contrastive loss against a queue: the other view and all entries of the same class are positives.

        L = mean over queries of mean_{z in {key} and same-class entries} l(z),   l as in :func:`ncl`

    Args:
        query, key: [B, D] embeddings of two views of labelled images, any norm.
        labels: [B] class numbers.
        queue: [M, D] past embeddings; queue_labels: [M] their classes, -1 where the queue is not yet filled.
        temperature: t > 0.

    Returns:
        Scalar, mean over the queries, in nats.

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
    return (log_sum_exp(scores) - mean_positive).mean()


def hard_negative_generation(
    query: Tensor, unlabelled: Tensor, labelled: Tensor, *, safe: int, rounds: int, keep: int, rng: torch.Generator
) -> Tensor:
    """Hard negatives mixed from what surely is none of the query's class: far unlabelled and labelled embeddings.

        candidates = (u + 2 l)/3 and (2 u + l)/3, on the unit sphere; the ``keep`` most similar to the query stay

    u: the ``safe`` entries of the unlabelled queue least similar to the query. l: in each round as many, drawn without
    repetition from the labelled queue, for each query anew. The similarity of a mix follows from dot products, so only
    what is kept is ever mixed.

    Args:
        query: [B, D] embeddings, any norm.
        unlabelled: [M, D] queue of novel-class embeddings; labelled: [L, D] queue of known classes.
        safe: negatives taken from each queue, in [1, min(M, L)]; 50 for CIFAR-10, 400 for CIFAR-100.
        rounds: draws from the labelled queue, 5 there; 2 * rounds * safe candidates arise.
        keep: how many stay, in [1, 2 * rounds * safe]; 400 there.
        rng: draws the labelled partners.

    Returns:
        [B, keep, D] unit vectors, detached, hardest first.

    Source: Zhong et al. 2021, arXiv:2106.10731, section 3.4; zhunzhong07/NCL models/NCL.py.
    """
    for name, z in (("query", query), ("unlabelled", unlabelled), ("labelled", labelled)):
        check_rows(name, z)
    if not 1 <= safe <= min(len(unlabelled), len(labelled)):
        raise ValueError(f"safe must be in [1, {min(len(unlabelled), len(labelled))}], the shorter queue, got {safe}")
    if rounds < 1 or not 1 <= keep <= 2 * rounds * safe:
        raise ValueError(f"keep must be in [1, 2 * rounds * safe = {2 * rounds * safe}], got {keep}")
    with torch.no_grad():
        q, u, other = unit(query), unit(unlabelled), unit(labelled)
        to_u, to_l = dot_products(q, u), dot_products(q, other)
        far = to_u.topk(safe, dim=1, largest=False).indices.repeat(1, rounds)  # [B, rounds * safe]
        chance = torch.rand(len(q), rounds, len(other), generator=rng, device=q.device)
        drawn = chance.topk(safe, dim=2).indices.flatten(1)
        between = dot_products(u, other).flatten()[far * len(other) + drawn]  # u . l of each candidate
        near, toward = to_u.gather(1, far), to_l.gather(1, drawn)
        length = (5 + 4 * between).clamp_min(torch.finfo(q.dtype).tiny).sqrt()  # |u + 2 l| = |2 u + l|
        similarity = torch.cat([(near + 2 * toward) / length, (2 * near + toward) / length], dim=1)
        best = similarity.topk(keep, dim=1).indices
        share = torch.where(best < far.shape[1], 1.0, 2.0).to(q.dtype)[:, :, None]  # of u, of 3
        pick = best % far.shape[1]
        return unit(share * u[far.gather(1, pick)] + (3 - share) * other[drawn.gather(1, pick)])


def _check(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> None:
    check_pair(query, key, ("query", "key"), at_least=1)
    check_rows("queue", queue)
    check_positive("temperature", temperature)


def _key_and_queue(q: Tensor, key: Tensor, queue: Tensor) -> Tensor:
    """Cosines of each query with its key, in column 0, and with the queue: [B, 1 + M]."""
    k = unit(key.detach())
    return torch.cat([row_dots(q, k)[:, None], dot_products(q, unit(queue.detach()))], dim=1)
