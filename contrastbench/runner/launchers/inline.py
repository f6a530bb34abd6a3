"""One run after another in this process, for debugging: a breakpoint works, a traceback is in the run's log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from contrastbench.runner.execute import Host, execute
from contrastbench.runner.launchers import Job, Outcome, Watch, in_order, readiness


def launch(jobs: Sequence[Job], *, watch: Watch, device: str = "cpu", threads: int = 1) -> Outcome:
    outcome = Outcome()
    for job in in_order(jobs):
        ready = readiness(job)
        if ready == "ready":
            try:
                status = execute(job.folder, Host(device, threads), watch=partial(_seen, watch, job))
                outcome.ended[job.folder] = status
                watch(job, {"status": status})
                continue
            except (OSError, ValueError) as error:
                problem = str(error)
        else:
            problem = ready if ready != "waiting" else "a run that it needs is being done elsewhere"
        outcome.problems[job.folder] = problem
        watch(job, {"status": "not started", "problem": problem})
    return outcome


def _seen(watch: Watch, job: Job, line: dict[str, Any]) -> None:
    watch(job, {"line": line})
