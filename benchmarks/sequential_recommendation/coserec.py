"""CoSeRec: views that put similar items in place of a sequence's items, or beside them.

Dimensions: B sequences, T places, I items.

Source: Liu et al. 2021, arXiv:2108.06479, sections 4.1 and 4.2; YChen1993/CoSeRec src/data_augmentation.py, models.py.
Hidden items become padding there, and neither the window of a crop nor that of a reordering ever reaches the last item.
"""

import functools
from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from benchmarks.sequential_recommendation.config import Train
from contrastbench.data import sequence_views as views
from contrastbench.encoders.sequences import PADDING, SequenceEncoder

BLOCK = 1024  # items whose scores with all others are held at a time
RANDOM = -1  # in place of an item's most similar one: one that is drawn anew each time
LETTERS = "SIMCR"  # substitute, insert, mask, crop, reorder


class SimilarItems:
    """The item most similar to each: by counts or a random one, after the warm-up also by the learned embeddings."""

    def __init__(self, sequences: Sequence[np.ndarray], items: int, similar_by: str = "itemcf_iuf") -> None:
        self.best, self.score = by_counts(sequences, items, inverse_frequency=similar_by == "itemcf_iuf")
        if similar_by == "random":
            self.best[np.unique(np.concatenate(sequences))] = RANDOM
            self.score = torch.zeros_like(self.score)

    def at(self, config: Train, encoder: SequenceEncoder, epoch: int) -> Tensor:
        """int64 [I + 2] for an epoch: whichever of the two has the higher score; 0 where an item has none."""
        if epoch <= config.warm_up:
            return self.best
        best, score = by_embeddings(encoder.items.weight.detach().cpu())
        return torch.where(self.score >= score, self.best, best)


def by_counts(sequences: Sequence[np.ndarray], items: int, *, inverse_frequency: bool = True) -> tuple[Tensor, Tensor]:
    """ItemCF with inverse user frequency: the best partner of each item [I + 2], and its score scaled to [0, 1].

        s(i, j) = sum over users with both of 1 / log(1 + items of the user) / sqrt(users of i * users of j)

    Without it a user counts 1. Items without a partner have 0 and the score 0. Of equal scores the lowest number.
    """
    taken = [np.unique(sequence) for sequence in sequences]
    users = np.repeat(np.arange(len(taken)), [len(each) for each in taken])
    shape = (len(taken), items + 2)
    has = sparse.csr_array((np.ones(len(users)), (users, np.concatenate(taken))), shape=shape)
    weight = np.array([1 / np.log(1 + len(each)) if len(each) else 0.0 for each in taken])
    weight = weight if inverse_frequency else np.ones(len(taken))
    together = (has.T @ sparse.diags_array(weight) @ has).tocsr()
    norm = 1 / np.sqrt(np.maximum(has.sum(axis=0), 1))
    scores = (sparse.diags_array(norm) @ together @ sparse.diags_array(norm)).tolil()
    scores.setdiag(0)
    scores = scores.tocsr()
    scores.eliminate_zeros()
    best, top = scores.argmax(axis=1), scores.max(axis=1).toarray().ravel()
    low, high = (scores.data.min(), scores.data.max()) if scores.nnz else (0.0, 1.0)
    scaled = np.where(top > 0, (top - low) / max(high - low, 1e-12), 0.0)
    return torch.from_numpy(np.where(top > 0, best, PADDING).astype(np.int64)), torch.from_numpy(scaled)


