"""What a finished run keeps for the runs that need it: read safely, and compared with what its row recorded."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from contrastbench.runner.rows import Row


def lost_artefact(folder: Path, row: Row) -> str:
    """One line if the artefact that a finished run kept is gone or is not what its row recorded; else nothing."""
    artefact = folder / "artefact.pt"
    if row["artefact_sha256"] is None:
        return ""
    try:
        found = artefact.stat()
    except FileNotFoundError:
        return f"{artefact} is lost"
    same = _sha256_as_of(artefact, found.st_size, found.st_mtime_ns) == row["artefact_sha256"]
    return "" if same else f"{artefact} is not what its row recorded"


def load_tensors(path: Path) -> Any:
    """What ``torch.save`` wrote: tensors and plain values only, so that a file cannot run code.

    Raises:
        ValueError: the file is damaged, or holds anything else.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is damaged ({first[:120]})") from error


@lru_cache(maxsize=1024)
def _sha256_as_of(path: Path, size: int, changed_ns: int) -> str:
    """The file's sha256, read once for each state of the file: `status --watch` asks every two seconds."""
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
