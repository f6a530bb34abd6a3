"""What S3-Rec knows of items beside their order: brands and categories, an artist's tags, a place's city.

Dimensions: I items, A attributes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from contrastbench.data import data_root
from contrastbench.data.interactions import gensim_words
from contrastbench.data.kinds.interactions import places

ORIGIN = "data/ of RUCAIBox/CIKM2020-S3Rec at 2a81540 has it for S3-Rec's sets"
LARGEST = 65_536  # attributes; the table has a column for each


@dataclass(frozen=True)
class Attributes:
    """Which item has which attribute."""

    name: str  # how a row calls them
    has: Tensor  # bool [I + 2, A + 1]; nothing has attribute 0, as in the authors' code, where it competes all the same
    sha256: str  # of the attributes of the I items


def read_attributes(dataset: str, items: int) -> Attributes:
    """The attributes of a data set's items 1 to I. An item that the file leaves out has none.

    Raises:
        ValueError: there is no such file, or it holds something else; in one line.
    """
    if dataset == "gensim_sequences":
        name, listed = "letters of the words", _of_words(gensim_words())
    else:
        path = _file(dataset)
        name, listed = path.name, _of_file(path)
    listed = {item: attributes for item, attributes in sorted(listed.items()) if item <= items}
    pairs = torch.tensor([(item, each) for item, attributes in listed.items() for each in attributes])
    if not len(pairs):
        raise ValueError(f"{name} has no attribute of the items 1 to {items}")
    has = torch.zeros(items + 2, int(pairs[:, 1].max()) + 1, dtype=torch.bool)
    has[pairs[:, 0], pairs[:, 1]] = True
    return Attributes(name, has, hashlib.sha256(json.dumps(list(listed.items())).encode()).hexdigest())


def _of_words(words: Sequence[str]) -> dict[int, list[int]]:
    """Stand-ins for a data set without attributes: a word's first letter, and its number of letters."""
    labels = [(word[0], f"{len(word)} letters") for word in words]
    numbers = {label: number for number, label in enumerate(sorted({each for pair in labels for each in pair}), 1)}
    return {item: sorted(numbers[label] for label in pair) for item, pair in enumerate(labels, 1)}


def _file(dataset: str) -> Path:
    """The file beside the data set's own.

    Raises:
        ValueError: it is not there.
    """
    root = data_root()
    looked_at = list(
        dict.fromkeys(path.with_name(f"{path.stem}_item2attributes.json") for path in places(dataset, root))
    )
    for path in looked_at:
        if path.is_file():
            return path
    raise ValueError(
        f"attributes of {dataset!r} not found in {root} (looked for recsys/seq/{looked_at[0].name}; {ORIGIN}); "
        "pre-training needs none with aap=0 and map=0"
    )


def _of_file(path: Path) -> dict[int, list[int]]:
    """``{"item": [attribute, ...], ...}``, numbers from 1 on."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, Mapping):
            raise ValueError("it is no object")
        listed = {int(item): sorted({_number(each) for each in attributes}) for item, attributes in found.items()}
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path} must be one object like {{"1": [3, 7]}}, of items and attributes: {error}') from None
    if listed and min(listed) < 1:
        raise ValueError(f"{path}: item numbers begin with 1, since 0 is padding; got {min(listed)}")
    return listed


def _number(given: object) -> int:
    if not isinstance(given, int) or not 1 <= given < LARGEST:
        raise ValueError(f"an attribute must be in [1, {LARGEST}), got {given!r}")
    return given
