"""Does one run in this process: from its folder with a ticket to its folder with a row."""

import ctypes
import dataclasses
import errno
import math
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import threadpoolctl

from contrastbench.runner import claims, files, provenance, rows
from contrastbench.runner.checkpoint import Checkpoint, Interrupted
from contrastbench.runner.code import code_of
from contrastbench.runner.devices import Host, device_of
from contrastbench.runner.log import Log
from contrastbench.runner.states import FINISHED, SET_ASIDE, config_of, needed_folders, read_ticket, state_of
from contrastbench.runner.studies import check_choices, load_paper
from contrastbench.runner.vocabulary import sha256_of


def execute(folder: Path, host: Host, watch: Callable[[dict[str, Any]], None] = lambda line: None) -> str:
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
    host = _with_device(host, ticket)
    claim = _take(folder, host)
    agree = _agreement(host)
    if not agree(claim is not None) or claim is None:
        name = state_of(folder).name
        return name if name in FINISHED else "taken"
    started, clock = datetime.now(UTC), perf_counter()
    provenance.reset_peak_memory(host.device)
    log = Log(folder, watch)
    with claims.heartbeat(claim, lambda: log.latest), _log_file(folder):
        checkpoint = _checkpoint(ticket, folder, log, agree)
        files.write_json(folder / "code.json", checkpoint.code, sync=False)
        outcome = _outcome(ticket, host, checkpoint, log)
        if checkpoint.code_before:
            outcome["code_before"] = checkpoint.code_before
        if gpu := provenance.gpu(host.device):
            outcome["gpu"] = gpu
        outcome |= {
            "code": sha256_of(checkpoint.code),
            "artefact_sha256": checkpoint.artefact_sha256,
            "artefacts_read": dict(sorted(checkpoint.artefacts_read.items())),
            "seconds": round(perf_counter() - clock, 3),
            "peak_mb": provenance.peak_memory_mb(),
            "started": started.isoformat(timespec="seconds"),
        }
        _write_row(ticket, outcome, claim, host, log)
    if outcome["status"] == "done":
        (folder / "checkpoint.pt").unlink(missing_ok=True)  # the artefact, if the run kept one, stays
    return outcome["status"]


def assist(folder: Path, host: Host) -> None:
    """Does this process's part of a run that several processes share. The first of them writes everything."""
    ticket = read_ticket(folder)
    agree = _agreement(host)
    if agree(False):  # the first process has got the run
        _result(ticket, host, _checkpoint(ticket, folder, Log(), agree, assists=True), Log())


def give_up(folder: Path, host: Host, status: str, message: str, **more: str) -> None:
    """Writes the row of a run that its launcher does not try again, e.g. ``timed_out`` after too many attempts.

    Args:
        more: further fields of the row's ``error``, such as the ``node`` that is at fault. Its ``type`` is the status
            unless it is given.
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
    ticket, log = read_ticket(folder), Log(folder)
    log.epoch = log.last_epoch()
    outcome = {"status": status, "error": {"type": status, "message": message, **more}}
    _write_row(ticket, outcome, claim, _with_device(host, ticket), log)


def _with_device(host: Host, ticket: dict[str, Any]) -> Host:
    """The host with the device that does the run: what was asked for, unless its stage computes on the CPU only."""
    if host.device == "none":  # nothing did, as on a node whose GPU does not work
        return host
    try:
        device = device_of(ticket["paper"], ticket["stage"], config_of(ticket), host.device)
    except Exception:  # the run meets the same error and leaves it in its row
        device = "cpu"
    return dataclasses.replace(host, device=device)


def _take(folder: Path, host: Host) -> claims.Claim | None:
    """The claim on this attempt, or None: another worker has the run, or it is done."""
    current = claims.latest(folder)
    state = state_of(folder)  # looked at after the claim: its owner may have finished just now
    if state.name in (*FINISHED, "running"):
        return None
    if state.name in ("killed", "queued") and current and current.beats_again():
        return None
    if (folder / "row.json").exists():  # damaged, or another run's
        (folder / "row.json").replace(folder / "row.unreadable.json")
    return claims.take(folder, current.number if current else 0, launcher=host.launcher, job=host.job)


def _checkpoint(
    ticket: dict[str, Any], folder: Path, log: Log, agree: Callable[[bool], bool], assists: bool = False
) -> Checkpoint:
    try:
        code = code_of(ticket["paper"], ticket["stage"])
    except (OSError, SyntaxError, ValueError):  # the run meets the same error and leaves it in its row
        code = {}
    return Checkpoint(folder, log, needed=needed_folders(ticket, folder), agree=agree, assists=assists, code=code)


def _agreement(host: Host) -> Callable[[bool], bool]:
    """A function that tells every process of the run whether any of them said yes."""
    from contrastbench import distributed

    return lambda said: distributed.anyone(said, host.device)


@contextmanager
def _log_file(folder: Path) -> Iterator[None]:
    """What the run prints goes to its ``log.txt``."""
    with open(folder / "log.txt", "a", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        yield


# ---------------------------------------------------------------------------------------------------- the paper's part


def _outcome(ticket: dict[str, Any], host: Host, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """What the paper's function returns, or what it raises, as fields of a row."""
    try:
        return {**_check_result(_result(ticket, host, checkpoint, log)), "status": "done", "error": None}
    except (Exception, SystemExit) as error:
        if files.is_full_disk(error):  # not the run's fault, and its row could not be written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(checkpoint.folder)) from error
        traceback.print_exc()
        if host.processes > 1:
            from contrastbench import distributed

            if distributed.is_lost_process(error):  # no fault of the run's either: it goes on from its checkpoint
                raise Interrupted from error
        message = _shorten(files.message_of(error), 2000)  # log.txt has all of it
        return {"status": _status_of(error), "error": {"type": type(error).__name__, "message": message}}


