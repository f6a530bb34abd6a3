"""A run's folder, ``runs/<paper>/<key>/``: its ticket, the state that its files tell, and what of it can be deleted.

Any command on any machine may ask at any time: nothing but the folder is read.
"""

import contextlib
import dataclasses
import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastbench.runner import claims, files, rows
from contrastbench.runner.checkpoint import lost_artefact
from contrastbench.runner.studies import packages
from contrastbench.runner.vocabulary import Run, key_of

# --------------------------------------------------------------------- the ticket, from which any process does the run


def folder_of(run: Run, runs_folder: Path) -> Path:
    return runs_folder / run.paper / run.key


def write_ticket(run: Run, runs_folder: Path, cells: list[list[str]]) -> Path:
    """Writes ``config.json``, all that any process needs to do the run, and returns the run's folder."""
    folder = folder_of(run, runs_folder)
    ticket = {
        **run.identity,
        "key": run.key,
        "config_type": f"{type(run.config).__module__}:{type(run.config).__qualname__}",
        "dataset": run.dataset,
        "method": run.method,
        "cells": sorted(cells),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError, ValueError):  # none, or a damaged one
        if files.read_json(folder / "config.json") == ticket:
            return folder
    files.write_json(folder / "config.json", ticket)
    return folder


def read_ticket(folder: Path) -> dict[str, Any]:
    """The run's ticket.

    Raises:
        ValueError: it cannot be read, or is another run's.
    """
    ticket = files.read_object(folder / "config.json")
    if key_of(ticket) != folder.name:
        raise ValueError(f"{folder / 'config.json'} is not the ticket of run {folder.name[:12]}; remove the folder")
    return ticket


def needed_folders(ticket: dict[str, Any], folder: Path) -> dict[str, Path]:
    """The folders of the runs that a ticket needs, by name."""
    return {name: folder.parent / key for name, key in ticket["needs"]}


def run_of(folder: Path) -> Run:
    """The run whose ticket lies in the folder, with those that it needs.

    Raises:
        ValueError: the ticket cannot be read or was made by another version of the paper.
    """
    ticket = read_ticket(folder)
    names = ("paper", "seed", "scale", "dataset", "method", "variant", "protocol", "protocol_version", "stage")
    needs = {name: run_of(need) for name, need in needed_folders(ticket, folder).items()}
    return Run(config=config_of(ticket), needs=needs, **{name: ticket[name] for name in names})


def config_of(ticket: dict[str, Any]) -> Any:
    """The config that a ticket describes, as the paper's own dataclass.

    Raises:
        ValueError: the paper's config has other fields now, or the type is not one of the paper's.
    """
    module, name = ticket["config_type"].split(":")
    if not module.startswith(f"{packages().get(ticket['paper'])}."):
        raise ValueError(f"config type {ticket['config_type']!r} is not one of the paper {ticket['paper']}")
    config_type = getattr(importlib.import_module(module), name)
    specs = dataclasses.fields(config_type)
    asked = {spec.name for spec in specs if "added" not in spec.metadata}  # a ticket may do without the others
    given = set(ticket["config"])
    if differing := (given - {spec.name for spec in specs}) | (asked - given):
        raise ValueError(
            f"the ticket's config differs from {ticket['config_type']} in {sorted(differing)}: "
            "it was made by another version of the paper; plan it again"
        )
    return config_type(**{k: tuple(v) if isinstance(v, list) else v for k, v in ticket["config"].items()})


# ------------------------------------------------------------------------------------------------------------ the state

SET_ASIDE = ("failed", "lost", "changed")  # why a row was put aside, and the name of the file that it then has
FAILURES, FINISHED = rows.FAILURES, rows.STATUSES
UNFINISHED = ("new", "queued", "running", "killed", "lost")  # lost: finished, but its artefact is needed and gone

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
        return _read_state(folder, still_queued)
    except ValueError as error:
        return State("killed", problem=str(error))
    except OSError as error:
        return State("killed", problem=f"{folder} cannot be read: {(error.strerror or str(error)).lower()}")


def _read_state(folder: Path, still_queued: StillQueued | None) -> State:
    with contextlib.suppress(FileNotFoundError):
        row = rows.read_row(folder / "row.json")
        if row["key"] != folder.name:
            raise ValueError(f"{folder / 'row.json'} is the row of run {row['key'][:12]}; remove it")
        return State(row["status"], row)
    claim = claims.latest(folder) if folder.is_dir() else None
    begun = claim is not None and not any((folder / f"{why}.{claim.number}.json").exists() for why in SET_ASIDE)
    if claim and begun and claim.is_alive():
        return State("running", claim=claim)
    if _is_queued(folder, still_queued):
        return State("queued", claim=claim)
    if (folder / "row.json").exists():  # it ended between the two looks
        return _read_state(folder, still_queued)
    return State("killed" if begun else "new", claim=claim)


def _is_queued(folder: Path, still_queued: StillQueued | None) -> bool:
    """Whether a launcher has put the run into a queue and has not forgotten it."""
    mark = queue_mark(folder)
    told = still_queued(mark) if mark and still_queued else None  # a scheduler knows best: it starts runs again itself
    return bool(claims.process_lives(mark)) if told is None else told


def queue_mark(folder: Path) -> dict[str, Any]:
    """What the launcher that queued the run wrote down; empty where nobody did, or where the file is damaged.

    A run that a scheduler starts all the same is kept apart by claims.
    """
    return files.object_or_empty(folder / "queued.json")


def mark_queued(folder: Path, **launcher: Any) -> None:
    """Writes down that a launcher will start the run; for a scheduler's queue, with the job's name."""
    files.write_json(folder / "queued.json", {**claims.this_process(), **launcher}, sync=False)


def forget_queued(folder: Path) -> None:
    """Takes back the mark that this process wrote: it does not start the run."""
    mark = queue_mark(folder)
    if all(mark.get(name) == value for name, value in claims.this_process().items()):
        (folder / "queued.json").unlink(missing_ok=True)


def put_back(folder: Path, why: str) -> None:
    """Has a run with a row done again: a "failed" one, one of "changed" code, or one whose artefact is "lost".

    Its row is kept as ``<why>.<attempt>.json``. Its checkpoint goes, unless it only ran out of time.
    """
    try:
        row = rows.read_row(folder / "row.json")
    except FileNotFoundError:  # another command has just put it back
        return
    if why == "lost" and not lost_artefact(folder, row):  # another command has done it again
        return
    if row["status"] != "timed_out":
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    (folder / "row.json").rename(folder / f"{why}.{row['attempt']}.json")


# -------------------------------------------------------------------------------------------------- what can be deleted

WRITING_SECONDS = 3600.0  # nobody still writes a temporary file that is this old


def spare_files(folders: Iterable[Path], *, artefacts: bool = False) -> list[Path]:
    """Finds the files that can go, of runs that nobody works on.

    These are checkpoints of finished runs, also those that were put aside, except of runs that ran out of time and go
    on from theirs; files that a killed process was writing; and, with ``artefacts``, what finished runs keep for
    others, made again when needed.
    """
    spare: list[Path] = []
    for folder in folders:
        state = state_of(folder).name
        if state == "running":
            continue
        spare += [path for path in folder.glob(".*.tmp") if time.time() - path.stat().st_mtime > WRITING_SECONDS]
        spare += folder.glob("checkpoint*.pt") if state in FINISHED and state != "timed_out" else ()
        spare += folder.glob("artefact*.pt") if state == "done" and artefacts else ()
    return spare
