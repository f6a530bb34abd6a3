"""The kinds of data sets, one module each. The directory is the registry: a new kind is a new module with a ``KIND``.

A module here declares; it reads no data and imports no torch. What loads the data is named as ``module:function``.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

GENSIM = importlib.util.find_spec("gensim") is not None  # whose texts some sets are; without wheels for Python 3.14


@dataclass(frozen=True)
class Copy:
    """A known copy of a data set, recognised by the checksum of its content."""

    words: str  # which copy it is
    mark: str = ""  # what tables and the report say beside a number made on it; "" for the data as published


@dataclass(frozen=True)
class DataSet:
    """One line of ``contrastbench data list``."""

    name: str
    kind: str  # a Kind's name
    size: str  # for people: "50,000 + 10,000 images 3x32x32, 10 classes"
    origin: str  # where it comes from
    terms: str  # licence or terms, as far as the source states them
    embedded: bool = False  # comes with this package or one that it needs: no download, no network
    known: Mapping[str, Copy] = field(default_factory=dict)  # content sha256 -> which copy of the data has it
    downloaded: bool = True  # ``data fetch`` can download it; else the user must put it into the data root


def nothing_else(root: Path) -> list[DataSet]:
    """For kinds that know no data set but those they declare."""
    return []


def folder_of_that_name(name: str, root: Path) -> bool:
    return (root / name).exists()


@dataclass(frozen=True)
class Kind:
    """What a module of this folder binds to ``KIND``.

    ``loader`` is "module:function", called as ``function(name, root=..., download=...)``. It returns something with
    ``sha256`` (of the content, not of the files) and raises ValueError, in one line, for what is missing or damaged.
    ``find_own(root)`` describes the user's own data sets of this kind in a data root: whatever the loader loads from
    there by a name that is not declared. ``is_here(name, root)`` says, without reading, whether a declared data set
    that is not embedded has its files there.
    """

    name: str  # "images"
    loader: str
    data_sets: tuple[DataSet, ...]
    find_own: Callable[[Path], list[DataSet]] = nothing_else
    is_here: Callable[[str, Path], bool] = folder_of_that_name
