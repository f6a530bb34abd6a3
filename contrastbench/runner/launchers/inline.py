"""One run after another in this process, for debugging: a breakpoint works, a traceback is in the run's log."""

import functools
import signal
import threading
from collections.abc import Sequence

from contrastbench.runner.checkpoint import Interrupted, stop_requested
from contrastbench.runner.devices import Host
from contrastbench.runner.launchers import Job, Outcome, Watch, readiness, why_it_waits
from contrastbench.runner.worker import attempt


def launch(jobs: Sequence[Job], *, watch: Watch, device: str = "cpu", threads: int = 1) -> Outcome:
    """Does the jobs, each after those that it needs, and returns what became of each.

    Ctrl-C and SIGTERM save the run at its next epoch boundary and then do what they always do; a second one does it at
    once. Outside the main thread signals are left as they are.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if is_main}
    told: list[int] = []

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
        return _do_each(jobs, Outcome(watch), Host(device, threads))
    except Interrupted:
        signal.raise_signal(told[0])
        raise KeyboardInterrupt from None  # where the signal is ignored
    finally:
        stop_requested.clear()
        restore()


def _do_each(jobs: Sequence[Job], outcome: Outcome, host: Host) -> Outcome:
    for job in jobs:
        if stop_requested.is_set():
            raise Interrupted
        if (ready := readiness(job)) == "ready":
            event = attempt(job.folder, host, functools.partial(outcome.watch, job))
            outcome.end(job, **event)
        else:
            outcome.end(job, "not started", why_it_waits(job) if ready == "waiting" else ready)
    return outcome