def _result(ticket: dict[str, Any], host: Host, checkpoint: Checkpoint, log: Log) -> Any:
    train, config = load_paper(ticket["paper"]).function_of(ticket["stage"]), config_of(ticket)
    check_choices(config)
    settle(host)
    with threadpoolctl.threadpool_limits(host.threads):  # NumPy's and scikit-learn's, which torch does not set
        return train(config, seed=ticket["seed"], device=host.device, checkpoint=checkpoint, log=log)


def settle(host: Host) -> None:
    """Sets this process's threads and deterministic kernels. The global seed is a net for code that we do not own."""
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
    # Deterministic mode fills new memory, which is slow. We turn that off: code that read memory before writing to it
    # would give rows that differ, and the repeat tests would fail.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(0)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Has the C library keep up to 1 GB of freed memory for the tensors to come, where it is glibc.

    By default it hands most of it back to the system, and each page that comes again costs a page fault: a quarter of
    the time of a short training step on a CPU.
    """
    trim, map_alone = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    with suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(map_alone, 2**25)  # the most that glibc allows: what is larger is handed back at once
        library.mallopt(trim, 2**30)


def _status_of(error: BaseException) -> str:
    """``diverged``, ``out_of_memory`` or ``failed``."""
    import torch

    if isinstance(error, FloatingPointError):
        return "diverged"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in files.message_of(error):
        return "out_of_memory"
    return "failed"


def _check_result(result: Any) -> dict[str, dict[str, Any]]:
    """What a stage returned, as plain numbers: single ones are metrics, lists of them series.

    Raises:
        TypeError: it is not numbers by name; the message says which metric is not.
        FloatingPointError: a number is not finite.
    """
    if not isinstance(result, dict):
        raise TypeError(f"a stage returns its metrics by name, as a dict; this one returned {type(result).__name__}")
    metrics: dict[str, float] = {}
    series: dict[str, list[int | float]] = {}
    for name, value in result.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a metric must be a text, got {name!r}")
        if isinstance(value, (list, tuple)):
            series[name] = [_number(f"{name}[{index}]", each) for index, each in enumerate(value)]
        else:
            metrics[name] = float(_number(name, value))
    return {"metrics": metrics, "series": series}


def _number(name: str, value: Any) -> int | float:
    """A finite number; a tensor or an array counts as its one element."""
    try:
        number = value if type(value) in (int, float) else float(value if not isinstance(value, str) else "a text")
        is_finite = math.isfinite(number)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"metric {name} must be one number, got {_shorten(repr(value), 200)}") from None
    if not is_finite:
        raise FloatingPointError(f"metric {name} is {number}")
    return number


# -------------------------------------------------------------------------------------------------------------- the row


def _write_row(ticket: dict[str, Any], outcome: dict[str, Any], claim: claims.Claim, host: Host, log: Log) -> None:
    """Writes the row: what was asked for, what came of it, and by which code and machine."""
    error = outcome["error"]
    rows_set_aside = sum(1 for why in SET_ASIDE for _ in claim.folder.glob(f"{why}.*.json"))
    row = {
        **{name: value for name, value in ticket.items() if name != "config_type"},
        **{"metrics": {}, "series": {}, "artefact_sha256": None, "artefacts_read": {}},
        **dict.fromkeys(("seconds", "peak_mb", "started")),
        **outcome,
        "error": error and {**error, "log_tail": _log_tail(claim.folder)},
        "schema": rows.SCHEMA,
        "selection": log.selection,
        "epoch": log.epoch,
        "data": dict(sorted(log.data_sha256.items())),
        "attempt": claim.number,
        "resumes": claim.number - 1 - rows_set_aside,
        "git": provenance.git(),
        "versions": provenance.versions(),
        "host": provenance.host(),
        "device": provenance.device_kind(host.device),
        "determinism": "strict" if host.device == "cpu" else "warn",
        "launcher": host.launcher,
        "job": host.job,
        "threads": host.threads,
        "processes": host.processes,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    rows.write_row(claim.folder / "row.json", rows.seal(row))


def _log_tail(folder: Path) -> list[str]:
    try:
        lines = (folder / "log.txt").read_text(errors="replace").splitlines()
    except OSError:  # somebody took it away
        return []
    return [_shorten(line, 500) for line in lines[-20:]]


def _shorten(text: str, characters: int) -> str:
    """The text as a row keeps it: its middle left out where it is long, and no character that moves a cursor."""
    if len(text) > characters:
        half = characters // 2
        text = f"{text[:half]} ... {len(text) - 2 * half} characters left out ... {text[-half:]}"
    return files.printable(text)
