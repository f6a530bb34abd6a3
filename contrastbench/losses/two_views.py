"""The engine of NT-Xent, DCL, HCL and BCL: the loss of two views and its gradient, from the matrix of their cosines.

Three ways, equal up to the order in which floats are added: the whole matrix with plain exponentials (fastest), the
whole matrix in log space (any temperature, any weights of the negatives), and some rows of it at a time (very large
batches, where memory grows with the batch and not with its square).

B: items in the batch; 2B: views, first the B rows of one view, then the B of the other; N = 2B - 2 negatives a view.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrastbench.losses.parts import (
    along_sphere,
    check_pair,
    check_positive,
    full_precision,
    hardness_weights,
    log_debiased,
    row_norms,
    unit,
    without_autocast,
)

WHOLE_MATRIX_VIEWS = 16_384  # beyond 8,192 items (1 GB a matrix) rows are done in blocks
BLOCK_ENTRIES = {"cpu": 2**20}  # of the matrix at a time: 4 MB in float32, which fit into a core's cache
BLOCK_ENTRIES_ELSEWHERE = 2**24  # 64 MB: a GPU must have enough to do
Weigh = Callable[[Tensor], Tensor]  # scores [2B, 2B], -inf where not a negative -> weights, 0 where not a negative


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


# ------------------------------------------------------------------------- the whole matrix, plain exponentials


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


# ------------------------------------------------------------------------------------ the whole matrix, log space


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


# ------------------------------------------------------------------------------------------- some rows at a time


def loss_in_blocks(
    z_a: Tensor,
    z_b: Tensor,
    temperature: float,
    tau_plus: float = 0.0,
    weigh: Weigh | None = None,
    slope: float = 0.0,
    *,
    rows: int | None = None,
) -> Tensor:
    """NT-Xent, DCL, HCL or BCL, by ``tau_plus`` and the weights of the negatives. Once differentiable.

    Args:
        z_a, z_b: [B, D] embeddings of two views, any norm; checked by the caller.
        weigh, slope: as in :func:`log_mean_negatives`; ``weigh`` sees some of the rows.
        rows: views at a time; what fits into ``BLOCK_ENTRIES`` where not given.
    """
    z_a, z_b = full_precision(z_a), full_precision(z_b)
    rows = rows or max(1, BLOCK_ENTRIES.get(z_a.device.type, BLOCK_ENTRIES_ELSEWHERE) // (2 * len(z_a)))
    with without_autocast(z_a):
        return _LossInBlocks.apply(z_a, z_b, temperature, tau_plus, weigh, slope, rows)


class _LossInBlocks(torch.autograd.Function):
    """Each block's part of the gradient is made while the block is there, so that no block is kept or made again."""

    @staticmethod
    def forward(ctx, z_a, z_b, temperature: float, tau_plus: float, weigh: Weigh | None, slope: float, rows: int):
        z = torch.cat([z_a, z_b])
        norms = row_norms(z)
        u = z / norms
        views, partner = len(u), u.roll(len(z_a), 0)
        scaled, log_positive = u / temperature, torch.linalg.vecdot(u, partner) / temperature
        loss, gradient = u.new_zeros(()), torch.zeros_like(u)
        for start in range(0, views, rows):
            part = slice(start, min(start + rows, views))
            own = torch.arange(part.start, part.stop, device=u.device)[:, None]
            scores = u[part] @ scaled.T
            scores.scatter_(1, own, -torch.inf).scatter_(1, (own + len(z_a)) % views, -torch.inf)
            log_mean, matrix = mean_of_exponentials(scores, views - 2, weigh, slope)
            its_loss, to_mean, to_positive = loss_and_slopes(
                log_mean, log_positive[part], temperature, tau_plus, views - 2
            )
            share = len(own) / views
            loss += share * its_loss
            matrix.mul_(share * to_mean[:, None])
            gradient.addmm_(matrix.T, u[part])
            gradient[part].addmm_(matrix, u)
            to_pair = (share * to_positive)[:, None]
            gradient[part].addcmul_(to_pair, partner[part])
            gradient.index_add_(0, ((own + len(z_a)) % views).squeeze(1), to_pair * u[part])
        ctx.save_for_backward(along_sphere(gradient, u).div_(norms * temperature))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        (gradient,) = ctx.saved_tensors
        to_a, to_b = (gradient * upstream).chunk(2)
        return to_a, to_b, None, None, None, None, None
