"""The two things a contrastive loss asks for on the sphere: partners close together, everything spread out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from contrastbench.losses.own_similarities import loss_of_similarities
from contrastbench.losses.parts import check_pair, check_positive, check_rows, unit


def alignment(z_a: Tensor, z_b: Tensor, *, exponent: float = 2.0) -> Tensor:
    """How far apart the two views of an item are.

        L = mean_i |u_a(i) - u_b(i)|^exponent

    Args:
        z_a, z_b: [B, D] embeddings of two views, any norm; put on the unit sphere first.
        exponent: > 0.

    Returns:
        Scalar in [0, 2^exponent]; 0 is perfect alignment.

    Source: Wang and Isola 2020, arXiv:2005.10242, section 4.1.1.
    """
    check_pair(z_a, z_b, at_least=1)
    check_positive("exponent", exponent)
    apart = unit(z_a) - unit(z_b)
    if exponent == 2:
        return apart.square().sum(dim=1).mean()
    return torch.linalg.vector_norm(apart, dim=1).pow(exponent).mean()


def uniformity(z: Tensor, *, t: float = 2.0) -> Tensor:
    """How evenly the embeddings spread over the sphere: the log of the mean Gaussian potential between pairs.

        L = log mean_{i < j} exp(-t |u_i - u_j|^2)

    Args:
        z: [B, D] embeddings, any norm, B >= 2; put on the unit sphere first.
        t: > 0, inverse squared width of the Gaussian.

    Returns:
        Scalar in [-4 t, 0]; lower is more uniform, 0 is collapse. Once differentiable.

    Source: Wang and Isola 2020, arXiv:2005.10242, eq. 5.
    """
    check_rows("z", z, at_least=2)
    check_positive("t", t)
    pairs = len(z) * (len(z) - 1)

    def log_mean_potential(scores: Tensor) -> tuple[Tensor, Tensor]:
        top = scores.amax()
        shares = (scores - top).exp_()
        total = shares.sum()
        return top + total.log() - math.log(pairs) - 2 * t, shares.mul_(2 / total)

    return loss_of_similarities(z, 2 * t, log_mean_potential)  # -t |u - v|^2 = 2 t (u.v - 1)
