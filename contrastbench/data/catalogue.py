"""The data sets there are: those that the modules of ``kinds/`` declare, and the user's own in the data root. No torch.

``contrastbench data list | fetch | check`` prints this.
"""

import importlib
import os
import pkgutil
from pathlib import Path
from typing import Any

from contrastbench.data import kinds
from contrastbench.data.kinds import Copy, DataSet, Kind
from contrastbench.names import unknown

UNKNOWN_COPY = Copy("a copy that the catalogue does not know")


def _kinds() -> dict[str, Kind]:
    modules = (
        importlib.import_module(f"{kinds.__name__}.{found.name}") for found in pkgutil.iter_modules(kinds.__path__)
    )
    return {module.KIND.name: module.KIND for module in modules}


def _by_name() -> dict[str, DataSet]:
    """By name; a name may be taken once, whatever the kind."""
    by_name: dict[str, DataSet] = {}
    for kind in KINDS.values():
        for data_set in kind.data_sets:
            if data_set.name in by_name or data_set.kind != kind.name:
                raise ValueError(f"data set {data_set.name!r} of {data_set.kind} is declared twice, or by {kind.name}")
            by_name[data_set.name] = data_set
    return by_name


KINDS = _kinds()
DATA_SETS = _by_name()


def names(kind: str) -> list[str]:
    """The declared names of one kind, in its module's order."""
    return [data_set.name for data_set in KINDS[kind].data_sets]


def describe(name: str, kind: str | None = None, root: str | os.PathLike[str] | None = None) -> DataSet:
    """The description of a declared data set, or of a user's own in the data root.

    A user's own may be called with more behind an @, which the kind's loader reads: ``flowers@64``.

    Raises:
        ValueError: no data set of that name (and kind); the message lists those there are.
    """
    declared = DATA_SETS.get(name)
    if declared and kind in (None, declared.kind):
        return declared
    own = {each.name: each for each in find_own(root) if kind in (None, each.kind)}
    if (base := name.partition("@")[0]) not in own:
        what = f"data set of {kind}" if kind else "data set"
        error = unknown(what, name, [*(names(kind) if kind else DATA_SETS), *own])
        raise ValueError(f"{error}; your own are looked for in {data_root(root)}")
    return own[base]


def find_own(root: str | os.PathLike[str] | None = None) -> list[DataSet]:
    """The user's own data sets in the data root: those that no kind declares."""
    folder = data_root(root)
    return [own for kind in KINDS.values() for own in kind.find_own(folder) if own.name not in DATA_SETS]


def is_here(data_set: DataSet, root: str | os.PathLike[str] | None = None) -> bool:
    """Whether a declared data set can be loaded without a download, as far as its files' names tell."""
    return data_set.embedded or KINDS[data_set.kind].is_here(data_set.name, data_root(root))


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that data sets are looked for in: the argument, or $CONTRASTBENCH_DATA, or ~/.cache/contrastbench."""
    if chosen := root or os.environ.get("CONTRASTBENCH_DATA"):
        return Path(chosen).expanduser()
    try:
        return Path.home() / ".cache" / "contrastbench"
    except RuntimeError:
        raise ValueError(
            "no home folder is known here, so say where data sets are: --data-root or CONTRASTBENCH_DATA"
        ) from None


def load(name: str, root: str | os.PathLike[str] | None = None, *, download: bool = False) -> Any:
    """Loads any data set by name, through the loader of its kind. ``download=True`` is ``contrastbench data fetch``."""
    module, function = KINDS[describe(name, root=root).kind].loader.split(":")
    return getattr(importlib.import_module(module), function)(name, root=root, download=download)


def copy_of(name: str, sha256: str) -> Copy:
    """Which known copy of the data set has this content."""
    declared = DATA_SETS.get(name)
    return declared.known.get(sha256, UNKNOWN_COPY) if declared else UNKNOWN_COPY
