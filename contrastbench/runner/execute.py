"""Does one run in this process: from its folder with a ticket to its folder with a row."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import importlib
import math
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import threadpoolctl

from contrastbench.runner import claims, files, provenance, rows
from contrastbench.runner.checkpoint import Checkpoint, Interrupted, Log
from contrastbench.runner.devices import device_of
from contrastbench.runner.states import FINISHED, rows_set_aside, state_of
from contrastbench.runner.vocabulary import Run, added_fields, key_of

CHECKPOINT_SECONDS = 20.0
LOG_TAIL_LINES = 20


@dataclass(frozen=True)
class Host:
    """Where a run is done; none of it is in the key."""

    device: str = "cpu"  # "auto", "cpu", "cuda" or "cuda:0"
    threads: int = 1  # two threads on small models under load were 40 times slower than one
    launcher: str = "inline"
    job: str | None = None  # the scheduler's name for it
    processes: int = 1  # that share the run


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
    if _ticket_there(folder) != ticket:
        files.write_json(folder / "config.json", ticket)
    return folder


def _ticket_there(folder: Path) -> Any:
    """What ``config.json`` holds; None where there is none or a damaged one, which is then written anew."""
    try:
        return files.read_json(folder / "config.json")
    except (FileNotFoundError, ValueError):
        return None


def folder_of(run: Run, runs_folder: Path) -> Path:
    return runs_folder / run.paper / run.key


def execute(folder: Path, host: Host, watch: Callable[[dict[str, Any]], None] | None = None) -> str:
    """Does the run of ``folder`` unless it is done or somebody else is at it.

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
        outcome = _outcome(ticket, host, checkpoint, log)
        log_file.flush()
        error = outcome["error"]
        if error:
            error["log_tail"] = (folder / "log.txt").read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
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
    """Does this process's part of a run that the first process of its group executes; writes nothing."""
    ticket = read_ticket(folder)
    agree = _agreement(host)
    if not agree(False):  # the first process has not got the run
        return
    checkpoint = Checkpoint(folder, Log(), needed=needed_folders(ticket, folder), agree=agree, assists=True)
    train, config = _function(ticket), _config(ticket)
    _settle(host)
    with threadpoolctl.threadpool_limits(host.threads):
        train(config, seed=ticket["seed"], device=host.device, checkpoint=checkpoint, log=Log())


def _agreement(host: Host) -> Callable[[bool], bool]:
    """Tells every process of a run whether any of them said yes."""
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
    log_tail = (folder / "log.txt").read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    error = {"type": error_type or status, "message": message, "log_tail": log_tail}
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
    """The row but for what was measured."""
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


def read_ticket(folder: Path) -> dict[str, Any]:
    ticket = files.read_object(folder / "config.json")
    if key_of(ticket) != folder.name:
        raise ValueError(f"{folder / 'config.json'} is not the ticket of run {folder.name[:12]}; remove the folder")
    return ticket


def run_of(folder: Path) -> Run:
    """The run whose ticket lies in the folder, with those that it needs.

    Raises:
        ValueError: the ticket cannot be read or was made by another version of the paper.
    """
    ticket = read_ticket(folder)
    names = ("paper", "seed", "scale", "dataset", "method", "variant", "protocol", "protocol_version", "stage")
    needs = {name: run_of(need) for name, need in needed_folders(ticket, folder).items()}
    return Run(config=_config(ticket), needs=needs, **{name: ticket[name] for name in names})


def needed_folders(ticket: dict[str, Any], folder: Path) -> dict[str, Path]:
    """The folders of the runs that a ticket needs, by name."""
    return {name: folder.parent / key for name, key in ticket["needs"]}


def _take(folder: Path, host: Host) -> claims.Claim | None:
    """The claim on this attempt, or None: another worker has the run, or it is done."""
    current = claims.latest(folder)
    state = state_of(folder)  # looked at after the claim: its owner may have finished just now
    if state.name in (*FINISHED, "running"):
        return None
    if (folder / "row.json").exists():  # damaged, or another run's
        (folder / "row.json").replace(folder / "row.unreadable.json")
    return claims.take(folder, current.number if current else 0, launcher=host.launcher, job=host.job)


