"""The engine of losses of all rows against all rows (SupCon, uniformity): loss and gradient in one pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrastbench.losses.parts import along_sphere, full_precision, row_norms, without_autocast

# scores [R, R], -inf on the diagonal -> the loss, and its gradient over the scores, added to its transpose
OfScores = Callable[[Tensor], tuple[Tensor, Tensor]]


def loss_of_similarities(z: Tensor, scale: float, of_scores: OfScores) -> Tensor:
    """``of_scores`` of ``scale`` times the cosines of all rows of ``z`` ([R, D], any norm). Once differentiable."""
    z = full_precision(z)
    with without_autocast(z):
        return _LossOfSimilarities.apply(z, scale, of_scores)


class _LossOfSimilarities(torch.autograd.Function):
    """The scores are symmetric, so with G plus its transpose the gradient over u is one matrix product."""

    @staticmethod
    def forward(ctx, z: Tensor, scale: float, of_scores: OfScores) -> Tensor:
        norms = row_norms(z)
        u = z / norms
        loss, gradient = of_scores(((u * scale) @ u.T).fill_diagonal_(-torch.inf))
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(along_sphere(gradient @ u, u).mul_(scale / norms))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None, None
