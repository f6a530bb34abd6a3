"""Decoded images, kept for the next start: CIFAR takes ten seconds to decode and half a second to read again.

They lie beside the encoded files or, where nothing can be written there, in ~/.cache/contrastbench/decoded.
"""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]  # images, labels


def checksum(files: Iterable[Path], also: bytes = b"") -> str:
    """sha256 of the files' content, in their order, and of whatever else decides what is decoded."""
    digest = hashlib.sha256(also)
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def decode_once(name: str, key: str, beside: Path, decode: Callable[[], tuple[Arrays, ...]]) -> Any:
    """The (images, labels) of each part, read back if an earlier call kept them, else decoded and kept.

    Args:
        name: of the data set; with ``key`` it names the file.
        key: sha256 of what is decoded, so that other files (or other pictures in them) never meet an old copy.
        beside: the folder that holds the encoded files.
    """
    file = f"{name}-decoded-{key[:16]}.npz"
    places = [beside, *_cache()]
    for place in places:
        if (arrays := _read(place / file)) is not None:
            return tuple((arrays[f"images{number}"], arrays[f"labels{number}"]) for number in range(len(arrays) // 2))
    parts = decode()
    named = (zip(("images", "labels"), part, strict=True) for part in parts)
    _keep(places, file, {f"{what}{number}": array for number, part in enumerate(named) for what, array in part})
    return parts


def _cache() -> list[Path]:
    try:
        return [Path.home() / ".cache" / "contrastbench" / "decoded"]
    except RuntimeError:  # no home folder is known
        return []


def _read(file: Path) -> dict[str, np.ndarray] | None:
    """None where there is no such file, or, with a warning, a damaged one: reading compares the zip's checksums."""
    if not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except Exception as error:  # of zipfile, zlib or NumPy
        warnings.warn(f"{file} is damaged ({error}); the pictures are decoded again", stacklevel=2)
        return None


def _keep(places: Sequence[Path], file: str, arrays: dict[str, np.ndarray]) -> None:
    """Writes the arrays into the first place that takes them; says so, once, if it is not the one beside the data."""
    reason: Any = "it may not be written to"
    for place in places:
        if place.exists() and not os.access(place, os.W_OK):
            continue
        try:
            _write(place / file, arrays)
        except OSError as error:
            reason = error
            continue
        if place != places[0]:
            size = (place / file).stat().st_size / 1e6
            warnings.warn(f"{places[0]} takes no decoded pictures; {place} keeps them ({size:.0f} MB)", stacklevel=2)
        return
    warnings.warn(f"decoded pictures cannot be kept in {places[-1]} ({reason}): each start decodes them", stacklevel=2)


def _write(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Whole or not at all: workers that start together may all write, and the last one's file stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as opened:
        try:
            np.savez(opened, **arrays)  # type: ignore[arg-type]
            opened.flush()
            os.fsync(opened.fileno())
            Path(opened.name).replace(file)
        except OSError:
            Path(opened.name).unlink()
            raise
