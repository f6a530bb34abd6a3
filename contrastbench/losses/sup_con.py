"""SupCon: every row of the same label is a positive."""

from __future__ import annotations

import torch
from torch import Tensor

from contrastbench.losses.parts import check_positive, check_rows, dot_products, log_sum_exp, unit


def sup_con(z: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Supervised contrastive loss (L_out): the mean log probability of picking each row of one's own label.

        L = mean_i [ -1/|P(i)| sum_{p in P(i)} log( exp(s(i, p)/t) / sum_{a != i} exp(s(i, a)/t) ) ]

    Args:
        z: [R, D] embeddings of all views, any norm.
        labels: [R] class numbers, one for each view. Item numbers instead (``arange(B).repeat(2)``) give NT-Xent.
        temperature: t > 0; 0.1 in the paper. The authors' factor t / 0.07 on the loss is left out.

    Returns:
        Scalar, mean over the rows that have a positive, in nats.

    Raises:
        ValueError: no row has a positive.

    Source: Khosla et al. 2020, arXiv:2004.11362, eq. 2.
    """
    check_rows("z", z, at_least=2)
    check_positive("temperature", temperature)
    if labels.shape != z.shape[:1]:
        raise ValueError(f"labels must be [{z.shape[0]}], got {list(labels.shape)}")
    u = unit(z)
    # The mean score of the positives is a score with the mean positive: a sum per class, less the row itself.
    number = labels.unique(return_inverse=True)[1]
    sizes = torch.bincount(number)
    sums = u.new_zeros(len(sizes), u.shape[1]).index_add(0, number, u)
    others = sizes[number] - 1
    if not others.any():
        raise ValueError("labels must give some row a positive, got all different labels")
    positive = (u * (sums[number] - u)).sum(dim=1) / others.clamp_min(1) / temperature
    scores = dot_products(u / temperature, u).fill_diagonal_(-torch.inf)
    has_positive = others > 0
    return ((log_sum_exp(scores) - positive) * has_positive).sum() / has_positive.sum()
