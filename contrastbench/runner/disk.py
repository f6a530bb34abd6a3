"""Finds files of run folders that can be deleted: no run reads them again, or they can be made again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from contrastbench.runner.states import FINISHED, state_of

WRITING_SECONDS = 3600.0  # nobody still writes a temporary file that is this old


@dataclass(frozen=True)
class Spare:
    """A file that can go."""

    path: Path
    kind: str  # "checkpoint", "temporary" or "artefact"
    size: int  # bytes


def spare_files(folders: Iterable[Path], *, artefacts: bool = False) -> list[Spare]:
    """Finds the files that can go, of runs that nobody works on.

    These are checkpoints of finished runs, except of runs that ran out of time and go on from theirs; files that a
    killed process was writing; and, with ``artefacts``, what finished runs keep for others, made again when needed.
    """
    found = []
    for folder in folders:
        state = state_of(folder).name
        if state == "running":
            continue
        kinds = {"temporary": _left_behind(folder)}
        if state in FINISHED and state != "timed_out":
            kinds["checkpoint"] = [folder / "checkpoint.pt"]
        if state == "done" and artefacts:
            kinds["artefact"] = [folder / "artefact.pt"]
        found += [Spare(p, kind, p.stat().st_size) for kind, paths in kinds.items() for p in paths if p.exists()]
    return found


def _left_behind(folder: Path) -> list[Path]:
    return [path for path in folder.glob(".*.tmp") if time.time() - path.stat().st_mtime > WRITING_SECONDS]
