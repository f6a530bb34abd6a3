"""Ways to start planned runs: they take the same jobs, in the plan's order, and leave the same rows.

They differ in where the work is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrastbench.runner.states import FAILURES, folder_of, needed_folders, read_ticket, state_of
from contrastbench.runner.vocabulary import Run


@dataclass(frozen=True)
class Job:
    """A run whose ticket is written, and the folders of the runs that must be done before it."""

    run: Run
    folder: Path
    needs: tuple[Path, ...] = ()
    device: str = ""  # "cpu" or "cuda": the slots that it fits; empty: any, and the run's stage decides there


# Called with a job, and either {"line": {...}} while it works or {"status": ..., "problem": ...} at its end.
Watch = Callable[[Job, dict[str, Any]], None]


@dataclass
class Outcome:
    """What became of a launch: folders by what was seen last, and one line for each that could not be done."""

    watch: Watch
    ended: dict[Path, str] = field(default_factory=dict)
    problems: dict[Path, str] = field(default_factory=dict)

    def end(self, job: Job, status: str, problem: str = "") -> None:
        """Its row has that status; or there is none, because of a problem."""
        (self.problems if problem else self.ended)[job.folder] = problem or status
        self.watch(job, {"status": status, **({"problem": problem} if problem else {})})


def job_of(run: Run, runs_folder: Path) -> Job:
    return Job(run, folder_of(run, runs_folder), tuple(folder_of(need, runs_folder) for need in run.needs.values()))


def job_in(folder: Path) -> Job:
    """The job of a run's folder, as far as its ticket tells without the paper's code: its run has no config."""
    ticket = read_ticket(folder)
    run = Run(ticket["paper"], None, ticket["seed"], ticket["scale"])
    return Job(run, folder, tuple(needed_folders(ticket, folder).values()))


def readiness(job: Job) -> str:
    """``ready``, ``waiting``, or the reason why the job can never be started."""
    for folder in job.needs:
        state = state_of(folder).name
        if state in FAILURES:
            return f"needs {folder.name[:12]}, which ended as {state}"
        if state != "done":
            return "waiting"
    return "ready"


def why_it_waits(job: Job) -> str:
    """Names the first run that the job needs and that is not done."""
    missing = [folder.name[:12] for folder in job.needs if state_of(folder).name != "done"]
    return f"needs {missing[0]}, which is not done here" if missing else "what it needs is done now; run it again"


def next_tasks(jobs: Sequence[Job], size: int, most: int) -> tuple[list[list[Job]], list[Job]]:
    """The jobs that need no other of them, as up to ``most`` tasks of ``size`` jobs; and those that are left then."""
    folders = {job.folder for job in jobs}
    first = [job for job in jobs if folders.isdisjoint(job.needs)][: most * size]
    taken = {job.folder for job in first}
    tasks = [first[at : at + size] for at in range(0, len(first), size)]
    return tasks, [job for job in jobs if job.folder not in taken]
