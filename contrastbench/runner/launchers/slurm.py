"""Runs as Slurm arrays: submit, then follow for as long as one likes.

The front command may end at any time and be started again: all it knows is in the run folders. The jobs import a
pinned copy of the code and find the network switched off, so data must be here before anything is submitted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrastbench.runner import claims, files, states
from contrastbench.runner.launchers import Job, Outcome, Watch, readiness
from contrastbench.runner.launchers.slurm_arrays import Submitter
from contrastbench.runner.launchers.slurm_notes import was_told_to_go
from contrastbench.runner.launchers.slurm_queue import (
    Queue,
    QueuedTask,
    ask,
    mark_of,
    read_queue,
    release_failed_launches,
    still_queued,
    why_it_ended,
)
from contrastbench.runner.launchers.slurm_reasons import HELD, never
from contrastbench.runner.profiles import Profile

POLL_SECONDS = 30.0  # squeue is asked this often, and more often in the first minutes
TAKEN_AWAY = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL")  # ends that are no fault of the run: it is submitted again
NO_ROOM_POLLS = 10  # after so many polls an array is offered again, though none of ours has left the queue


def launch(
    jobs: Sequence[Job],
    profile: Profile,
    runs_folder: Path,
    *,
    watch: Watch,
    seconds: dict[str, float | None] | None = None,
    detach: bool = False,
    poll_seconds: float | None = None,
) -> Outcome:
    """Submits those of the jobs that nobody has queued yet, and follows all of them to their ends.

    Ctrl-C stops the following, not the jobs. With ``detach`` nothing is followed; what Slurm had no room for is in
    ``problems`` then.

    Raises:
        ValueError: there is no Slurm here, or no controller answers.
    """
    submitter = Submitter(jobs, profile, runs_folder, seconds)
    submitter.fill()
    following = Following(jobs, submitter, watch)
    if detach:
        return following.leave()
    began = time.monotonic()
    while following.look():
        time.sleep(min(POLL_SECONDS, 1 + (time.monotonic() - began) / 10) if poll_seconds is None else poll_seconds)
    if submitter.has_more:  # the job of the mail, for which there was no room
        submitter.fill()
    following.outcome.notes += [submitter.no_mail] if submitter.no_mail else []
    return following.outcome


class Following:
    """What is known of each run of a launch; one call of squeue each time that it looks."""

    def __init__(self, jobs: Sequence[Job], submitter: Submitter, watch: Watch) -> None:
        self.submitter, self.watch = submitter, watch
        self.outcome = Outcome()
        self.open = {job.folder: job for job in jobs}
        self._marks = {folder: mark_of(folder) for folder in self.open}
        self._gone: set[Path] = set()  # neither at work nor queued when last seen; a row may be late
        self._said: dict[Path, str] = {}  # why a run waits
        self._again: Counter[Path] = Counter()
        self._full, self._polls = 0, 0
        self._refused()

    def leave(self) -> Outcome:
        for job in self.submitter.left:
            self._end(job, "not submitted", f"Slurm has no room for more now ({self.submitter.no_room})")
        self.outcome.notes += [self.submitter.no_mail] if self.submitter.no_mail else []
        return self.outcome

    def look(self) -> bool:
        """Looks once at all open runs; False when none is left."""
        queue = read_queue()
        if queue is None:  # the controller is down or busy: nothing is concluded from that
            return bool(self.open)
        release_failed_launches(queue)
        unsubmitted = {job.folder for job in self.submitter.left}
        gone: list[Job] = []
        for folder, job in list(self.open.items()):
            task = queue.of(self._marks[folder])
            if task and task.waits:  # no file of a waiting run is looked at
                self._waits(job, task)
            elif folder in unsubmitted and not task:
                self._tell(job, self.submitter.no_room)
            elif not self._look_at_files(job, queue):
                gone.append(job)
        self._look_after(gone)
        self._fill(queue)
        return bool(self.open)

    def _waits(self, job: Job, task: QueuedTask) -> None:
        """Tells why a run waits; ends the waiting if the reason will not pass by itself."""
        hopeless = never(task, f"profile {self.submitter.profile.name}")
        if not hopeless or self._said.get(job.folder) != task.reason:  # believed when seen twice: Slurm corrects itself
            self._tell(job, task.reason)
            return
        if task.reason not in HELD:  # else the next command would find it queued, and wait
            ask("scancel", task.job)
            (job.folder / "queued.json").unlink(missing_ok=True)
        self._end(job, "will not start", hopeless)

    def _tell(self, job: Job, reason: str) -> None:
        if reason and self._said.get(job.folder) != reason:
            self._said[job.folder] = reason
            self.watch(job, {"waits": reason})

    def _look_at_files(self, job: Job, queue: Queue) -> bool:
        """Looks at a run that is at work or has ended; False if it is neither at work nor queued nor done."""
        state = states.state_of(job.folder, still_queued(queue))
        if state.name in states.FINISHED:
            self.outcome.ended[job.folder] = state.name
            self.open.pop(job.folder)
            self.watch(job, {"status": state.name})
        elif state.name in ("running", "queued"):
            self._gone.discard(job.folder)
            if state.claim and state.name == "running":
                self.watch(job, {"line": _latest_line(state.claim)})
        else:
            return False
        return True

    def _look_after(self, gone: Sequence[Job]) -> None:
        """Runs that have left Slurm without a row: seen twice, they are submitted again or given up."""
        seen_twice = [job for job in gone if job.folder in self._gone]
        self._gone |= {job.folder for job in gone}
        taken_away = self._taken_away(seen_twice)
        for job in seen_twice:
            self._gone.discard(job.folder)
            ready = readiness(job)
            if job in taken_away and self._again[job.folder] < self.submitter.profile.attempts:
                self._again[job.folder] += 1
                self.submitter.add([job])
                self.watch(job, {"line": {}, "problem": "was taken away by Slurm, is submitted again"})
            else:
                self._end(job, "not done", why_it_ended(job.folder) if ready == "ready" else ready)

    def _taken_away(self, jobs: Sequence[Job]) -> list[Job]:
        """Those whose Slurm job ended by no fault of theirs: preempted without a requeue, or the node was lost."""
        marks = {job.folder: mark_of(job.folder) for job in jobs}
        marks = {folder: mark for folder, mark in marks.items() if mark and not mark.get("cancelled")}
        names = {folder: Path(mark["submission"]) / "job" for folder, mark in marks.items()}
        numbers = sorted({path.read_text().strip() for path in names.values() if path.exists()})
        ended = read_queue("--states=all", f"--jobs={','.join(numbers)}") if numbers else None
        found = []
        for job in jobs:
            task = ended.of(marks.get(job.folder, {})) if ended else None
            if task and (task.state in TAKEN_AWAY or _saved_for_later(task, marks[job.folder])):
                found.append(job)
        return found

    def _fill(self, queue: Queue) -> None:
        """Submits more if there was no room and now may be, or if runs are to be submitted again."""
        if not self.submitter.has_more:
            return
        self._polls += 1
        freed = self._full - len(queue)
        if self.submitter.no_room and freed <= 0 and self._polls < NO_ROOM_POLLS:
            return
        before = {job.folder for job in self.submitter.left}
        self.submitter.fill(largest=max(1, freed) if self.submitter.no_room else None)
        now = read_queue()
        self._full, self._polls = len(queue if now is None else now), 0
        for folder in before - {job.folder for job in self.submitter.left}:
            self._marks[folder] = mark_of(folder)
            self._said.pop(folder, None)
        self._refused()

    def _refused(self) -> None:
        for folder, words in self.submitter.problems.items():
            if folder in self.open:
                self._end(self.open[folder], "not submitted", words)

    def _end(self, job: Job, status: str, problem: str) -> None:
        self.outcome.problems[job.folder] = problem
        self.open.pop(job.folder, None)
        self.watch(job, {"status": status, "problem": problem})


def _saved_for_later(task: QueuedTask, mark: dict[str, Any]) -> bool:
    """Whether Slurm told the task to go, and then did not take the job back into the queue."""
    return task.state != "CANCELLED" and was_told_to_go(mark)


def _latest_line(claim: claims.Claim) -> dict[str, Any]:
    try:
        return files.read_json(claim.heartbeat)
    except (OSError, ValueError):
        return {}
