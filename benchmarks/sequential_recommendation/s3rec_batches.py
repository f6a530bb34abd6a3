"""The batches of S3-Rec's pre-training: prefixes of the training items, parts of which are hidden. Drawn on the CPU.

Dimensions: N prefixes, B of them in a batch, T places, I items. Rows are left-padded; I + 1 is the mask.

Source: Zhou et al. 2020, arXiv:2008.07873, section 4; RUCAIBox/CIKM2020-S3Rec datasets.py at 2a81540.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.sequential_recommendation.batches import FEWEST, in_pieces, read_interactions
from benchmarks.sequential_recommendation.config import Pretrain
from benchmarks.sequential_recommendation.views import lengths_of
from contrastbench.data.interactions import Interactions, Split, left_padded
from contrastbench.encoders.sequences import PADDING
from contrastbench.randomness import generator
from contrastbench.training import batches


@dataclass(frozen=True)
class Task:
    """A data set as pre-training reads it."""

    config: Pretrain
    data: Interactions
    prefixes: Tensor  # int64 [N, T]: each training item of a user's last T, and the items of these T before it
    everything: Tensor  # int64 [M]: all users' items in one line, the held-out ones too, as in the authors' code

    def epoch(self, seed: int, epoch: int) -> Iterator[dict[str, Tensor]]:
        """The inputs of each step of an epoch."""
        rng = generator(seed, "augmentation", epoch)
        order = batches(len(self.prefixes), self.config.batch, generator(seed, "order", epoch), drop_last=False)
        for index in order:
            if len(index) >= FEWEST:
                yield self.inputs(index, rng)

    def inputs(self, index: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """The prefixes ``index`` by length, in pieces: ``main0``, ``masked0``, ``negative0``, ``context0``, ..."""
        rows = self.prefixes[index]
        rows = rows[lengths_of(rows).argsort(stable=True)]
        columns = {"main": rows}
        mask = self.data.items + 1
        if self.config.aap or self.config.mip or self.config.map:
            columns["masked"] = hide(rows, self.config.hidden, mask, rng)
        if self.config.mip:
            columns["negative"] = others(rows, mask, rng)
        if self.config.sp:
            columns |= dict(
                zip(("context", "segment", "other"), segments(rows, self.everything, mask, rng), strict=True)
            )
        return in_pieces(columns, self.config.pieces)


def load_task(config: Pretrain) -> Task:
    """The config's data, as prefixes."""
    data = read_interactions(config.dataset).first(config.users)
    last = [sequence[-config.longest :] for sequence in Split(data).training]
    prefixes = [sequence[:end] for sequence in last for end in range(1, len(sequence) + 1)]
    everything = torch.from_numpy(np.concatenate(data.sequences))
    return Task(config, data, torch.from_numpy(left_padded(prefixes, config.longest)), everything)


def hide(rows: Tensor, share: float, mask: int, rng: torch.Generator) -> Tensor:
    """The mask in place of the last item, and of each other one with probability ``share``."""
    hidden = torch.rand(rows.shape, generator=rng) < share
    hidden[:, -1] = True
    return torch.where(hidden & (rows != PADDING), mask, rows)


def others(rows: Tensor, mask: int, rng: torch.Generator) -> Tensor:
    """[B, T]: random numbers from 1 to the mask, each as likely, that the row does not hold."""
    drawn = torch.randint(1, mask + 1, rows.shape, generator=rng)
    while (held := (drawn[:, :, None] == rows[:, None, :]).any(dim=2)).any():
        drawn[held] = torch.randint(1, mask + 1, (int(held.sum()),), generator=rng)
    return drawn


def segments(rows: Tensor, everything: Tensor, mask: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The rows without a random run of items, that run alone, and a run of as many items from anywhere in its places.

    A run has 1 to length / 2 items. Where one of the three has no item of its own stands the mask. A row of one item
    is itself in all three, which teaches nothing, as in the authors' code.
    """
    lengths, width = lengths_of(rows), rows.shape[1]
    count = 1 + _below((lengths // 2).clamp_min(1), rng)
    first = (width - lengths + _below(lengths - count + 1, rng))[:, None]
    source = _below(len(everything) - count + 1, rng)[:, None]
    places = torch.arange(width)
    there = rows != PADDING
    inside = there & (places >= first) & (places < first + count[:, None])
    foreign = everything[(source + places - first).clamp(0, len(everything) - 1)]
    hidden = torch.where(there, mask, PADDING)
    single = (lengths < 2)[:, None]
    made = torch.where(inside, hidden, rows), torch.where(inside, rows, hidden), torch.where(inside, foreign, hidden)
    context, segment, other = (torch.where(single, rows, each) for each in made)
    return context, segment, other


def _below(counts: Tensor, rng: torch.Generator) -> Tensor:
    """int64 [B]: for each count one of the numbers from 0 to below it, each as likely."""
    drawn = (torch.rand(len(counts), generator=rng, dtype=torch.float64) * counts).long()
    return drawn.clamp(max=counts - 1)
