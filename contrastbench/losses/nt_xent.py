"""NT-Xent, the loss of SimCLR."""

from __future__ import annotations

from torch import Tensor

from contrastbench.losses.two_views import two_view_loss


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
