"""Pairs of a user and an item that this user chose: loading, checking, and splitting.

Dimensions: n pairs. Pairs are int64 [n, 2], user then item, sorted, each once; both are numbered from 0 on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrastbench.data import catalogue
from contrastbench.data.interactions import load_interactions
from contrastbench.data.kinds.pairs import EXAMPLE, MOVIELENS, files
from contrastbench.data.movielens import movielens

SHARE = 0.1  # of a user's pairs that a random split holds out for validation, and as many for the test


@dataclass(frozen=True)
class Pairs:
    """A data set as its files have it: with a test part, or whole (``train`` alone)."""

    name: str
    users: int
    items: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    sha256: str  # of the files' own numbers and ratings, before any was left out
    origin: str = "data root"

    def split(self, rng: np.random.Generator) -> Pairs:
        """The same with all three parts: those that the files lack are drawn, user by user, from the training pairs.

        Without a test part 8:1:1, with a test part but none for validation 9:1; the held-out parts are rounded down,
        but for a user with too few they hold one pair, first the test, while training keeps more than one. RecBole's
        rule (``_calcu_split_ids``).
        """
        if len(self.test) and len(self.validation):
            return self
        order = rng.permutation(len(self.train))
        shuffled = self.train[order[np.argsort(self.train[order, 0], kind="stable")]]
        counts = np.bincount(shuffled[:, 0], minlength=self.users)
        place = np.arange(len(shuffled)) - np.repeat(counts.cumsum() - counts, counts)  # within the user's own
        for_test = np.zeros_like(counts) if len(self.test) else held_out(counts, counts)
        for_validation = held_out(counts, counts - for_test)
        until = np.repeat(for_test, counts), np.repeat(for_test + for_validation, counts)
        test = self.test if len(self.test) else in_order(shuffled[place < until[0]])
        validation = in_order(shuffled[(place >= until[0]) & (place < until[1])])
        train = in_order(shuffled[place >= until[1]])
        return Pairs(self.name, self.users, self.items, train, validation, test, self.sha256, self.origin)


def held_out(counts: np.ndarray, left: np.ndarray) -> np.ndarray:
    """How many of each user's ``counts`` pairs a held-out part gets, of the ``left`` that no other part has."""
    rounded = (SHARE * counts).astype(np.int64)
    return np.where(rounded == 0, (left > 1).astype(np.int64), rounded)


def in_order(pairs: np.ndarray) -> np.ndarray:
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def load_pairs(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    download: bool | None = None,
    least_rating: float = 0.0,
) -> Pairs:
    """Loads a set of the catalogue, or a folder of ``recsys/pairs`` in the data root by its name.

    Files are lines "user item ..." of whole numbers, SciPy's sparse matrices (.npz), or RecBole's tables (.inter).
    A set of kind "interactions" is taken too, without its order. Users and items that occur in no pair are not
    counted: the numbers that do occur become 0, 1, 2, ...

    Args:
        download: may ml-100k be fetched; nothing else can be.
        least_rating: pairs with a lower rating are left out; only tables with a rating have any.

    Raises:
        ValueError: no such set, or files that hold no pairs or the same pair in two parts; in one line.
    """
    folder = catalogue.data_root(root)
    parts, origin = _raw_parts(name, folder, root, bool(download))
    sha256 = _sha256(parts.values())
    kept = {part: rows[~(rows[:, 2] < least_rating)] if least_rating else rows for part, rows in parts.items()}
    if least_rating and np.isnan(np.concatenate([*parts.values()])[:, 2]).any():
        raise ValueError(f"least_rating needs ratings, and {name} has none")
    ids = np.concatenate([rows[:, :2].astype(np.int64) for rows in kept.values()])
    users, items = (np.unique(column) for column in ids.T)
    if len(users) < 2 or len(items) < 2:
        raise ValueError(f"{name} has {len(users)} users and {len(items)} items; at least 2 of each are needed")
    numbered = {part: _renumber(rows, users, items) for part, rows in kept.items()}
    _check_apart(name, numbered)
    nothing = np.empty((0, 2), dtype=np.int64)
    train = numbered.get("whole", numbered.get("train", nothing))
    validation, test = (numbered.get(part, nothing) for part in ("validation", "test"))
    return Pairs(name, len(users), len(items), train, validation, test, sha256, origin)


