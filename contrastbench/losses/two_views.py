"""The engine of NT-Xent, DCL and HCL: loss and gradient of two views in one pass over one similarity matrix.

B: items in the batch; 2B: views, first the B rows of one view, then the B of the other; N = 2B - 2 negatives a view.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrastbench.losses.in_blocks import loss_in_blocks
from contrastbench.losses.negatives import log_mean_negatives, loss_and_slopes, pick_positive, views
from contrastbench.losses.parts import (
    along_sphere,
    check_pair,
    check_positive,
    full_precision,
    hardness_weights,
    log_debiased,
    row_norms,
    without_autocast,
)

WHOLE_MATRIX_VIEWS = 16_384  # beyond 8,192 items (1 GB a matrix) rows are done in blocks


def two_view_loss(z_a: Tensor, z_b: Tensor, temperature: float, tau_plus: float = 0.0, beta: float = 0.0) -> Tensor:
    """HCL, and with beta = 0 DCL, and with tau_plus = 0 too NT-Xent (:func:`contrastbench.losses.hcl`)."""
    check_pair(z_a, z_b)
    check_positive("temperature", temperature)
    z_a, z_b = full_precision(z_a), full_precision(z_b)
    if 2 * len(z_a) > WHOLE_MATRIX_VIEWS:

        def weigh_some(scores: Tensor) -> Tensor:
            return hardness_weights(scores, beta, count=scores.shape[1] - 2)

        return loss_in_blocks(z_a, z_b, temperature, tau_plus, weigh_some if beta else None, beta)
    if (1 + beta) / temperature <= -math.log(torch.finfo(z_a.dtype).tiny) - 7:
        with without_autocast(z_a):  # exp((1 + beta) * s / t) cannot overflow
            return _TwoViewLoss.apply(z_a, z_b, temperature, tau_plus, beta)
    u, log_positive = views(z_a, z_b, temperature)

    def weigh(scores: Tensor) -> Tensor:
        return hardness_weights(scores, beta, count=scores.shape[1] - 2)

    log_mean = log_mean_negatives(u, temperature, weigh if beta else None, slope=beta)
    log_mean = log_debiased(log_mean, log_positive, tau_plus, -1 / temperature)
    return pick_positive(log_positive, log_mean + math.log(u.shape[0] - 2))


class _TwoViewLoss(torch.autograd.Function):
    """The gradient is made in forward, while the matrix is in cache, and only its [2B, D] result is kept.

    E_ij = exp(s_ij / t) is symmetric and H_ij = E_ij ** beta too, so with row factors p and q the gradient over the
    scores, added to its transpose, is H * (E * (p_i + p_j) - (q_i + q_j)): one matrix product instead of two.
    """

    @staticmethod
    def forward(ctx, z_a: Tensor, z_b: Tensor, temperature: float, tau_plus: float, beta: float) -> Tensor:
        z = torch.cat([z_a, z_b])
        norms = row_norms(z)
        u = z / norms
        rows, count = u.shape[0], u.shape[0] - 2
        scores = u @ (u / temperature).T
        log_positive = scores.diagonal(rows // 2).repeat(2)
        easy, hard = _exponentials(scores, beta)
        hard_sum = None if hard is None else hard.sum(dim=1)
        total = easy.sum(dim=1) if hard is None else torch.linalg.vecdot(easy, hard)
        log_mean = (total / (count if hard_sum is None else hard_sum)).log_()
        loss, to_mean, to_positive = loss_and_slopes(log_mean, log_positive, temperature, tau_plus, count)
        if any(ctx.needs_input_grad):
            p = to_mean * ((1 + beta) / total)
            matrix = p[:, None] + p
            matrix.mul_(easy)
            if hard is not None and hard_sum is not None:
                q = to_mean * (beta / hard_sum)
                matrix.sub_(q[:, None]).sub_(q).mul_(hard)
            to_u = matrix @ u
            to_u.addcmul_((to_positive + to_positive.roll(rows // 2))[:, None], u.roll(rows // 2, 0))
            ctx.save_for_backward(along_sphere(to_u, u).div_(norms * temperature))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        (gradient,) = ctx.saved_tensors
        to_a, to_b = (gradient * upstream).chunk(2)
        return to_a, to_b, None, None, None


def _exponentials(scores: Tensor, beta: float) -> tuple[Tensor, Tensor | None]:
    """exp(score), written over the scores, and its power beta (None for 0), both 0 where not a negative."""
    if beta in (0, 0.5, 1, 2):  # a root or a square costs a tenth of an exponential
        easy = _without_positives(scores.exp_())
        return easy, None if beta == 0 else easy if beta == 1 else easy.pow(beta)
    hard = _without_positives((scores * beta).exp_())
    return _without_positives(scores.exp_()), hard


def _without_positives(matrix: Tensor) -> Tensor:
    """Zeroes, in place, each view's column for itself and for its partner."""
    for offset in (0, matrix.shape[0] // 2, -(matrix.shape[0] // 2)):
        matrix.diagonal(offset).fill_(0)
    return matrix
