"""NT-Xent, and DCL (debiased) and HCL (hard negatives), whose negative term estimates the mean over true negatives.

Not lightly's DCLLoss, which is *Decoupled* contrastive learning (arXiv:2110.06848), another method.
"""

import math

import torch
from torch import Tensor

from contrastbench.losses.parts import MOST, check_range, log_debiased, log_mean_exp, unit, without_autocast
from contrastbench.losses.two_views import log_mean_negatives, pick_positive, two_view_loss, views


def nt_xent(z_a: Tensor, z_b: Tensor, *, temperature: float) -> Tensor:
    """NT-Xent: each view must pick its partner among the other 2B - 1 views.

        L = mean_i [ -s(i, i+) / t + log sum_{k != i} exp(s(i, k) / t) ]

    ``s`` is cosine similarity, ``t`` the temperature.

    Args:
        z_a, z_b: [B, D] embeddings of two views, any norm, B >= 2; row i of each is item i.
        temperature: t > 0; SimCLR uses 0.5 on CIFAR-10.

    Returns:
        Scalar, mean over the 2B views, in nats. Once differentiable.

    Source: Chen et al. 2020, arXiv:2002.05709, eq. 1.
    """
    return two_view_loss(z_a, z_b, temperature)


def dcl(z_a: Tensor, z_b: Tensor, *, temperature: float, tau_plus: float) -> Tensor:
    """Debiased contrastive loss: NT-Xent, corrected for the negatives that share the anchor's class.

        Ng_i = N * max( (mean_j neg_ij - tau_plus * pos_i) / (1 - tau_plus), exp(-1/t) )
        L    = mean_i -log( pos_i / (pos_i + Ng_i) )

    with pos_i = exp(s(i, i+)/t), neg_ij = exp(s(i, j)/t) over the N = 2B - 2 views j of other items. The positive is
    also the one sample of the positive class (M = 1). tau_plus = 0 is NT-Xent.

    Args:
        z_a, z_b: [B, D] embeddings of two views, any norm, B >= 2; row i of each is item i.
        temperature: t > 0.
        tau_plus: probability that another item is of the anchor's class, in [0, 1).

    Returns:
        Scalar, mean over the 2B views, in nats. Once differentiable.

    Source: Chuang et al. 2020, arXiv:2007.00224, eq. 7-8; chingyaoc/DCL main.py.
    """
    check_range("tau_plus", tau_plus, 0, 1, high_allowed=False)
    return two_view_loss(z_a, z_b, temperature, tau_plus)


def hcl(z_a: Tensor, z_b: Tensor, *, temperature: float, tau_plus: float, beta: float) -> Tensor:
    """Hard-negative contrastive loss: DCL with negatives weighed by exp(beta * s/t).

        w_ij = exp(beta * s(i,j)/t) / mean_k exp(beta * s(i,k)/t)
        Ng_i = N * max( (mean_j w_ij * neg_ij - tau_plus * pos_i) / (1 - tau_plus), exp(-1/t) )
        L    = mean_i -log( pos_i / (pos_i + Ng_i) )

    Gradients flow through the weights. beta = 0 is DCL.

    Args:
        z_a, z_b: [B, D] embeddings of two views, any norm, B >= 2; row i of each is item i.
        temperature: t > 0.
        tau_plus: probability that another item is of the anchor's class, in [0, 1).
        beta: hardness >= 0; the paper uses 0.5 to 2. It multiplies s/t, as in the authors' code.

    Returns:
        Scalar, mean over the 2B views, in nats. Once differentiable.

    Source: Robinson et al. 2021, arXiv:2010.04592, eq. 4; joshr17/HCL image/main.py.
    """
    check_range("tau_plus", tau_plus, 0, 1, high_allowed=False)
    check_range("beta", beta, 0, MOST)
    return two_view_loss(z_a, z_b, temperature, tau_plus, beta)


def dcl_many_positives(
    z_a: Tensor, z_b: Tensor, more_positives: Tensor, *, temperature: float, tau_plus: float
) -> Tensor:
    """DCL with M > 1 samples of the positive class: a better estimate of what is subtracted.

        Ng_i = N * max( (mean_j neg_ij - tau_plus * mean_m exp(s(i, v_m)/t)) / (1 - tau_plus), exp(-1/t) )

    The M samples v of item i are the anchor's partner and the M - 1 rows ``more_positives[:, i]``; these serve neither
    as the positive of the numerator nor as negatives. Without any it is :func:`dcl`.

    Args:
        z_a, z_b: [B, D] embeddings of two views, any norm, B >= 2; row i of each is item i.
        more_positives: [M - 1, B, D] embeddings of more views (or of more images of the class) of each item.
        temperature, tau_plus: as in :func:`dcl`.

    Returns:
        Scalar, mean over the 2B views, in nats. Once differentiable.

    Source: Chuang et al. 2020, arXiv:2007.00224, eq. 8.
    """
    if more_positives.ndim != 3 or more_positives.shape[1:] != z_a.shape:
        expected = f"[M - 1, {z_a.shape[0]}, {z_a.shape[-1]}]"
        raise ValueError(f"more_positives must be {expected}, got {list(more_positives.shape)}")
    check_range("tau_plus", tau_plus, 0, 1, high_allowed=False)
    u, log_positive = views(z_a, z_b, temperature)
    with without_autocast(u):
        samples = torch.linalg.vecdot(u.unflatten(0, (2, -1)), unit(more_positives)[:, None]).flatten(1) / temperature
    log_class = log_mean_exp(torch.cat([log_positive[None], samples]), dim=0)
    log_mean = log_debiased(log_mean_negatives(u, temperature), log_class, tau_plus, -1 / temperature)
    return pick_positive(log_positive, log_mean + math.log(u.shape[0] - 2))
