"""Decoded images, kept for the next start: CIFAR takes ten seconds to decode and half a second to read again.

They lie beside the encoded files, or in ~/.cache/contrastbench/decoded where those may not be written to.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def kept(name: str, key: str, beside: Path, decode: Callable[[], Arrays]) -> Arrays:
    """The arrays that ``decode`` returns: read back if an earlier call kept them, else decoded and kept.

    Args:
        name: of the data set; with ``key`` it names the file.
        key: sha256 of what is decoded, so that other files (or other pictures in them) never meet an old copy.
        beside: the folder that holds the encoded files.
        decode: what makes the arrays.
    """
    folder = beside if os.access(beside, os.W_OK) else Path.home() / ".cache" / "contrastbench" / "decoded"
    file = folder / f"{name}-decoded-{key[:16]}.npz"
    arrays = _read(file)
    if arrays is None:
        arrays = decode()
        _write(file, arrays)
    return arrays


def checksum(files: Iterable[Path], also: bytes = b"") -> str:
    """sha256 of the files' content, in their order, and of whatever else decides what is decoded."""
    digest = hashlib.sha256(also)
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _read(file: Path) -> Arrays | None:
    """None where there is no such file, or, with a warning, a damaged one: reading compares the zip's checksums."""
    if not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        warnings.warn(f"{file} is damaged ({error}); the pictures are decoded again", stacklevel=2)
        return None


def _write(file: Path, arrays: Arrays) -> None:
    """Whole or not at all: workers that start together may all write, and the last one's file stays."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as opened:
            np.savez(opened, **arrays)  # type: ignore[arg-type]
            opened.flush()
            os.fsync(opened.fileno())
        Path(opened.name).replace(file)
    except OSError as error:
        warnings.warn(
            f"decoded pictures cannot be kept in {file.parent} ({error}): each start decodes them", stacklevel=2
        )
