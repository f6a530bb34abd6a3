"""Data on a node's own disk: copied there once per node, checked, and used by every task that comes after."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from contrastbench.runner import files

LISTING = ".staged.json"  # size, time and sha256 of each file, written when all are there
CHUNK_BYTES = 2**22


def staged(root: Path, scratch: Path, names: Sequence[str] = ()) -> Path:
    """The folder on this node that holds a checked copy of the data; made by whoever comes first.

    Args:
        root: the data root that everybody shares.
        scratch: a folder on the node's own disk.
        names: files and folders below the root; all of it where none is given.

    Raises:
        ValueError: a name is not there, or a copy differs from its source.
        OSError: the disk is full or cannot be written.
    """
    target = scratch / hashlib.sha256("\0".join([str(root), *sorted(names)]).encode()).hexdigest()[:16]
    target.mkdir(parents=True, exist_ok=True)
    with open(scratch / f"{target.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _sources(root, names)
        there = files.read_json(target / LISTING) if (target / LISTING).exists() else {}
        if {name: facts[:2] for name, facts in there.items()} != wanted or not _is_whole(target, there):
            (target / LISTING).unlink(missing_ok=True)
            copied = {name: [*wanted[name], _copy(root / name, target / name)] for name in wanted}
            files.write_json(target / LISTING, copied)
    return target


def _sources(root: Path, names: Sequence[str]) -> dict[str, list[int]]:
    """Size and time of every file that is wanted, by its path in the root."""
    tops = [root / name for name in names] or [root]
    for top in tops:
        if not top.exists():
            raise ValueError(f"{top} is to be staged and is not there; the key stage names paths in {root}")
    paths = [path for top in tops for path in (sorted(top.rglob("*")) if top.is_dir() else [top]) if path.is_file()]
    return {str(path.relative_to(root)): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def _is_whole(target: Path, listing: dict[str, list[int]]) -> bool:
    sizes = {name: (target / name).stat().st_size for name in listing if (target / name).exists()}
    return sizes == {name: facts[0] for name, facts in listing.items()}


def _copy(source: Path, target: Path) -> str:
    """Copies a file, reads the copy again, and returns the sha256 of both."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    digest = hashlib.sha256()
    with open(source, "rb") as reader, open(temporary, "wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
    with open(temporary, "rb") as copy:
        if hashlib.file_digest(copy, "sha256").hexdigest() != digest.hexdigest():
            raise ValueError(f"the copy of {source} at {temporary} differs from it: this node's disk is not sound")
    shutil.copystat(source, temporary)
    temporary.replace(target)
    return digest.hexdigest()
