"""What a recommender of sequences must beat: how popular an item is, and what came right after the last one.

Dimensions: b users, I items. Scores have I + 2 columns: padding and mask, which never win, stand first and last.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def popularity(training: Sequence[np.ndarray], items: int) -> Tensor:
    """[I + 2]: how often each item occurs in the training sequences (PopRec)."""
    counts = np.bincount(np.concatenate(training), minlength=items + 2).astype(np.float64)
    counts[[0, items + 1]] = -np.inf
    return torch.from_numpy(counts)


class Transitions:
    """How often each item came directly after the user's last one; equal counts are ordered by popularity."""

    def __init__(self, training: Sequence[np.ndarray], items: int) -> None:
        self.popular = popularity(training, items)
        self.popular = self.popular / (self.popular.max() + 1)  # below 1, one transition
        pairs = np.concatenate([sequence[:-1] * (items + 2) + sequence[1:] for sequence in training])
        self.pairs, self.counts = np.unique(pairs, return_counts=True)

    def scores(self, last: np.ndarray) -> Tensor:
        """[b, I + 2] for the users' last items [b]."""
        size = len(self.popular)
        scores = self.popular.repeat(len(last), 1)
        starts, ends = np.searchsorted(self.pairs, [last * size, (last + 1) * size])
        for row, start, end in zip(scores, starts, ends, strict=True):
            row[torch.from_numpy(self.pairs[start:end] % size)] += torch.from_numpy(self.counts[start:end])
        return scores
