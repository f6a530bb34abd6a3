"""A process that does runs, as the local queue and a Slurm task start it by ``multiprocessing``.

``serve`` is warm: torch is imported once, folders come in through a pipe, and an event goes out for each line of a
run's curve and for each run that ended. ``share`` is one of several processes of one run: the first executes it, others
assist. SIGTERM, and SIGUSR2, which Slurm sends before it takes the node away, save the run and end the process.
"""

import contextlib
import ctypes
import dataclasses
import errno
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from contrastbench.runner import files
from contrastbench.runner.checkpoint import Interrupted, stop_requested
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import assist, execute

SPAWN = multiprocessing.get_context("spawn")  # a fork would copy threads' locks


def attempt(folder: Path, host: Host, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Does the run, tells each line of its curve, and returns how it ended, as events that a launcher's watch takes.

    Raises:
        OSError: the disk is full.
    """
    try:
        return {"status": execute(folder, host, watch=lambda line: tell({"line": line}))}
    except (OSError, ValueError) as error:
        if files.is_full_disk(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        return {"status": "not done", "problem": str(error)}


def serve(pipe: Connection, host: Host) -> None:
    """Does the runs whose folders come through the pipe, until that is closed."""
    _prepare(host)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever reads the front command's output need not wait for this

    def tell(event: dict[str, Any] | OSError) -> None:
        with contextlib.suppress(ConnectionError):  # the front command is gone; the work goes on all the same
            pipe.send(event)

    with contextlib.suppress(EOFError, ConnectionError, Interrupted):
        while True:
            folder = pipe.recv()
            try:
                tell(attempt(folder, host, tell))
            except OSError as error:
                tell(error)


def share(folder: Path, host: Host) -> None:
    """Does one run together with the other processes of the job."""
    _prepare(host)
    from contrastbench import distributed

    distributed.join(host.device)
    device = host.device if host.device == "cpu" else f"cuda:{distributed.local_rank()}"
    host = dataclasses.replace(host, device=device, processes=distributed.processes())
    with contextlib.suppress(Interrupted):
        try:
            (assist if distributed.rank() else execute)(folder, host)
        finally:
            distributed.leave()


def _prepare(host: Host) -> None:
    """Makes this process one that saves when it is told to stop. Imports torch: that is paid once and not per run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the front command gets it too and says SIGTERM
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda number, frame: stop_requested.set())
    if host.launcher == "slurm" and sys.platform == "linux":  # no run goes on outside of its job
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(signal.SIGKILL))
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(host.threads))
    import torch  # noqa: F401


def end(processes: Iterable[BaseProcess], seconds: float) -> None:
    """Waits for the processes to end, that long for all of them together, and kills those that have not."""
    until = time.monotonic() + seconds
    try:
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
    finally:  # at once where somebody is told to stop a second time
        for process in processes:
            process.kill()
            process.join()
