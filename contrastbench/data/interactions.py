"""Sequences of items, one a user, in time order: loading, the leave-one-out split, and left padding.

Dimensions: U users, T places.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from contrastbench.data import catalogue
from contrastbench.data.contents import text_of
from contrastbench.data.installed import package_file
from contrastbench.data.kinds.interactions import places
from contrastbench.data.kinds.pairs import MOVIELENS
from contrastbench.data.movielens import movielens

PADDING = 0  # no item has this number
FEWEST = 3  # items of a user: one to train on, one for validation, one for the test
RAREST = 5  # documents that a word of the embedded set must occur in
LOOSEST = 10  # an item's number is an index into a table of embeddings: the largest is at most so many times the items,
SPARE = 10_000  # and this many more


@dataclass(frozen=True)
class Interactions:
    """Users' items in time order. Items have the numbers 1 to ``items``; 0 is padding, ``items + 1`` the mask."""

    name: str
    sequences: tuple[np.ndarray, ...]  # int64, of each user
    origin: str  # "data root", "package" or "embedded"
    ids: tuple[str, ...] = ()  # what a table calls items 1, 2, ...; empty where a file has these numbers itself

    @cached_property
    def items(self) -> int:
        """The largest item number: what stands between numbers that occur counts as an item, as in the papers' code."""
        return max(int(sequence.max()) for sequence in self.sequences)

    @cached_property
    def sha256(self) -> str:
        """Of the numbers, whatever file they came from."""
        digest = hashlib.sha256()
        for sequence in self.sequences:
            digest.update(" ".join(map(str, sequence.tolist())).encode() + b"\n")
        return digest.hexdigest()

    def first(self, users: int) -> Interactions:
        """The first users alone; 0 keeps all."""
        return dataclasses.replace(self, sequences=self.sequences[:users]) if users else self


@dataclass(frozen=True)
class Split:
    """Leave-one-out: of each user the last item is for the test, the one before it for validation."""

    data: Interactions

    @cached_property
    def training(self) -> list[np.ndarray]:
        return [sequence[:-2] for sequence in self.data.sequences]

    def questions(self, part: str) -> tuple[list[np.ndarray], np.ndarray]:
        """What stands before the held-out item of "validation" or "test", and that item [U]."""
        held_out = {"validation": -2, "test": -1}[part]
        histories = [sequence[:held_out] for sequence in self.data.sequences]
        return histories, np.array([sequence[held_out] for sequence in self.data.sequences])

    def prefixes(self, longest: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Each training item but a user's first, and up to ``longest`` items before it (RecBole's augmentation)."""
        before, after = [], []
        for sequence in self.training:
            for place in range(1, len(sequence)):
                before.append(sequence[max(0, place - longest) : place])
                after.append(sequence[place])
        return before, np.array(after)


def pad_left(sequences: Sequence[np.ndarray], width: int) -> np.ndarray:
    """int64 [N, ``width``]: the last items of each sequence, the very last in the last place."""
    rows = np.full((len(sequences), width), PADDING, dtype=np.int64)
    for row, sequence in zip(rows, sequences, strict=True):
        if len(sequence):
            row[-len(sequence[-width:]) :] = sequence[-width:]
    return rows


def load_interactions(
    name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None
) -> Interactions:
    """Loads a set of the catalogue, or a file of the data root by its name.

    Two layouts: "user item item ..." in time order, a line for each user (NAME.txt), and RecBole's table of single
    actions with user_id, item_id and timestamp (NAME.inter), whose items are numbered here in the order of the file.
    MovieLens-100k (ml-100k), declared as pairs, is such a table, too.

    Args:
        name: a name of ``contrastbench data list``. Behind an @ may stand how many actions a user and an item of a
            table need at least, as in ``NAME@5``: the others are left out, again and again until none is left, as by
            RecBole's ``min_user_inter_num`` and ``min_item_inter_num``.
        root: the data root; None means $CONTRASTBENCH_DATA, or ~/.cache/contrastbench.
        download: nothing is downloaded, whatever it says.

    Raises:
        ValueError: no such set, or a file that holds no sequences; in one line.
    """
    folder = catalogue.data_root(root)
    if name == "gensim_sequences":
        return Interactions(name, tuple(_gensim_sequences()[0]), "embedded")
    file, at, number = name.partition("@")
    if at and not (number.isdecimal() and int(number)):
        raise ValueError(f"behind the @ of {name!r} must stand a whole number of actions, at least 1")
    least = int(number or 0)
    if file == MOVIELENS:
        sequences, ids = _recbole_table(movielens(folder), MOVIELENS, least)
        return Interactions(name, tuple(sequences), "package", ids)
    looked_at = places(file, folder)
    there = [path for path in looked_at if path.is_file()]
    if not there:
        catalogue.describe(file, "interactions", root)
        raise ValueError(f"sequences {file!r} not found in {folder} (looked for recsys/seq/{looked_at[0].name})")
    path = there[0]
    if path.suffix == ".txt" and least:
        raise ValueError(f"{path} has a line for each user: only a table of single actions (.inter) can be cut by @")
    if path.suffix == ".txt":
        sequences, ids = _lines_of_users(path), ()
    else:
        sequences, ids = _recbole_table(text_of(path.read_bytes(), str(path)), str(path), least)
    if len(sequences) < 2:
        frequent = f" with {least} actions" if least else ""
        raise ValueError(f"{path} has {len(sequences)} users{frequent}; at least 2 are needed")
    return Interactions(name, tuple(sequences), "data root", ids)


def _lines_of_users(path: Path) -> list[np.ndarray]:
    sequences: dict[int, np.ndarray] = {}  # by line
    line_of: dict[int, int] = {}
    for line, text in enumerate(text_of(path.read_bytes(), str(path)).splitlines(), start=1):
        if not text.strip():
            continue
        user, *items = _integers(text, f"{path}:{line}")
        if (earlier := line_of.setdefault(user, line)) != line:
            raise ValueError(f"{path}:{line}: user {user} is already in line {earlier}; a user has one line")
        sequences[line] = _check_items(np.array(items, dtype=np.int64), f"{path}:{line}")
    _check_dense(sequences, path)
    return list(sequences.values())


def _integers(line: str, where: str) -> list[int]:
    try:
        return np.array([int(word) for word in line.split()], dtype=np.int64).tolist()
    except (ValueError, OverflowError):
        raise ValueError(f"{where}: a line must be integers 'user item item ...', got {line[:40]!r}") from None


def _check_items(items: np.ndarray, where: str) -> np.ndarray:
    if len(items) < FEWEST:
        raise ValueError(
            f"{where}: a user needs at least {FEWEST} items (training, validation, test), got {len(items)}"
        )
    if items.min() < 1:
        raise ValueError(f"{where}: item numbers must be at least 1, since 0 is padding; got {items[items < 1][0]}")
    return items


def _check_dense(sequences: dict[int, np.ndarray], path: Path) -> None:
    """Raises unless the items' numbers are those of a table that memory can hold."""
    items = len(np.unique(np.concatenate([*sequences.values()]))) if sequences else 0
    most = LOOSEST * items + SPARE
    for line, sequence in sequences.items():
        if sequence.max() > most:
            found = f"{path}:{line}: item {sequence.max()} is far above the number of items, {items}"
            raise ValueError(f"{found}; give them the numbers 1 to {items} (up to {most} are taken)")


