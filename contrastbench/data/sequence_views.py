"""CL4SRec's random operations on whole batches of sequences, drawn on the CPU.

Dimensions: B sequences, T places. Rows are left-padded: the items of row i are its last ``lengths[i]`` places.

Source: Xie et al. 2022, arXiv:2010.14395, section 3.2; sizes, rounding and "two different operations" as the version in
RuihongQiu/DuoRec at its cl4srec.py and sequential_dataloader.py. There is no official code.
"""

import torch
from torch import Tensor

from contrastbench.data.interactions import PADDING


def lengths_of(rows: Tensor) -> Tensor:
    """[B]: the places from the first item on."""
    return (rows != PADDING).cummax(dim=1).values.sum(dim=1)


def crop(rows: Tensor, share: float, rng: torch.Generator, *, to_end: bool = True) -> Tensor:
    """A random run of floor(share * length) items, at least one, moved to the end.

    With ``to_end=False`` the run never holds the last item, as in CoSeRec's code.
    """
    lengths, width = lengths_of(rows), rows.shape[1]
    start, count = _window(lengths, share, rng, to_end)
    count = count.clamp_min(1)
    places = torch.arange(width) - (width - count)[:, None]
    source = (width - lengths + start)[:, None] + places
    return torch.where(places >= 0, rows.gather(1, source.clamp(0, width - 1)), PADDING)


def mask(rows: Tensor, share: float, number: int, rng: torch.Generator) -> Tensor:
    """``number`` in place of floor(share * length) random items."""
    lengths = lengths_of(rows)
    there = torch.arange(rows.shape[1]) >= rows.shape[1] - lengths[:, None]
    noise = torch.rand(rows.shape, generator=rng).masked_fill(~there, 2.0)
    return rows.masked_fill(noise.argsort(dim=1).argsort(dim=1) < _share(lengths, share)[:, None], number)


def reorder(rows: Tensor, share: float, rng: torch.Generator, *, to_end: bool = True) -> Tensor:
    """A random run of floor(share * length) items, shuffled; ``to_end`` as in :func:`crop`."""
    lengths, width = lengths_of(rows), rows.shape[1]
    start, count = _window(lengths, share, rng, to_end)
    first = (width - lengths + start)[:, None]
    places = torch.arange(width).expand_as(rows)
    inside = (places >= first) & (places < first + count[:, None])
    noise = torch.rand(rows.shape, generator=rng, dtype=torch.float64)
    keys = torch.where(inside, first + count[:, None] * noise, places.double())
    return rows.gather(1, keys.argsort(dim=1, stable=True))


def two_views(
    rows: Tensor, *, crop_share: float, mask_share: float, reorder_share: float, number: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each sequence under two different operations of the three; a single item stays as it is."""
    made = torch.stack(
        [crop(rows, crop_share, rng), mask(rows, mask_share, number, rng), reorder(rows, reorder_share, rng), rows]
    )
    chosen = torch.rand(len(rows), 3, generator=rng).argsort(dim=1)[:, :2]
    chosen[lengths_of(rows) < 2] = 3
    view_a, view_b = (made[chosen[:, number], torch.arange(len(rows))] for number in range(2))
    return view_a, view_b


def _share(lengths: Tensor, share: float) -> Tensor:
    return (lengths.double() * share).floor().long()


def _window(lengths: Tensor, share: float, rng: torch.Generator, to_end: bool) -> tuple[Tensor, Tensor]:
    """Where a run of floor(share * length) items begins, each place as likely, and its length."""
    count = _share(lengths, share)
    free = (lengths - count + to_end).clamp_min(1)
    start = (torch.rand(len(lengths), generator=rng, dtype=torch.float64) * free).long()
    return start.clamp(max=free - 1), count
