"""Reads the state of a run from its folder alone, so that any command on any machine may ask at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastbench.runner import claims, files, rows
from contrastbench.runner.artefacts import lost_artefact

SET_ASIDE = ("failed", "lost")  # why a row was put aside, and the name of the file that it then has
FINISHED = ("done", "failed", "diverged", "out_of_memory", "timed_out")
UNFINISHED = ("new", "queued", "running", "killed", "lost")  # lost: finished, but its artefact is needed and gone
FAILURES = ("failed", "diverged", "out_of_memory", "timed_out")

# Whether the launcher that queued this run will still start it; None if unknown.
StillQueued = Callable[[dict[str, Any]], bool | None]


@dataclass(frozen=True)
class State:
    name: str  # one of FINISHED or UNFINISHED
    row: rows.Row | None = None
    claim: claims.Claim | None = None
    problem: str = ""  # one line, where the folder holds something that cannot be read


def state_of(folder: Path, still_queued: StillQueued | None = None) -> State:
    """The run's state.

    A row that cannot be read, or that is another run's, counts as no row: the run is "killed" with the problem named,
    and is done again.
    """
    try:
        row = rows.read_row(folder / "row.json")
        if row["key"] != folder.name:
            return State("killed", problem=f"{folder / 'row.json'} is the row of run {row['key'][:12]}; remove it")
        return State(row["status"], row)
    except FileNotFoundError:
        claim = claims.latest(folder) if folder.is_dir() else None
    except ValueError as error:
        return State("killed", problem=str(error))
    except OSError as error:
        return State("killed", problem=f"{folder} cannot be read: {(error.strerror or str(error)).lower()}")
    begun = claim is not None and not any((folder / f"{why}.{claim.number}.json").exists() for why in SET_ASIDE)
    if claim and begun and claim.is_alive():
        return State("running", claim=claim)
    if _queued(folder, still_queued, claim):
        return State("queued", claim=claim)
    if (folder / "row.json").exists():  # it ended between the two looks
        return state_of(folder, still_queued)
    return State("killed" if begun else "new", claim=claim)


def _queued(folder: Path, still_queued: StillQueued | None, claim: claims.Claim | None) -> bool:
    """Whether a launcher has put the run into a queue and has not forgotten it."""
    mark = folder / "queued.json"
    if not mark.exists():
        return False
    try:
        queued = files.read_object(mark)
    except ValueError:  # cut off, as by a full disk; a run that a scheduler starts all the same is kept apart by claims
        return False
    told = still_queued(queued) if still_queued else None
    if told is not None:  # a scheduler knows best: it starts a run again after a preemption or the loss of a node
        return told
    began_since = queued.get("after_attempt", 0) < (claim.number if claim else 0)
    return not began_since and bool(claims.process_lives(queued))


def mark_queued(folder: Path, **launcher: Any) -> None:
    """Writes down that a launcher will start the run; for a scheduler's queue, with the job's name."""
    claim = claims.latest(folder)
    mark = {**claims.this_process(), "after_attempt": claim.number if claim else 0, **launcher}
    files.write_json(folder / "queued.json", mark, sync=False)


def forget_queued(folder: Path) -> None:
    """Takes back the mark that this process wrote: it does not start the run."""
    try:
        mark = files.read_object(folder / "queued.json")
    except (OSError, ValueError):
        return
    if all(mark.get(name) == value for name, value in claims.this_process().items()):
        (folder / "queued.json").unlink(missing_ok=True)


def retry(folder: Path) -> None:
    """Puts a failed run back: its row is kept as ``failed.<attempt>.json``.

    Its checkpoint goes, unless it only ran out of time.
    """
    row = rows.read_row(folder / "row.json")
    if row["status"] not in FAILURES:
        raise ValueError(f"run {folder.name[:12]} is {row['status']}; only {', '.join(FAILURES)} can be retried")
    if row["status"] != "timed_out":  # that one only needs more time
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    (folder / "row.json").rename(folder / f"failed.{row['attempt']}.json")


def redo_if_lost(folder: Path) -> None:
    """Puts a finished run back if its artefact is lost or damaged: its row is kept as ``lost.<attempt>.json``."""
    if not (folder / "row.json").exists():  # another command has just put it back
        return
    row = rows.read_row(folder / "row.json")
    if lost_artefact(folder, row):
        (folder / "row.json").rename(folder / f"lost.{row['attempt']}.json")


def rows_set_aside(folder: Path) -> int:
    """How many attempts of the run ended with a row and were put back."""
    return sum(1 for why in SET_ASIDE for _ in folder.glob(f"{why}.*.json"))
