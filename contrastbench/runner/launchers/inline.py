"""One run after another in this process, for debugging: a breakpoint works, a traceback is in the run's log."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from contrastbench.runner import files, stopping
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.launchers import Job, Outcome, Watch, in_order, readiness, unready


def launch(jobs: Sequence[Job], *, watch: Watch, device: str = "cpu", threads: int = 1) -> Outcome:
    """Does the jobs and returns what became of each.

    Ctrl-C and SIGTERM save the run at its next epoch boundary and then do what they always do; a second one does it at
    once.
    """
    told: list[int] = []
    with _saving_when_told_to_stop(told):
        try:
            return _launch(jobs, watch, device, threads)
        except stopping.Interrupted:
            pass
    signal.raise_signal(told[0])
    raise KeyboardInterrupt  # where the signal is ignored


@contextlib.contextmanager
def _saving_when_told_to_stop(told: list[int]) -> Iterator[None]:
    """Notes the first Ctrl-C or SIGTERM in ``told``; outside the main thread signals are left as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def as_before() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def save(number: int, frame: object) -> None:
        as_before()
        told.append(number)
        stopping.request_stop()

    for number in before:
        signal.signal(number, save)
    try:
        yield
    finally:
        stopping.forget_stop()
        as_before()


def _launch(jobs: Sequence[Job], watch: Watch, device: str, threads: int) -> Outcome:
    outcome = Outcome()
    for job in in_order(jobs):
        if stopping.stop_requested():
            raise stopping.Interrupted
        ready = readiness(job)
        if ready == "ready":
            try:
                status = execute(job.folder, Host(device, threads), watch=partial(_seen, watch, job))
                outcome.ended[job.folder] = status
                watch(job, {"status": status})
                continue
            except (OSError, ValueError) as error:
                if files.is_full_disk(error):
                    raise
                problem = str(error)
        else:
            problem = ready if ready != "waiting" else unready(job)
        outcome.problems[job.folder] = problem
        watch(job, {"status": "not started", "problem": problem})
    return outcome


def _seen(watch: Watch, job: Job, line: dict[str, Any]) -> None:
    watch(job, {"line": line})
