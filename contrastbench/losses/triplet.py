"""FaceNet's triplet loss over a labelled batch, and the miners that choose its negatives.

B: rows; every ordered pair (a, p) of two rows of one label is a pair to satisfy, every row n of another label a
possible negative. Distances are squared, between unit vectors: d = |u - v|^2 in [0, 4]. No miner makes a B^3 tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from contrastbench.losses.parts import check_pair, check_positive, check_rows, dot_products, full_precision, unit

# (distances [B, B], same [B, B], margin) -> loss [B, B] of each pair, and the pairs that count [B, B]
Miner = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float) -> Tensor:
    """Each anchor must be nearer to its positive than to its negative, by a margin.

        L = mean_i max(0, |a_i - p_i|^2 - |a_i - n_i|^2 + m)

    Args:
        anchor, positive, negative: [T, D] embeddings, any norm; put on the unit sphere first.
        margin: m > 0, a squared distance; FaceNet uses 0.2.

    Returns:
        Scalar, mean over the triplets, in squared distance.

    Source: Schroff et al. 2015, arXiv:1503.03832, eq. 3 (a sum there).
    """
    check_pair(anchor, positive, ("anchor", "positive"), at_least=1)
    check_pair(anchor, negative, ("anchor", "negative"), at_least=1)
    check_positive("margin", margin)
    a, p, n = unit(anchor), unit(positive), unit(negative)
    return (2 * (a * (n - p)).sum(dim=1) + margin).clamp_min(0).mean()  # |a - p|^2 = 2 - 2 a.p


def batch_triplet(z: Tensor, labels: Tensor, *, margin: float, miner: Miner) -> Tensor:
    """The triplet loss over all pairs of a batch, with the negatives that ``miner`` chooses.

        L = mean_{pairs that count} of the miner's loss of the pair

    Args:
        z: [B, D] embeddings, any norm; put on the unit sphere first.
        labels: [B] class numbers.
        margin: m > 0, a squared distance; FaceNet uses 0.2.
        miner: :func:`mine_every`, :func:`mine_hard`, :func:`mine_semi_hard` or :func:`mine_easy`.

    Returns:
        Scalar, in squared distance; 0 where no pair counts.

    Source: Schroff et al. 2015, arXiv:1503.03832, section 3.2 (all anchor-positive pairs of the batch).
    """
    check_rows("z", z, at_least=2)
    check_positive("margin", margin)
    if labels.shape != z.shape[:1]:
        raise ValueError(f"labels must be [{z.shape[0]}], got {list(labels.shape)}")
    u = unit(z)
    same = labels[:, None] == labels[None, :]
    losses, counting = miner((2 - 2 * dot_products(u, u)).clamp_min(0), same, margin)
    counting = (counting & same & ~same.all(dim=1, keepdim=True)).fill_diagonal_(False)
    return losses.where(counting, losses.new_zeros(())).sum() / counting.sum().clamp_min(1)


def mine_every(distances: Tensor, same: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Miner: the mean over all negatives, ``mean_n max(0, d_ap - d_an + m)``, from sorted sums."""
    ranked, counts = _sorted_negatives(distances, same)
    limit = distances + margin
    inside = torch.searchsorted(ranked.detach(), limit.detach().contiguous())  # negatives nearer than d_ap + m
    finite = ranked.where(ranked < math.inf, ranked.new_zeros(()))
    sums = torch.nn.functional.pad(finite.cumsum(dim=1), (1, 0)).gather(1, inside)
    return (inside * limit - sums) / counts.clamp_min(1), torch.ones_like(same)


def mine_hard(distances: Tensor, same: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Miner: the nearest negative, ``max(0, d_ap - min_n d_an + m)``. Collapses easily (FaceNet, section 3.2)."""
    nearest = distances.masked_fill(same, math.inf).amin(dim=1, keepdim=True)
    return (distances - nearest + margin).clamp_min(0), torch.ones_like(same)


def mine_easy(distances: Tensor, same: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Miner: the farthest negative, ``max(0, d_ap - max_n d_an + m)``; soon there is nothing left to learn."""
    farthest = distances.masked_fill(same, -math.inf).amax(dim=1, keepdim=True)
    return (distances - farthest + margin).clamp_min(0), torch.ones_like(same)


def mine_semi_hard(distances: Tensor, same: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Miner: the nearest negative that is farther than the positive, within the margin: d_ap < d_an < d_ap + m.

    Pairs without one do not count.
    """
    ranked, _ = _sorted_negatives(distances, same)
    first = torch.searchsorted(ranked.detach(), distances.detach().contiguous(), right=True)
    semi = torch.nn.functional.pad(ranked, (0, 1), value=math.inf).gather(1, first)
    losses = distances - semi + margin
    return losses, losses > 0


def _sorted_negatives(distances: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Each anchor's distances to its negatives, ascending, +inf behind them [B, B], and their number [B, 1]."""
    masked = full_precision(distances).masked_fill(same, math.inf)
    return masked.sort(dim=1).values, (~same).sum(dim=1, keepdim=True)