def _outcome(ticket: dict[str, Any], host: Host, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Calls the paper's function; what it raises becomes a status."""
    try:
        train, config = _function(ticket), _config(ticket)
        _settle(host)
        with threadpoolctl.threadpool_limits(host.threads):  # NumPy's and scikit-learn's, which torch does not set
            result = train(config, seed=ticket["seed"], device=host.device, checkpoint=checkpoint, log=log)
        return {**_split(result), "status": "done", "error": None}
    except Exception as error:
        if files.is_full_disk(error):  # not the run's fault, and its row could not be written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(checkpoint.folder)) from error
        traceback.print_exc()
        if _has_lost_a_process(error, host):  # no fault of the run's either: it goes on from its checkpoint
            raise Interrupted from error
        return {"metrics": {}, "series": {}, "status": status_of(error), "error": _described(error)}


def _has_lost_a_process(error: Exception, host: Host) -> bool:
    if host.processes == 1:
        return False
    from contrastbench import distributed

    return distributed.is_lost_process(error)


def _described(error: Exception) -> dict[str, Any]:
    return {"type": type(error).__name__, "message": str(error)}


def status_of(error: Exception) -> str:
    """``diverged``, ``out_of_memory`` or ``failed``."""
    import torch

    if isinstance(error, FloatingPointError):
        return "diverged"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error):
        return "out_of_memory"
    return "failed"


def _function(ticket: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    return getattr(importlib.import_module(f"benchmarks.{ticket['paper']}.train"), ticket["stage"])


def _config(ticket: dict[str, Any]) -> Any:
    module, name = ticket["config_type"].split(":")
    if not module.startswith(f"benchmarks.{ticket['paper']}."):
        raise ValueError(f"config type {ticket['config_type']!r} is not one of the paper {ticket['paper']}")
    config_type = getattr(importlib.import_module(module), name)
    known = {spec.name for spec in dataclasses.fields(config_type)}
    given = set(ticket["config"])
    differing = (given - known) | (known - given - added_fields(config_type))
    if differing:
        raise ValueError(
            f"the ticket's config differs from {ticket['config_type']} in {sorted(differing)}: "
            "it was made by another version of the paper; plan it again"
        )
    return config_type(**{k: tuple(v) if isinstance(v, list) else v for k, v in ticket["config"].items()})


def _settle(host: Host) -> None:
    """Threads and deterministic kernels for this process. The global seed is only a net for code we do not own."""
    import torch
    from torch.backends import cuda

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(host.threads)
    if host.device != "cpu":
        torch.cuda.set_device(torch.device(host.device).index or 0)  # which does not take "cuda"
        # Their gradients differ from run to run where a missing deterministic kernel is a warning only; the plain one's
        # do not.
        for set_kernel in (cuda.enable_flash_sdp, cuda.enable_mem_efficient_sdp, cuda.enable_cudnn_sdp):
            set_kernel(False)
    # As torch.use_deterministic_algorithms, which also imports the compiler: 1.2 s of CPU in every worker.
    torch.set_deterministic_debug_mode("error" if host.device == "cpu" else "warn")
    # Filling fresh memory costs time; reading it would show as rows that differ, which the tests look for.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(0)


def _device(ticket: dict[str, Any], host: Host) -> str:
    """The device that does the run: what was asked for, unless its stage computes on the CPU only."""
    try:
        config = _config(ticket)
    except Exception:  # the run meets it again and fails with it, having computed nothing
        return "cpu"
    return device_of(ticket["paper"], ticket["stage"], config, host.device)


def _gpu_facts(device: str) -> dict[str, Any]:
    facts = provenance.gpu(device)
    return {"gpu": facts} if facts else {}


def _determinism(device: str) -> str:
    return "strict" if device == "cpu" else "warn"


def _split(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Scalars are metrics, lists are series; both must be finite."""
    metrics = {name: float(value) for name, value in result.items() if not isinstance(value, (list, tuple))}
    series = {name: list(value) for name, value in result.items() if isinstance(value, (list, tuple))}
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"metric {name} is {value}")
    return {"metrics": metrics, "series": series}


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


def _checkpoint_seconds() -> float:
    return float(os.environ.get("CONTRASTBENCH_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS))
