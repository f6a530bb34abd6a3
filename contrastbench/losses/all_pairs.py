"""Losses of all rows of a batch against all rows: SupCon, uniformity, and alignment beside it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrastbench.losses.parts import (
    along_sphere,
    check_pair,
    check_positive,
    check_rows,
    full_precision,
    row_norms,
    unit,
    without_autocast,
)

# scores [R, R], -inf on the diagonal -> the loss, and its gradient over the scores, added to its transpose
OfScores = Callable[[Tensor], tuple[Tensor, Tensor]]


def sup_con(z: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Supervised contrastive loss (L_out): the mean log probability of picking each row of one's own label.

        L = mean_i [ -1/|P(i)| sum_{p in P(i)} log( exp(s(i, p)/t) / sum_{a != i} exp(s(i, a)/t) ) ]

    Args:
        z: [R, D] embeddings of all views, any norm.
        labels: [R] class numbers, one for each view. Item numbers instead (``arange(B).repeat(2)``) give NT-Xent.
        temperature: t > 0; 0.1 in the paper. The authors' factor t / 0.07 on the loss is left out.

    Returns:
        Scalar, mean over the rows that have a positive, in nats. Once differentiable.

    Raises:
        ValueError: no row has a positive; on a GPU the loss is NaN then.

    Source: Khosla et al. 2020, arXiv:2004.11362, eq. 2.
    """
    check_rows("z", z, at_least=2)
    check_positive("temperature", temperature)
    if labels.shape != z.shape[:1]:
        raise ValueError(f"labels must be [{z.shape[0]}], got {list(labels.shape)}")
    same = (labels[:, None] == labels[None, :]).fill_diagonal_(False)
    positives = same.sum(dim=1)
    anchors = positives.count_nonzero()
    if labels.device.type == "cpu" and not anchors:  # elsewhere the question would be a wait
        raise ValueError("labels must give some row a positive, got all different labels")

    def mean_over_positives(scores: Tensor) -> tuple[Tensor, Tensor]:
        log_p = scores.log_softmax(dim=1)
        targets = same / (positives.clamp_min(1) * anchors)[:, None].to(scores.dtype)
        loss = -torch.dot(log_p.masked_fill(~same, 0).view(-1), targets.view(-1))
        gradient = log_p.exp_().mul_((positives > 0)[:, None] / anchors).sub_(targets)
        return loss, gradient + gradient.T

    return loss_of_similarities(z, 1 / temperature, mean_over_positives)


def alignment(z_a: Tensor, z_b: Tensor, *, exponent: float = 2.0) -> Tensor:
    """How far apart the two views of an item are.

        L = mean_i |u_a(i) - u_b(i)|^exponent

    Args:
        z_a, z_b: [B, D] embeddings of two views, any norm; put on the unit sphere first.
        exponent: in (0, 100]. Equal pairs get no gradient.

    Returns:
        Scalar in [0, 2^exponent]; 0 is perfect alignment.

    Source: Wang and Isola 2020, arXiv:2005.10242, section 4.1.1.
    """
    check_pair(z_a, z_b, at_least=1)
    check_positive("exponent", exponent, most=100)
    apart = unit(z_a) - unit(z_b)
    if exponent == 2:
        return apart.square().sum(dim=1).mean()
    distance = torch.linalg.vector_norm(apart, dim=1)
    equal = distance == 0  # below 1 the power has no gradient there; none is needed
    return distance.masked_fill(equal, 1.0).pow(exponent).masked_fill(equal, 0.0).mean()


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
