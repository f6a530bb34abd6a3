"""Losses of pairs that are known to be similar or different: DrLIM and its two-margin descendants.

P: pairs. D(i) = |x_a(i) - x_b(i)|, Euclidean, of the rows as they are: these losses shape distances, not angles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from contrastbench.losses.parts import check_pair, check_positive, check_range, full_precision


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
    return torch.linalg.vector_norm(full_precision(x_a) - full_precision(x_b), dim=1)