def _recbole_table(text: str, path: str, least: int) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The items of each user by time, of equal times in the file's order, and the items' names.

    Users and items are in the order of their first appearance.

    Args:
        least: actions of a user and of an item; those with fewer are left out.
    """
    header, *lines = text.splitlines()
    columns = [column.partition(":")[0] for column in header.split("\t")]
    if missing := [column for column in ("user_id", "item_id", "timestamp") if column not in columns]:
        raise ValueError(f"{path}:1: the header lacks {', '.join(missing)}; it has: {', '.join(columns)}")
    user, item, time = (columns.index(column) for column in ("user_id", "item_id", "timestamp"))
    actions: list[tuple[str, str, float]] = []
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        try:
            when = float(fields[time])
            actions.append((fields[user], fields[item], when))
        except (ValueError, IndexError):
            when = math.nan
        if not math.isfinite(when):
            raise ValueError(
                f"{path}:{number}: a line must have {len(columns)} fields and a finite time, got {line[:40]!r}"
            )
    numbers: dict[str, int] = {}
    by_user: dict[str, list[tuple[float, int]]] = {}
    for name, thing, when in _frequent(actions, least):
        by_user.setdefault(name, []).append((when, numbers.setdefault(thing, len(numbers) + 1)))
    by_time = (sorted(made, key=lambda action: action[0]) for made in by_user.values())
    sequences = [
        _check_items(np.array([item for _, item in made]), f"{path}, user {name}")
        for name, made in zip(by_user, by_time, strict=True)
    ]
    return sequences, tuple(numbers)


def _frequent(actions: list[tuple[str, str, float]], least: int) -> list[tuple[str, str, float]]:
    """The actions of users and items that have at least so many of those that are left."""
    users, items = (Counter(action[place] for action in actions) for place in (0, 1))
    kept = [action for action in actions if min(users[action[0]], items[action[1]]) >= least]
    return kept if len(kept) == len(actions) else _frequent(kept, least)


def gensim_words() -> list[str]:
    """The words that the items of gensim_sequences stand for: item n is word n - 1."""
    return list(_gensim_sequences()[1])


def _gensim_sequences() -> tuple[list[np.ndarray], dict[str, int]]:
    """Documents as users, words as items: the words of at least 5 documents, each where it first occurs.

    Also the words' numbers, in the numbers' order.
    """
    files = ("lee_background.cor", "head500.noblanks.cor")
    texts = [package_file("gensim", f"test/test_data/{file}").decode("utf-8") for file in files]
    documents = [list(dict.fromkeys(_words(line))) for text in texts for line in text.splitlines()]
    counts = Counter(word for document in documents for word in document)
    numbers: dict[str, int] = {}
    kept = (
        [numbers.setdefault(word, len(numbers) + 1) for word in each if counts[word] >= RAREST] for each in documents
    )
    return [np.array(each, dtype=np.int64) for each in kept if len(each) >= FEWEST], numbers


def _words(line: str) -> Iterable[str]:
    return (word for word in line.lower().split() if word.isalpha())
