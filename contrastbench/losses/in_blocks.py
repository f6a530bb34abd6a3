"""Two-view losses of very large batches, some rows of the similarity matrix at a time: memory grows with the batch and
not with its square. The values are those of the whole matrix, up to the order in which floats are added.

B: items in the batch; 2B: views, first the B rows of one view, then the B of the other; N = 2B - 2 negatives a view.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrastbench.losses.negatives import Weigh, loss_and_slopes, mean_of_exponentials
from contrastbench.losses.parts import along_sphere, full_precision, row_norms, without_autocast

ENTRIES = {"cpu": 2**20}  # of the matrix at a time: 4 MB in float32, which fit into a core's cache
ENTRIES_ELSEWHERE = 2**24  # 64 MB: a GPU must have enough to do


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
        weigh, slope: as in :func:`contrastbench.losses.negatives.log_mean_negatives`; ``weigh`` sees some of the rows.
        rows: views at a time; what fits into ``ENTRIES`` where not given.
    """
    z_a, z_b = full_precision(z_a), full_precision(z_b)
    rows = rows or max(1, ENTRIES.get(z_a.device.type, ENTRIES_ELSEWHERE) // (2 * len(z_a)))
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
