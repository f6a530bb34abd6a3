"""Does one run in this process: from its folder with a ticket to its folder with a row."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import threadpoolctl

from contrastbench.runner import claims, provenance, rows
from contrastbench.runner.checkpoint import Checkpoint
from contrastbench.runner.devices import Host, device_of
from contrastbench.runner.log import Log
from contrastbench.runner.outcome import function_of, outcome_of, settle, shortened
from contrastbench.runner.states import FINISHED, rows_set_aside, state_of
from contrastbench.runner.tickets import config_of, needed_folders, read_ticket

CHECKPOINT_SECONDS = 20.0
LOG_TAIL_LINES, LOG_LINE_CHARACTERS = 20, 500


def execute(folder: Path, host: Host, watch: Callable[[dict[str, Any]], None] | None = None) -> str:
    """Does the run of ``folder``, unless it is done or another worker has it.

    A run that fails leaves a row too and does not raise. ``Interrupted`` and ``KeyboardInterrupt`` pass through: the
    run goes on later from its checkpoint.

    Returns:
        The row's status, or "taken" where another worker has the run.

    Raises:
        ValueError: the ticket cannot be read or was made by another version of the paper.
        OSError: the folder cannot be written, or the disk became full; the run goes on later from its checkpoint.
    """
    ticket = read_ticket(folder)
    host = dataclasses.replace(host, device=_device(ticket, host))
    claim = _take(folder, host)
    agree = _agreement(host)
    if not agree(claim is not None) or claim is None:
        name = state_of(folder).name
        return name if name in FINISHED else "taken"
    started, clock = datetime.now(UTC), perf_counter()
    provenance.reset_peak_memory(host.device)
    with claims.Heartbeat(claim) as heartbeat, _log_file(folder) as log_file:
        log = Log(folder, watch=lambda line: _seen(line, heartbeat, watch))
        needed = needed_folders(ticket, folder)
        checkpoint = Checkpoint(folder, log, every_seconds=_checkpoint_seconds(), needed=needed, agree=agree)
        outcome = outcome_of(ticket, host, checkpoint, log)
        log_file.flush()
        error = outcome["error"]
        if error:
            error["log_tail"] = _log_tail(folder)
        row = _row(ticket, outcome, claim, host, log)
        row |= {
            "artefact_sha256": checkpoint.artefact_sha256,
            "artefacts_read": dict(sorted(checkpoint.artefacts_read.items())),
            "seconds": round(perf_counter() - clock, 3),
            "peak_mb": provenance.peak_memory_mb(),
            **_gpu_facts(host.device),
            "started": started.isoformat(timespec="seconds"),
        }
    rows.write_row(folder / "row.json", rows.sealed(row))
    if row["status"] == "done":
        (folder / "checkpoint.pt").unlink(missing_ok=True)  # the artefact, if the run kept one, stays
    return row["status"]


def assist(folder: Path, host: Host) -> None:
    """Does this process's part of a run that several processes share. The first of them writes everything."""
    ticket = read_ticket(folder)
    agree = _agreement(host)
    if not agree(False):  # the first process has not got the run
        return
    checkpoint = Checkpoint(folder, Log(), needed=needed_folders(ticket, folder), agree=agree, assists=True)
    train, config = function_of(ticket), config_of(ticket)
    settle(host)
    with threadpoolctl.threadpool_limits(host.threads):
        train(config, seed=ticket["seed"], device=host.device, checkpoint=checkpoint, log=Log())


def _agreement(host: Host) -> Callable[[bool], bool]:
    """A function that tells every process of the run whether any of them said yes."""
    if host.processes == 1:
        return bool
    from contrastbench import distributed

    return lambda said: distributed.anyone(said, host.device)


