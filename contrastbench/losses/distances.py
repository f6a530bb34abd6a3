"""Losses that shape distances: of pairs known to be similar or different (DrLIM and its two-margin descendants), and of
triplets, with the miners that choose a batch's negatives (FaceNet).

P: pairs. D(i) = |x_a(i) - x_b(i)|, Euclidean, of the rows as they are: not angles.
B: rows of a labelled batch; every ordered pair (a, p) of two rows of one label is a pair to satisfy, every row n of
another label a possible negative. Triplets have squared distances between unit vectors, d = |u - v|^2 in [0, 4]. No
miner makes a B^3 tensor.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from contrastbench.losses.parts import (
    check_pair,
    check_positive,
    check_range,
    check_rows,
    dot_products,
    full_precision,
    unit,
)

# (distances [B, B], same [B, B], margin) -> loss [B, B] of each pair, and the pairs that count [B, B]
Miner = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]


def drlim(x_a: Tensor, x_b: Tensor, different: Tensor, *, margin: float) -> Tensor:
    """DrLIM: a spring pulls similar pairs together, another pushes different ones apart until the margin.

        L = mean_i [ (1 - Y_i)/2 * D_i^2 + Y_i/2 * max(0, m - D_i)^2 ]

    Args:
        x_a, x_b: [P, D] points, not normalised; row i of each is pair i.
        different: Y, [P], boolean: whether the pair is a different one.
        margin: m > 0, a distance.

    Returns:
        Scalar, mean over the pairs, in squared distance.

    Source: Hadsell et al. 2006, "Dimensionality reduction by learning an invariant mapping", eq. 4.
    """
    check_positive("margin", margin)
    distance = _distances(x_a, x_b, different)
    return torch.where(different, (margin - distance).clamp_min(0), distance).square().mean() / 2


def squared_hinge(
    x_a: Tensor, x_b: Tensor, different: Tensor, *, positive_margin: float, negative_margin: float
) -> Tensor:
    """Two margins, squared: similar pairs only need to be near, and no longer cost anything there.

        L = mean_i [ (1 - Y_i) * max(0, D_i - m_pos)^2 + Y_i * max(0, m_neg - D_i)^2 ]

    With m_pos = 0 it is twice :func:`drlim`.

    Args:
        x_a, x_b, different: as in :func:`drlim`.
        positive_margin, negative_margin: 0 <= m_pos < m_neg, distances.

    Returns:
        Scalar, mean over the pairs, in squared distance.

    Source: Lin et al. 2016, "DeepHash", arXiv:1501.04711, section 3.2 (the double-margin loss).
    """
    return _violations(x_a, x_b, different, positive_margin, negative_margin).square().mean()


def margin_pairs(
    x_a: Tensor, x_b: Tensor, different: Tensor, *, positive_margin: float, negative_margin: float
) -> Tensor:
    """The margin loss: the same two margins, not squared, so that a far outlier pulls no harder than a near one.

        L = mean_i [ (1 - Y_i) * max(0, D_i - m_pos) + Y_i * max(0, m_neg - D_i) ]

    Wu et al. write m_pos = beta - alpha and m_neg = beta + alpha.

    Args:
        x_a, x_b, different, positive_margin, negative_margin: as in :func:`squared_hinge`.

    Returns:
        Scalar, mean over the pairs, in distance.

    Source: Wu et al. 2017, arXiv:1706.07567, eq. 5, with a fixed beta.
    """
    return _violations(x_a, x_b, different, positive_margin, negative_margin).mean()


def _violations(x_a: Tensor, x_b: Tensor, different: Tensor, positive_margin: float, negative_margin: float) -> Tensor:
    check_positive("negative_margin", negative_margin)
    check_range("positive_margin", positive_margin, 0, negative_margin, high_allowed=False)
    distance = _distances(x_a, x_b, different)
    return torch.where(different, negative_margin - distance, distance - positive_margin).clamp_min(0)


def _distances(x_a: Tensor, x_b: Tensor, different: Tensor) -> Tensor:
    check_pair(x_a, x_b, ("x_a", "x_b"), at_least=1)
    if different.dtype != torch.bool or different.shape != x_a.shape[:1]:
        raise ValueError(f"different must be boolean [{x_a.shape[0]}], got {different.dtype} {list(different.shape)}")
    apart = full_precision(x_a) - full_precision(x_b)
    scale = (apart.detach().abs().amax() / 1e15).clamp_min(1.0)  # the squares of larger numbers overflow float32
    return torch.linalg.vector_norm(apart / scale, dim=1) * scale


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
    mean = losses.where(counting, losses.new_zeros(())).sum() / counting.sum().clamp_min(1)
    return mean + 0 * u.detach().sum()  # NaN where any embedding is, whatever the miner passes over


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
