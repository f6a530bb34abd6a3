"""What a test of sentence embeddings is, once read: ``Labelled`` sentences or pairs to classify, ``Scored`` pairs whose
similarity people judged; and ``Triplets`` to learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Labelled:
    """Sentences with classes. ``second`` is the other sentence of each pair, or empty."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    labels: np.ndarray  # int64 [N]
    split: np.ndarray | None = None  # [N] of SPLITS; None: cross-validation over all

    @cached_property
    def sha256(self) -> str:
        """Of the sentences, labels and splits."""
        rows = zip(self.first, self.second or self.first, self.labels, self._splits(), strict=True)
        return _digest(f"{a}\t{b}\t{label}\t{split}" for a, b, label, split in rows)

    def _splits(self) -> Sequence[str]:
        return [""] * len(self.first) if self.split is None else list(self.split)

    def part(self, name: str) -> np.ndarray:
        """The numbers of the items of one split."""
        if self.split is None:
            raise ValueError(f"{self.name} has no splits")
        return (self.split == name).nonzero()[0]


@dataclass(frozen=True)
class Scored:
    """Pairs of sentences with a similarity that people gave; ``part`` names each pair's source."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: np.ndarray  # float64 [N]
    part: np.ndarray  # [N] names

    @cached_property
    def sha256(self) -> str:
        """Of the pairs, scores and sources."""
        rows = zip(self.first, self.second, self.scores, self.part, strict=True)
        return _digest(f"{a}\t{b}\t{score}\t{part}" for a, b, score, part in rows)


@dataclass(frozen=True)
class Triplets:
    """Premises, each with a sentence that follows from it and one that contradicts it."""

    name: str
    premise: tuple[str, ...]
    entailed: tuple[str, ...]
    contradiction: tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        return _digest("\t".join(row) for row in zip(self.premise, self.entailed, self.contradiction, strict=True))


Task = Labelled | Scored | Triplets


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
