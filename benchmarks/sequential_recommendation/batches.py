"""The batches of an epoch: sequences, targets, negatives and views, all drawn on the CPU.

A batch is sorted by length and cut into pieces, each trimmed to its own longest. Places are counted from the end, so no
output of an item changes; on LastFM half of all places are padding, on Beauty nine of ten.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.sequential_recommendation import coserec, iclrec
from benchmarks.sequential_recommendation.config import Train
from contrastbench.data.interactions import PADDING, Split, load_interactions, pad_left
from contrastbench.data.sequence_views import lengths_of, two_views
from contrastbench.encoders.sequences import SequenceEncoder
from contrastbench.randomness import generator, random_state
from contrastbench.training import batches

read_interactions = functools.lru_cache(maxsize=2)(load_interactions)  # a worker does many runs on the same data
FEWEST = 8  # rows; a smaller last batch is dropped, since it has too few negatives and pieces
STEP = 10  # widths are multiples of it, so that few shapes occur
VIEWS = ("a", "b")
# Columns that keep all places, because outputs of all of them are compared, padding's too.
WHOLE = {"coserec": VIEWS, "iclrec": ("main", *VIEWS)}


@dataclass(frozen=True)
class Task:
    """A data set as a run trains on it.

    N rows of T places: whole users, or a row for each target.
    """

    config: Train
    split: Split
    rows: Tensor  # int64 [N, T], left-padded
    targets: Tensor  # int64 [N, T], what follows each place; [N, 1] where only the last place has a target
    users: Tensor  # int64 [N]

    @property
    def items(self) -> int:
        return self.split.data.items

    def epoch(
        self, seed: int, epoch: int, encoder: SequenceEncoder, last: dict[str, Tensor] | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """The inputs of each step of an epoch; ``encoder`` is asked at its beginning for similar items or intents.

        Args:
            last: holds the intents' centres from one epoch to the next.
        """
        config, similar, more = self.config, None, {}
        if config.views == "coserec":
            similar = self.similar.at(config, encoder, epoch)
        if config.views == "iclrec":
            similar = torch.zeros(self.items + 2, dtype=torch.long)  # not used
            before = last.get("centres") if last and config.k_means == "continued" else None
            state = random_state(seed, "intents", epoch)
            more["centres"] = iclrec.centres(encoder, self.rows, config.clusters, state, before)
            if last is not None:
                last.update(more)
        rng = generator(seed, "augmentation", epoch)
        order = batches(len(self.rows), self.config.batch, generator(seed, "order", epoch), drop_last=False)
        for index in order:
            if len(index) >= FEWEST:
                yield self.inputs(index, rng, similar) | more

    def inputs(self, index: Tensor, rng: torch.Generator, similar: Tensor | None = None) -> dict[str, Tensor]:
        """The rows ``index`` by length, in pieces: ``main0``, ``target0``, ``negative0``, ``a0``, ``b0``, ``main1``."""
        index = index[self.lengths[index].argsort(stable=True)]
        columns = {"main": self.rows[index], "target": self.targets[index]}
        if self.config.loss == "bce":
            columns["negative"] = self.avoided.draw(self.users[index], columns["target"].shape[1], rng)
        if self.config.false_negatives == "left_out":
            columns["label"] = self.validation_items[self.users[index], None]
        if self.config.views != "none":
            columns |= dict(zip(VIEWS, self.views(index, rng, similar), strict=True))
        return in_pieces(columns, self.config.pieces, whole=WHOLE.get(self.config.views, ()))

    def views(self, index: Tensor, rng: torch.Generator, similar: Tensor | None) -> Sequence[Tensor]:
        config = self.config
        if similar is not None:
            longest = int(self.whole_lengths[index].max())
            return coserec.two_views(self.whole[index, -max(longest, 1) :], config, similar, rng)
        if config.views == "duorec":
            rows = self.rows[index]
            return rows, rows if config.partner in ("dropout", "un") else self.rows_of_same_target(index, rng)
        shares = {"crop_share": config.crop, "mask_share": config.mask, "reorder_share": config.reorder}
        return two_views(self.rows[index], **shares, number=self.items + 1, rng=rng)

    def rows_of_same_target(self, index: Tensor, rng: torch.Generator) -> Tensor:
        """For each row a random other training prefix with the same last target; itself where there is none."""
        prefixes, members, starts = self._by_target
        last = self.targets[index, -1]
        known = (last != PADDING)[:, None]  # a user of three items has one to train on, and no target
        first, count = starts[last], (starts[last + 1] - starts[last]).clamp_min(1)
        drawn = first + (torch.rand(len(index), generator=rng, dtype=torch.float64) * count).long().clamp(max=count - 1)
        own = self._own_prefix[index]
        another = first + (drawn - first + 1) % count
        chosen = members[torch.where(members[drawn] == own, another, drawn)]
        return torch.where(known, prefixes[chosen], self.rows[index])

    @functools.cached_property
    def lengths(self) -> Tensor:
        return lengths_of(self.rows)

    @functools.cached_property
    def whole(self) -> Tensor:
        """int64 [U, longest of all]: the rows before they were cut to ``config.longest``."""
        inputs = [sequence[:-1] for sequence in self.split.training]
        return torch.from_numpy(pad_left(inputs, max(map(len, inputs))))

    @functools.cached_property
    def whole_lengths(self) -> Tensor:
        return lengths_of(self.whole)

    @functools.cached_property
    def similar(self) -> coserec.SimilarItems:
        sequences = [sequence[:-1] for sequence in self.split.training]
        return coserec.SimilarItems(sequences, self.items, self.config.similar_by)

    @functools.cached_property
    def validation_items(self) -> Tensor:
        """int64 [U]: ICLRec's code takes a sequence's next item, that of validation, for what the sequence is about."""
        return torch.from_numpy(self.split.questions("validation")[1])

    @functools.cached_property
    def avoided(self) -> Avoided:
        whole = self.config.negatives == "unseen"
        return Avoided(self.split.data.sequences if whole else self.split.training, self.items)

    @functools.cached_property
    def _by_target(self) -> tuple[Tensor, Tensor, Tensor]:
        """All prefixes [M, T]; their places ordered by target [M]; where each target's begin [I + 2]."""
        before, after = self.split.prefixes(self.config.longest)
        order = np.argsort(after, kind="stable")
        starts = np.searchsorted(after[order], np.arange(self.items + 2))
        prefixes = torch.from_numpy(pad_left(before, self.config.longest))
        return prefixes, torch.from_numpy(order), torch.from_numpy(starts)

    @functools.cached_property
    def _own_prefix(self) -> Tensor:
        """[N]: the place of each row's own prefix, the one that ends before its last target."""
        counts = torch.tensor([len(sequence) - 1 for sequence in self.split.training])
        return counts.cumsum(0)[self.users] - 1 if self.config.sequences == "whole" else torch.arange(len(self.rows))


