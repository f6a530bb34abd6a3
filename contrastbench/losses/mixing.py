"""MoCHi: harder negatives, mixed from the hardest ones of a queue."""

from __future__ import annotations

import torch
from torch import Tensor

from contrastbench.losses.parts import check_rows, dot_products, unit


def mochi(
    query: Tensor, queue: Tensor, *, hardest: int, mixed: int, mixed_with_query: int, rng: torch.Generator
) -> Tensor:
    """Synthetic hard negatives of each query, for :func:`contrastbench.losses.infonce_queue`.

        h  = a * n_i + (1 - a) * n_j,   a ~ U(0, 1),     n_i, n_j from the query's ``hardest`` negatives
        h' = b * q   + (1 - b) * n_j,   b ~ U(0, 0.5)

    all put on the unit sphere. The negative always keeps the greater share beside the query.

    Args:
        query: [B, D] embeddings, any norm.
        queue: [K, D] negatives, any norm.
        hardest: how many of the negatives most similar to the query are mixed, in [1, K]; 1024 in the paper.
        mixed: s, pairs of negatives to mix; 1024 in the paper's best setting.
        mixed_with_query: s', negatives to mix with the query; 128 there.
        rng: draws the pairs and the shares.

    Returns:
        [B, s + s', D] unit vectors, detached.

    Source: Kalantidis et al. 2020, arXiv:2010.01028, eq. 4-6.
    """
    check_rows("query", query)
    check_rows("queue", queue)
    if not 1 <= hardest <= len(queue):
        raise ValueError(f"hardest must be in [1, {len(queue)}], the length of the queue, got {hardest}")
    if mixed < 0 or mixed_with_query < 0:
        raise ValueError(f"mixed and mixed_with_query must be at least 0, got {mixed} and {mixed_with_query}")
    with torch.no_grad():
        q, n = unit(query), unit(queue)
        top = dot_products(q, n).topk(hardest, dim=1).indices
        rows, device = len(q), q.device

        def drawn(count: int) -> Tensor:
            pick = torch.randint(hardest, (rows, count), generator=rng, device=device)
            return n[top.gather(1, pick)]

        a = torch.rand(rows, mixed, 1, generator=rng, device=device, dtype=q.dtype)
        b = torch.rand(rows, mixed_with_query, 1, generator=rng, device=device, dtype=q.dtype) / 2
        pairs = a * drawn(mixed) + (1 - a) * drawn(mixed)
        with_query = b * q[:, None] + (1 - b) * drawn(mixed_with_query)
        return unit(torch.cat([pairs, with_query], dim=1))