def by_embeddings(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The number with the greatest dot product with each, itself left out, and that score scaled to [0, 1].

    Padding and mask can be the answer, as in the authors' code; the scale is over the products of all but padding.
    """
    best, top, low, high = [], [], [], []
    for places in torch.arange(len(weight)).split(BLOCK):
        scores = weight[places] @ weight.T
        counted = scores[places != PADDING]
        low.append(counted.min())
        high.append(counted.max())
        scores[torch.arange(len(places)), places] = -torch.inf
        found = scores.max(dim=1)
        best.append(found.indices)
        top.append(found.values)
    least, most = torch.stack(low).min(), torch.stack(high).max()
    return torch.cat(best), ((torch.cat(top) - least) / (most - least)).double()


def substitute(rows: Tensor, share: float, similar: Tensor, rng: torch.Generator) -> Tensor:
    """Similar items in place of max(1, floor(share * length)) random ones."""
    return torch.where(_chosen(rows, share, rng), partners(rows, similar, rng), rows)


def insert(rows: Tensor, share: float, similar: Tensor, rng: torch.Generator) -> Tensor:
    """[B, 2T]: similar items before max(1, floor(share * length)) random ones."""
    new = torch.where(_chosen(rows, share, rng), partners(rows, similar, rng), PADDING)
    both = torch.stack([new, rows], dim=2).flatten(1)
    return both.gather(1, (both != PADDING).long().argsort(dim=1, stable=True))


def partners(rows: Tensor, similar: Tensor, rng: torch.Generator) -> Tensor:
    """Each item's similar one; for an item without one, or with ``RANDOM``, any of those that have one."""
    known = torch.nonzero(similar).flatten()
    if not len(known):
        return rows
    drawn = known[torch.randint(len(known), rows.shape, generator=rng)]
    found = similar[rows]
    return torch.where(found <= PADDING, drawn, found)


def two_views(rows: Tensor, config: Train, similar: Tensor, rng: torch.Generator) -> list[Tensor]:
    """Two views [B, T'] of whole sequences [B, T], T' = ``config.longest``: an operation each, drawn anew.

    A sequence of at most ``config.short`` items takes one of ``config.short_operations``, a longer one any of the five.
    ICLRec's views are those of crop, mask and reorder alone.
    """
    lengths = views.lengths_of(rows)
    of_short, of_long = (config.short_operations, LETTERS) if config.views == "coserec" else (LETTERS[2:], LETTERS[2:])
    operations = [
        functools.partial(substitute, share=config.substitute, similar=similar),
        functools.partial(insert, share=config.insert, similar=similar),
        functools.partial(views.mask, share=config.mask, number=PADDING),
        functools.partial(views.crop, share=config.crop, to_end=False),
        functools.partial(views.reorder, share=config.reorder, to_end=False),
    ]
    found = []
    for _ in range(2):
        short, long = (_letters(letters, len(rows), rng) for letters in (of_short, of_long))
        letters = torch.where(lengths <= config.short, short, long)
        view = torch.zeros(len(rows), config.longest, dtype=rows.dtype)
        for letter in letters.unique().tolist():
            own = torch.nonzero(letters == letter)[:, 0]
            view[own] = _last(operations[letter](rows[own], rng=rng), config.longest)
        found.append(view)
    return found


def _letters(letters: str, count: int, rng: torch.Generator) -> Tensor:
    """int64 [count]: places in LETTERS of random ones of the letters."""
    places = torch.tensor([LETTERS.index(letter) for letter in letters])
    return places[torch.randint(len(letters), (count,), generator=rng)]


def _last(rows: Tensor, width: int) -> Tensor:
    """The last ``width`` places, padded on the left where there are fewer."""
    return torch.nn.functional.pad(rows, (max(0, width - rows.shape[1]), 0), value=PADDING)[:, -width:]


def _chosen(rows: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Boolean [B, T]: max(1, floor(share * length)) random items of each row."""
    lengths, width = views.lengths_of(rows), rows.shape[1]
    there = torch.arange(width) >= width - lengths[:, None]
    noise = torch.rand(rows.shape, generator=rng).masked_fill(~there, 2.0)
    count = (lengths.double() * share).floor().long().clamp_min(1)
    return (noise.argsort(dim=1).argsort(dim=1) < count[:, None]) & there
