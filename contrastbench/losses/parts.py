"""What the losses share: checks, cosine similarities, masks, means in log space, and the weights of hard negatives.

Everything here works in float32 or float64: half-precision inputs are raised to float32, also under autocast, because
a cosine that is off by 0.004 (bfloat16) is off by 0.2 nats once it is divided by a temperature of 0.02.
"""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# ---------------------------------------------------------------------------------------------------------- checks

LEAST, MOST = 1e-6, 1e6  # temperatures, margins and the like: beyond them float32 computes with rounding errors alone


def check_positive(name: str, value: float, *, most: float = MOST) -> None:
    """Raises ValueError unless ``value`` is in [LEAST, most]: above 0, and a number that float32 can compute with."""
    if not LEAST <= value <= most:
        raise ValueError(f"{name} must be in [{LEAST:g}, {most:g}], got {value}")


def check_range(name: str, value: float, low: float, high: float, *, high_allowed: bool = True) -> None:
    """Raises ValueError unless ``low <= value <= high`` (``< high`` where the end is not allowed)."""
    inside = low <= value <= high if high_allowed else low <= value < high
    if not inside:
        closing = "]" if high_allowed else ")"
        raise ValueError(f"{name} must be in [{low:g}, {high:g}{closing}, got {value}")


def check_rows(name: str, z: Tensor, *, at_least: int = 1) -> None:
    """Raises unless ``z`` is a floating point matrix [rows, D] with enough rows."""
    if not z.is_floating_point():
        raise TypeError(f"{name} must hold floating point numbers, got {z.dtype}")
    if z.ndim != 2 or z.shape[0] < at_least or z.shape[1] < 1:
        raise ValueError(f"{name} must be [rows >= {at_least}, D >= 1], got {list(z.shape)}")


def check_pair(z_a: Tensor, z_b: Tensor, names: tuple[str, str] = ("z_a", "z_b"), *, at_least: int = 2) -> None:
    """Raises unless both are [B, D] of one shape, row i of each being item i."""
    check_rows(names[0], z_a, at_least=at_least)
    check_rows(names[1], z_b, at_least=at_least)
    if z_a.shape != z_b.shape:
        raise ValueError(f"{names[0]} and {names[1]} must have one shape, got {list(z_a.shape)} and {list(z_b.shape)}")


# ---------------------------------------------------------------------------------------------------- similarities


def full_precision(z: Tensor) -> Tensor:
    """``z`` itself in float32 or float64; half precision becomes float32."""
    return z if z.dtype in (torch.float32, torch.float64) else z.float()


def row_norms(z: Tensor) -> Tensor:
    """Euclidean length of each row of ``z`` ([..., D] -> [..., 1]), neither overflowing nor vanishing; 1 for zeros."""
    norms = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    if z.device.type == "cpu" and norms.numel():  # asking a GPU costs more than the careful way below
        shortest, longest = norms.detach().aminmax()
        if shortest > 1e-15 and longest < 1e15:  # squares are far from the limits of float32
            return norms
    largest = z.detach().abs().amax(dim=-1, keepdim=True)
    largest.masked_fill_(largest == 0, 1.0)
    return torch.linalg.vector_norm(z / largest, dim=-1, keepdim=True).clamp_min(1.0) * largest


def unit(z: Tensor) -> Tensor:
    """Rows of ``z`` ([..., D], any norm) scaled to length 1, in full precision.

    A row of zeros has no direction: it stays zero, at cosine 0 to everything, with a finite gradient.
    """
    z = full_precision(z)
    return z / row_norms(z)


def along_sphere(gradient: Tensor, u: Tensor) -> Tensor:
    """The part of ``gradient`` ([R, D], of unit rows ``u``) that is orthogonal to ``u``, written over ``gradient``.

    If ``u`` is ``z`` normalised, this part divided by the lengths of ``z`` is the gradient of ``z``.
    """
    return gradient.addcmul_(u, torch.linalg.vecdot(u, gradient)[:, None], value=-1)


def without_autocast(z: Tensor) -> AbstractContextManager[object]:
    """The context in which matrix products on ``z``'s device keep the precision of their inputs."""
    if z.is_meta or not torch.is_autocast_enabled(z.device.type):  # autocast knows no "meta"
        return nullcontext()
    return torch.autocast(device_type=z.device.type, enabled=False)