class Avoided:
    """The items that must not be drawn as a user's negatives.

    Raises:
        ValueError: a user has all items, so that no negative is left.
    """

    def __init__(self, sequences: Sequence[np.ndarray], items: int) -> None:
        self.numbers = (
            items + 2
        )  # the mask is drawn like an item, as in the authors' code: neg_sample(1, item_size - 1)
        taken = [np.unique(sequence) for sequence in sequences]
        if max(map(len, taken)) >= items:
            raise ValueError(f"a user has all {items} items, so that no negative is left to draw")
        users = np.repeat(np.arange(len(taken)), [len(each) for each in taken])
        self.keys = torch.from_numpy(users * self.numbers + np.concatenate(taken))

    def draw(self, users: Tensor, width: int, rng: torch.Generator) -> Tensor:
        """int64 [B, ``width``]: numbers from 1 on, each as likely, that the users [B] do not have."""
        drawn = torch.randint(1, self.numbers, (len(users), width), generator=rng)
        while len(again := torch.nonzero(self.has(users[:, None], drawn), as_tuple=True)[0]):
            places = self.has(users[:, None], drawn)
            drawn[places] = torch.randint(1, self.numbers, (len(again),), generator=rng)
        return drawn

    def has(self, users: Tensor, numbers: Tensor) -> Tensor:
        keys = users * self.numbers + numbers
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return self.keys[place] == keys


def in_pieces(columns: dict[str, Tensor], pieces: int, *, whole: Sequence[str] = ()) -> dict[str, Tensor]:
    """Columns [B, T] cut into pieces of rows; leading places that are padding in all rows of a piece are left out.

    Columns that are named in ``whole`` keep all places.
    """
    made = {}
    for number, places in enumerate(torch.arange(len(columns["main"])).tensor_split(pieces)):
        width = _width(columns["main"][places])
        for name, column in columns.items():
            kept = _width(column[places]) if name in VIEWS else width
            kept = column.shape[1] if name in whole else kept
            made[f"{name}{number}"] = column[places, -kept:].contiguous()
    return made


def _width(rows: Tensor) -> int:
    """The longest row's length, rounded up."""
    longest = int(lengths_of(rows).max())
    return min(rows.shape[1], -(-max(longest, 1) // STEP) * STEP)


def load_task(config: Train) -> Task:
    """The config's data, as rows and targets."""
    data = read_interactions(config.dataset).first(config.users)
    split = Split(data)
    if config.sequences == "prefixes":
        before, after = split.prefixes(config.longest)
        users = np.repeat(np.arange(len(split.training)), [len(each) - 1 for each in split.training])
        rows, targets = pad_left(before, config.longest), after[:, None]
    else:
        rows = pad_left([sequence[:-1] for sequence in split.training], config.longest)
        targets = pad_left([sequence[1:] for sequence in split.training], config.longest)
        users = np.arange(len(rows))
    if not (targets > 0).any():
        raise ValueError(f"{config.dataset} has nothing to train on: no user has more than 3 items")
    return Task(config, split, *map(torch.from_numpy, (rows, targets, users)))