def give_up(
    folder: Path, host: Host, status: str, message: str, *, error_type: str = "", node: str | None = None
) -> None:
    """Writes the row of a run that its launcher does not try again, e.g. ``timed_out`` after too many attempts.

    Args:
        error_type: the status where it is left out.
        node: the machine that is at fault, by its scheduler's name, if one is.
    """
    if (folder / "row.json").exists():
        return
    claim = claims.latest(folder)
    if claim is None or (folder / f"failed.{claim.number}.json").exists():
        claim = claims.take(folder, claim.number if claim else 0, launcher=host.launcher, job=host.job)
        if claim is None:
            return
    with _log_file(folder):
        print(message)
    error = {"type": error_type or status, "message": message, "log_tail": _log_tail(folder)}
    outcome = {"metrics": {}, "series": {}, "status": status, "error": error | ({"node": node} if node else {})}
    log = Log(folder)
    log.epoch = log.last_epoch()
    ticket = read_ticket(folder)
    if host.device != "none":  # "none": no device did anything, as on a node whose GPU does not work
        host = dataclasses.replace(host, device=_device(ticket, host))
    row = _row(ticket, outcome, claim, host, log)
    row |= {"artefact_sha256": None, "artefacts_read": {}, "seconds": None, "peak_mb": None, "started": None}
    rows.write_row(folder / "row.json", rows.sealed(row))


def _row(ticket: dict[str, Any], outcome: dict[str, Any], claim: claims.Claim, host: Host, log: Log) -> rows.Row:
    """The row, without what each caller adds: artefacts, seconds, memory and the time of the start."""
    return {
        **{name: value for name, value in ticket.items() if name != "config_type"},
        **outcome,
        "schema": rows.SCHEMA,
        "selection": log.selection,
        "epoch": log.epoch,
        "data": dict(sorted(log.data_sha256.items())),
        "attempt": claim.number,
        "resumes": claim.number - 1 - rows_set_aside(claim.folder),
        "git": provenance.git(),
        "versions": provenance.versions(),
        "host": provenance.host(),
        "device": provenance.device_kind(host.device),
        "determinism": _determinism(host.device),
        "launcher": host.launcher,
        "job": host.job,
        "threads": host.threads,
        "processes": host.processes,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _take(folder: Path, host: Host) -> claims.Claim | None:
    """The claim on this attempt, or None: another worker has the run, or it is done."""
    current = claims.latest(folder)
    state = state_of(folder)  # looked at after the claim: its owner may have finished just now
    if state.name in (*FINISHED, "running"):
        return None
    if state.name == "killed" and current and current.beats_again():
        return None
    if (folder / "row.json").exists():  # damaged, or another run's
        (folder / "row.json").replace(folder / "row.unreadable.json")
    return claims.take(folder, current.number if current else 0, launcher=host.launcher, job=host.job)


def _device(ticket: dict[str, Any], host: Host) -> str:
    """The device that does the run: what was asked for, unless its stage computes on the CPU only."""
    try:
        config = config_of(ticket)
    except Exception:  # the run meets the same error and leaves it in its row
        return "cpu"
    return device_of(ticket["paper"], ticket["stage"], config, host.device)


def _gpu_facts(device: str) -> dict[str, Any]:
    facts = provenance.gpu(device)
    return {"gpu": facts} if facts else {}


def _determinism(device: str) -> str:
    return "strict" if device == "cpu" else "warn"


def _seen(line: dict[str, Any], heartbeat: claims.Heartbeat, watch: Callable[[dict[str, Any]], None] | None) -> None:
    heartbeat.latest = line
    if watch:
        watch(line)


@contextlib.contextmanager
def _log_file(folder: Path) -> Any:
    """What the run prints goes to its ``log.txt``."""
    with (
        open(folder / "log.txt", "a", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield file


def _log_tail(folder: Path) -> list[str]:
    lines = (folder / "log.txt").read_text(errors="replace").splitlines()
    return [shortened(line, LOG_LINE_CHARACTERS) for line in lines[-LOG_TAIL_LINES:]]


def _checkpoint_seconds() -> float:
    return float(os.environ.get("CONTRASTBENCH_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS))
