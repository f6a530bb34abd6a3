"""The weighted negative term of two-view losses at any temperature: BCL, and HCL where plain exponentials overflow.

B: items in the batch; 2B: views, first the B rows of one view, then the B of the other; N = 2B - 2 negatives a view.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrastbench.losses.parts import check_pair, check_positive, log_debiased, unit, without_autocast

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


def loss_and_slopes(
    log_mean: Tensor, log_positive: Tensor, temperature: float, tau_plus: float, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its derivatives by ``log_mean`` and by ``log_positive`` ([2B] each)."""
    log_true = log_debiased(log_mean, log_positive, tau_plus, -1 / temperature) if tau_plus else log_mean
    log_sum = log_true + math.log(count)
    to_true = torch.sigmoid(log_sum - log_positive).div_(log_mean.shape[0])
    loss = pick_positive(log_positive, log_sum)
    if not tau_plus:
        return loss, to_true, -to_true
    free = log_true > -1 / temperature  # the clamp is not holding
    gain = (log_mean - log_true).masked_fill_(~free, -math.inf).exp_() / (1 - tau_plus)  # d log_true / d log_mean
    return loss, to_true * gain, to_true * (free.to(gain.dtype).sub_(gain).sub_(1))


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


def mean_of_exponentials(scores: Tensor, count: int, weigh: Weigh | None, slope: float) -> tuple[Tensor, Tensor]:
    """The log of the weighted mean of each row's exp(score), and its gradient over the scores, written over them.

    With E = exp(score), R = mean_j w_j E_j and weights exp(slope * score) / mean:

        d log R / d score_k = (w_k / N) * ((1 + slope) * E_k / R - slope)
    """
    weights = None if weigh is None else weigh(scores)
    top = scores.amax(dim=1, keepdim=True)
    exponentials = scores.sub_(top).exp_()
    total = exponentials.sum(dim=1) if weights is None else torch.linalg.vecdot(weights, exponentials)
    total = total.clamp_min_(torch.finfo(scores.dtype).tiny)[:, None]  # Bayesian weights can all be 0
    log_mean = (top + (total / count).log()).squeeze(1)
    gradient = exponentials.mul_((1 + slope) / total)
    if slope:
        gradient.sub_(slope / count)
    return log_mean, gradient if weights is None else gradient.mul_(weights)


class _LogMeanNegatives(torch.autograd.Function):
    """Keeps the gradient over the scores, so that backward is two matrix products with [2B, D]."""

    @staticmethod
    def forward(ctx, u: Tensor, temperature: float, weigh: Weigh | None, slope: float) -> Tensor:
        count = u.shape[0] - 2
        scores = u @ (u / temperature).T
        for offset in (0, u.shape[0] // 2, -(u.shape[0] // 2)):  # itself, and its partner
            scores.diagonal(offset).fill_(-math.inf)
        log_mean, gradient = mean_of_exponentials(scores, count, weigh, slope)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(u, gradient)
            ctx.temperature = temperature
        return log_mean

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        u, gradient = ctx.saved_tensors
        upstream = (upstream / ctx.temperature)[:, None]
        with without_autocast(u):
            return (gradient @ u).mul_(upstream).addmm_(gradient.T, upstream * u), None, None, None
