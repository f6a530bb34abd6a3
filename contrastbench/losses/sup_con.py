"""SupCon: every row of the same label is a positive."""

from __future__ import annotations

import torch
from torch import Tensor

from contrastbench.losses.own_similarities import loss_of_similarities
from contrastbench.losses.parts import check_positive, check_rows


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
