"""One run after another in this process, for debugging: a breakpoint works, a traceback is in the run's log."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence

from contrastbench.runner import files
from contrastbench.runner.checkpoint import Interrupted, stop_requested
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.launchers import Job, Outcome, Watch, readiness, why_it_waits


def launch(jobs: Sequence[Job], *, watch: Watch, device: str = "cpu", threads: int = 1) -> Outcome:
    """Does the jobs, each after those that it needs, and returns what became of each.

    Ctrl-C and SIGTERM save the run at its next epoch boundary and then do what they always do; a second one does it at
    once.
    """
    told: list[int] = []
    with _saving_when_told_to_stop(told):
        try:
            return _do_each(jobs, watch, Host(device, threads))
        except Interrupted:
            pass
    signal.raise_signal(told[0])
    raise KeyboardInterrupt  # where the signal is ignored


@contextlib.contextmanager
def _saving_when_told_to_stop(told: list[int]) -> Iterator[None]:
    """Notes the first Ctrl-C or SIGTERM in ``told``; outside the main thread signals are left as they are."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if is_main}

    def save(number: int, frame: object) -> None:
        restore()
        told.append(number)
        stop_requested.set()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, save)
    try:
        yield
    finally:
        stop_requested.clear()
        restore()


def _do_each(jobs: Sequence[Job], watch: Watch, host: Host) -> Outcome:
    outcome = Outcome()
    for job in jobs:
        if stop_requested.is_set():
            raise Interrupted
        problem = readiness(job)
        if problem == "ready":
            try:
                status = execute(job.folder, host, watch=lambda line, job=job: watch(job, {"line": line}))  # type: ignore[misc]
                outcome.ended[job.folder] = status
                watch(job, {"status": status})
                continue
            except (OSError, ValueError) as error:
                if files.is_full_disk(error):
                    raise
                problem = str(error)
        outcome.problems[job.folder] = problem if problem != "waiting" else why_it_waits(job)
        watch(job, {"status": "not started", "problem": outcome.problems[job.folder]})
    return outcome