def _renumber(rows: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    columns = (np.searchsorted(numbers, rows[:, at].astype(np.int64)) for at, numbers in enumerate((users, items)))
    return np.unique(np.stack([*columns], axis=1), axis=0)


def _check_apart(name: str, parts: dict[str, np.ndarray]) -> None:
    everything = np.concatenate([*parts.values()])
    twice = len(everything) - len(np.unique(everything, axis=0))
    if twice:
        raise ValueError(f"{name} has {twice} pairs in two of its parts ({', '.join(parts)}): the test would be seen")


def _sha256(parts: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for rows in parts:
        ordered = rows[np.lexsort(rows.T[::-1])]
        digest.update(len(rows).to_bytes(8, "little") + ordered.astype("<f8").tobytes())
    return digest.hexdigest()


def _raw_parts(
    name: str, folder: Path, root: str | os.PathLike[str] | None, download: bool
) -> tuple[dict[str, np.ndarray], str]:
    """Of each part float64 [n, 3]: user, item and rating as the files have them; no rating is NaN."""
    if name == EXAMPLE:
        return {"whole": _drop_ratings(_example())}, "embedded"
    if name == MOVIELENS:
        return {"whole": _recbole_table(movielens(folder, download=download), f"{MOVIELENS}.inter")}, "package"
    there = files(name, folder)
    if not there and catalogue.describe(name, root=root).kind == "interactions":
        sequences = load_interactions(name, root).sequences
        users = np.repeat(np.arange(len(sequences)), [len(each) for each in sequences])
        pairs = np.unique(np.column_stack([users, np.concatenate(sequences)]), axis=0)
        return {"whole": _drop_ratings(pairs)}, "data root"
    there = {"whole": there["whole"]} if "whole" in there else there
    if "whole" not in there and not there.keys() >= {"train", "test"}:
        described = catalogue.DATA_SETS[name].origin if name in catalogue.DATA_SETS else "a set of your own"
        raise ValueError(f"{name} needs train and test, or pairs, in {folder}/recsys/pairs/{name} ({described})")
    readers = {".npz": _matrix, ".inter": lambda path: _recbole_table(_text(path), path), ".txt": _lines}
    return {part: readers[path.suffix](path) for part, path in there.items()}, "data root"


def _example() -> np.ndarray:
    """60 users with 15 items each: 12 of the 30 that a third of the users like, 3 of the others."""
    rng, pairs = np.random.default_rng(0), []
    for user in range(60):
        liked = np.arange(30) + 30 * (user % 3)
        items = np.concatenate([rng.permutation(liked)[:12], rng.permutation(np.setdiff1d(np.arange(90), liked))[:3]])
        pairs += [(user, item) for item in items]
    return np.array(pairs)


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start})") from None
    if not text.strip():
        raise ValueError(f"{path} is empty")
    return text


def _lines(path: Path) -> np.ndarray:
    """ "user item ..." on each line; what stands behind is not read, but all lines must have as many fields."""
    rows = [line.split() for line in _text(path).splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]) or len(row) < 2 or not (row[0].isdecimal() and row[1].isdecimal()):
            fields = max(len(rows[0]), 2)
            raise ValueError(
                f"{path}: line {number} must be {fields} fields, user and item first as whole numbers; "
                f"got {' '.join(row)[:40]!r}"
            )
    return _drop_ratings(np.array([row[:2] for row in rows], dtype=np.float64))


def _drop_ratings(pairs: np.ndarray) -> np.ndarray:
    return np.column_stack([pairs, np.full(len(pairs), np.nan)])


def _recbole_table(text: str, where: object) -> np.ndarray:
    header, *lines = text.splitlines()
    columns = [column.partition(":")[0] for column in header.split("\t")]
    if missing := [column for column in ("user_id", "item_id") if column not in columns]:
        raise ValueError(f"{where}: the header lacks {', '.join(missing)}; it has: {', '.join(columns)}")
    places = [columns.index(column) for column in ("user_id", "item_id", "rating") if column in columns]
    rows = []
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        try:
            rows.append([float(fields[place]) for place in places])
        except (ValueError, IndexError):
            raise ValueError(
                f"{where}: line {number} must have numbers for {', '.join(columns)}; got {line[:40]!r}"
            ) from None
    return np.array(rows) if len(places) == 3 else _drop_ratings(np.array(rows))


def _matrix(path: Path) -> np.ndarray:
    """SciPy's CSR, read without pickle: its stored cells that are not 0."""
    try:
        with np.load(path, allow_pickle=False) as file:
            starts, columns, values = file["indptr"], file["indices"], file["data"]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a sparse matrix of SciPy in CSR ({error})") from None
    users = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return _drop_ratings(np.column_stack([users, columns])[values != 0])
