"""The weighted negative term of two-view losses at any temperature: BCL, and HCL where plain exponentials overflow.

B: items in the batch; 2B: views, first the B rows of one view, then the B of the other; N = 2B - 2 negatives a view.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrastbench.losses.parts import check_pair, check_positive, unit, without_autocast

Weigh = Callable[[Tensor], Tensor]  # scores [2B, 2B], -inf where not a negative -> weights, 0 where not a negative


def views(z_a: Tensor, z_b: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Checks the arguments; returns the 2B unit rows and, for each, its partner's score s / t: [2B, D], [2B]."""
    check_pair(z_a, z_b)
    check_positive("temperature", temperature)
    u = unit(torch.cat([z_a, z_b]))
    u_a, u_b = u.chunk(2)
    return u, ((u_a * u_b).sum(dim=1) / temperature).repeat(2)


def pick_positive(log_positive: Tensor, log_negative_sum: Tensor) -> Tensor:
    """``mean_i -log( pos_i / (pos_i + Ng_i) )``, from the logarithms of pos and Ng."""
    return (torch.logaddexp(log_negative_sum, log_positive) - log_positive).mean()


def log_mean_negatives(u: Tensor, temperature: float, weigh: Weigh | None = None, slope: float = 0.0) -> Tensor:
    """``log (1/N) sum_j w_ij exp(s_ij / t)`` for each view i, over its N negatives j: [2B].

    Args:
        u: [2B, D] unit rows.
        temperature: t.
        weigh: gives w from the scores s / t; None weighs all alike.
        slope: d log w_ij / d score_ij before normalisation: beta for hardness weights (whose mean is 1), 0 for
            weights that no gradient flows through.
    """
    with without_autocast(u):
        return _LogMeanNegatives.apply(u, temperature, weigh, slope)


class _LogMeanNegatives(torch.autograd.Function):
    """Writes the gradient over the scores in place, so that backward is two matrix products with [2B, D].

    With E = exp(score), R = mean_j w_j E_j and weights exp(slope * score) / mean:

        d log R / d score_k = (w_k / N) * ((1 + slope) * E_k / R - slope)
    """

    @staticmethod
    def forward(ctx, u: Tensor, temperature: float, weigh: Weigh | None, slope: float) -> Tensor:
        count = u.shape[0] - 2
        scores = u @ (u / temperature).T
        for offset in (0, u.shape[0] // 2, -(u.shape[0] // 2)):  # itself, and its partner
            scores.diagonal(offset).fill_(-math.inf)
        weights = None if weigh is None else weigh(scores)
        top = scores.amax(dim=1, keepdim=True)
        exponentials = scores.sub_(top).exp_()
        total = exponentials.sum(dim=1) if weights is None else torch.linalg.vecdot(weights, exponentials)
        total = total.clamp_min_(torch.finfo(u.dtype).tiny)[:, None]  # Bayesian weights can all be 0
        if ctx.needs_input_grad[0]:
            gradient = exponentials.mul_((1 + slope) / total)
            if slope:
                gradient.sub_(slope / count)
            if weights is not None:
                gradient.mul_(weights)
            ctx.save_for_backward(u, gradient)
            ctx.temperature = temperature
        return (top + (total / count).log()).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        u, gradient = ctx.saved_tensors
        upstream = (upstream / ctx.temperature)[:, None]
        with without_autocast(u):
            return (gradient @ u).mul_(upstream).addmm_(gradient.T, upstream * u), None, None, None