def dot_products(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b.T`` ([rows of a, rows of b]) in full precision, also under autocast."""
    with without_autocast(a):
        return full_precision(a) @ full_precision(b).T


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity of every row of ``a`` with every row of ``b``: [rows of a, rows of b], in full precision."""
    return dot_products(unit(a), unit(b))


def row_dots(a: Tensor, b: Tensor) -> Tensor:
    """Dot product of row i of ``a`` with row i of ``b``: [rows], in full precision."""
    return (full_precision(a) * full_precision(b)).sum(dim=-1)


# ----------------------------------------------------------------------------------------------- means in log space


def log_sum_exp(scores: Tensor) -> Tensor:
    """``log sum_j exp(scores_ij)`` of each row of a matrix: torch's logsumexp in half the time. Once differentiable.

    Each row needs an entry above -inf.
    """
    return _LogSumExp.apply(scores)


class _LogSumExp(torch.autograd.Function):
    """Keeps the softmax that forward has at hand, so that backward is one product."""

    @staticmethod
    def forward(ctx, scores: Tensor) -> Tensor:
        top = scores.amax(dim=1, keepdim=True)
        shares = (scores - top).exp_()
        total = shares.sum(dim=1, keepdim=True)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(shares.div_(total))
        return (top + total.log()).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        (shares,) = ctx.saved_tensors
        return shares * upstream[:, None]


def log_mean_exp(scores: Tensor, *, keep: Tensor | None = None, dim: int = -1) -> Tensor:
    """``log mean_{j kept} exp(scores_j)`` along ``dim``, without overflow.

    Args:
        scores: any shape, finite where kept.
        keep: boolean, broadcastable to ``scores``; None keeps everything. At least one entry must be kept.
    """
    if keep is None:
        return scores.logsumexp(dim) - math.log(scores.shape[dim])
    keep = keep.expand_as(scores)
    return scores.masked_fill(~keep, -math.inf).logsumexp(dim) - keep.sum(dim).to(scores.dtype).log()


def hardness_weights(
    scores: Tensor, beta: float, *, keep: Tensor | None = None, dim: int = -1, count: int | None = None
) -> Tensor:
    """Importance weights that turn negatives into hard negatives; the one place of HCL's reweighting.

        w_j = exp(beta * s_j) / mean_{k kept} exp(beta * s_k)

    Self-normalised (mean 1 over what is kept), computed in log space, and not detached: HCL's gradient flows through
    the weights.

    Args:
        scores: s, any shape: cosines / temperature for images and sentences, discriminator scores for graphs.
        beta: hardness, at most a million either way; 0 weighs all alike, a negative one (HCL's graph code) favours the
            easy ones.
        keep: boolean, broadcastable to ``scores``: the entries that are negatives. None keeps everything.
        dim: the dimension over which the weights are normalised.
        count: instead of ``keep``, where whatever is no negative is -inf in ``scores`` already: how many are negatives.
            Only with beta > 0.

    Returns:
        Weights of the shape of ``scores``, 0 where not kept; all 0 where a row keeps nothing.

    Source: Robinson et al. 2021, arXiv:2010.04592, section 3; authors' image/main.py (``imp / imp.mean``).
    """
    check_range("beta", beta, -MOST, MOST)
    scores = full_precision(scores)
    if count is not None and (keep is not None or beta <= 0):
        raise ValueError(f"count replaces keep and needs beta above 0, got beta {beta} and keep {keep}")
    if keep is None:
        return torch.softmax(beta * scores, dim) * (scores.shape[dim] if count is None else count)
    keep = keep.expand_as(scores)
    nothing = ~keep.any(dim, keepdim=True)  # softmax over nothing is NaN, and so is its gradient: soften, then drop
    weights = torch.softmax((beta * scores).masked_fill(~(keep | nothing), -math.inf), dim)
    return weights.masked_fill(~keep, 0.0) * keep.sum(dim, keepdim=True)


def log_debiased(log_negatives: Tensor, log_positive: Tensor, tau_plus: float, log_floor: Tensor | float) -> Tensor:
    """The mean over true negatives, from a mean over all: the correction of DCL and HCL.

        log max( (exp(log_negatives) - tau_plus * exp(log_positive)) / (1 - tau_plus), exp(log_floor) )

    Means or sums alike, as long as both are scaled alike. Where the floor holds, no gradient flows.

    Args:
        log_negatives: log of the (reweighted) mean over the unlabelled samples.
        log_positive: log of the mean over the positives.
        tau_plus: probability that an unlabelled sample is a positive, in [0, 1).
        log_floor: log of the least possible value of the mean, -1 / temperature for cosines.

    Source: Chuang et al. 2020, arXiv:2007.00224, eq. 8.
    """
    left_over = 1 - tau_plus * torch.exp((log_positive - log_negatives).clamp_max(50.0))
    positive = ~(left_over <= 0)  # the rest is below the floor; a NaN is not, and must show in the loss
    log_mean = log_negatives + left_over.where(positive, torch.ones_like(left_over)).log() - math.log1p(-tau_plus)
    floor = log_floor  # a number is written by the device itself: to copy it there would be a wait
    if not isinstance(floor, Tensor):
        floor = torch.full((), floor, dtype=log_mean.dtype, device=log_mean.device)
    return torch.maximum(log_mean, floor).where(positive, floor)
