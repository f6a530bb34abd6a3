"""Puts runs into Slurm's queue as arrays: as many as fit, the rest as room is made.

What is submitted lies in a folder of its own below ``runs/.slurm``: the script, the list of the tasks' runs, the logs.
That folder and the runs' marks are written before sbatch is called, so a front command that dies meanwhile leaves no
job that nobody knows: squeue shows the script's path, and the task finds its runs by it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import shutil
import uuid
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from contrastbench.runner import files, states
from contrastbench.runner.launchers import Job, in_order
from contrastbench.runner.launchers.slurm_queue import (
    SCRIPT,
    Queue,
    job_of,
    mark_of,
    read_queue,
    release_failed_launches,
    still_queued,
)
from contrastbench.runner.launchers.slurm_sbatch import (
    DEFAULT_ARRAY_SIZE,
    is_no_room,
    max_array_size,
    run_sbatch,
    sbatch,
)
from contrastbench.runner.launchers.slurm_script import Ask, ask_for, script
from contrastbench.runner.profiles import Profile
from contrastbench.runner.snapshot import Snapshot, take_snapshot

SUBMISSIONS = ".slurm"  # below the runs folder
SNAPSHOTS = ".snapshots"
NETWORK_OFF = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
    **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),  # nobody listens there
    "CONTRASTBENCH_DOWNLOAD": "0",
}


@dataclass(frozen=True)
class Array:
    """Tasks that go into the queue together and ask for the same."""

    ask: Ask
    level: int  # arrays need runs of lower levels only
    tasks: tuple[tuple[Job, ...], ...]

    def first(self, count: int) -> tuple[Array, Array | None]:
        """The first tasks as an array of their own, and the rest."""
        rest = dataclasses.replace(self, tasks=self.tasks[count:]) if count < len(self.tasks) else None
        return dataclasses.replace(self, tasks=self.tasks[:count]), rest


@dataclass
class Lane:
    """A share of the tasks that may work at a time. An array that would exceed it waits for the one before it."""

    width: int
    folders: list[str] = field(default_factory=list)  # of the arrays in it
    in_queue: int = 0  # tasks of these arrays that wait or work
    last_job: str = ""

    def recount(self, queue: Queue) -> None:
        self.in_queue = sum(task.submission in self.folders for task in queue)

    def takes(self, array: Array) -> bool:
        """Whether the array may work beside what is in the lane already."""
        return self.in_queue + len(array.tasks) <= self.width

    def put(self, job: str, folder: Path, array: Array) -> None:
        self.folders.append(str(folder))
        self.in_queue += len(array.tasks)
        self.last_job = job


class Submitter:
    """Arrays on their way into the queue.

    Args:
        seconds: the estimated cost of a run by its key, for ``hours = "auto"``.

    Attributes:
        waiting: what is not in the queue yet, in order.
        problems: for each run that Slurm refused for good, its words.
        no_room: what Slurm said when it had no room for the first array of ``waiting``, or for the job of the mail.
        no_mail: why there will be no mail at the end, though the profile asks for one; empty if there will be.
    """

    def __init__(
        self, jobs: Sequence[Job], profile: Profile, runs_folder: Path, seconds: dict[str, float | None] | None = None
    ) -> None:
        self.profile, self.runs_folder = profile, runs_folder
        self.seconds = seconds or {}
        self.cap = max_array_size()
        self.problems: dict[Path, str] = {}
        self.no_room = self.no_mail = ""
        self.waiting = deque(arrays_of(jobs, profile, self.cap, self.seconds))
        self._lanes = lanes_of(self.waiting, profile.array_parallelism)
        self._snapshot: Snapshot | None = None
        self._mail_is_due = bool(profile.mail)

    def add(self, jobs: Sequence[Job]) -> None:
        """Puts jobs at the end of those that are to be submitted."""
        self.waiting.extend(arrays_of(jobs, self.profile, self.cap, self.seconds))

    @property
    def has_more(self) -> bool:
        """Whether another ``fill`` may have something to submit: runs, or the job that sends the mail."""
        return bool(self.waiting) or (self._mail_is_due and self._has_submitted)

    @property
    def _has_submitted(self) -> bool:
        return any(lane.last_job for lane in self._lanes)

    @property
    def left(self) -> list[Job]:
        """The jobs that are not in the queue yet."""
        return [job for array in self.waiting for task in array.tasks for job in task]

    def fill(self, largest: int | None = None) -> None:
        """Submits arrays until none is left or Slurm has no room; parts of ``largest`` tasks at most, to begin with."""
        self.no_room, size = "", largest or self.cap
        with one_at_a_time(self.runs_folder):
            queue = read_queue() or Queue(())
            release_failed_launches(queue)
            for lane in self._lanes:
                lane.recount(queue)
            while self.waiting and not self.no_room:
                array, rest = self._still_wanted(self.waiting.popleft(), queue).first(size)
                words = self._submit(array) if array.tasks else ""
                if rest:
                    self.waiting.appendleft(rest)
                if words:
                    self.waiting.appendleft(array)
                    size, self.no_room = len(array.tasks) // 2, words if len(array.tasks) == 1 else ""
            if self.has_more and not self.waiting:
                self._ask_for_mail()

    def _still_wanted(self, array: Array, queue: Queue) -> Array:
        """The array without runs that somebody else has queued or done by now."""
        told = still_queued(queue)
        tasks = (tuple(job for job in task if _is_to_do(job, told)) for task in array.tasks)
        return dataclasses.replace(array, tasks=tuple(task for task in tasks if task))

    def _submit(self, array: Array) -> str:
        """Submits one array. Returns why there is no room for it; empty if it is in the queue or refused for good."""
        lane = min(self._lanes, key=lambda lane: lane.in_queue - lane.width)
        before = _jobs_of_needs(array) | (set() if lane.takes(array) else {lane.last_job} - {""})
        folder = new_folder(self.runs_folder)
        write_submission(folder, array, self.profile, self.script(array, folder, lane.width, before))
        job, words = sbatch(folder)
        if job:
            lane.put(job, folder, array)
            return ""
        for run in (run for task in array.tasks for run in task):
            (run.folder / "queued.json").unlink(missing_ok=True)
            if not is_no_room(words):
                self.problems[run.folder] = f"sbatch refused: {words}"
        shutil.rmtree(folder)
        return words if is_no_room(words) else ""

    def script(self, array: Array, folder: Path, at_a_time: int, before: Iterable[str] = ()) -> str:
        """The array's job script; ``before`` are the array jobs that it waits for."""
        self._snapshot = self._snapshot or take_snapshot(self.runs_folder / SNAPSHOTS)
        return script_of(array, self.profile, folder, at_a_time, before, self._snapshot)

    def _ask_for_mail(self) -> None:
        """Submits a job that does nothing, after all others have ended, and has Slurm send a mail at its end."""
        jobs = sorted(lane.last_job for lane in self._lanes if lane.last_job)
        asked = {"dependency": ":".join(["afterany", *jobs]), "mail-user": self.profile.mail, "mail-type": "END"}
        asked |= {"job-name": "contrastbench-has-ended", "time": "1", "output": "/dev/null"}
        asked |= {name: getattr(self.profile, name) for name in ("partition", "account", "qos")}
        job, words = run_sbatch([*(f"--{name}={value}" for name, value in asked.items() if value), "--wrap=:"])
        self.no_room = words if is_no_room(words) else ""
        self.no_mail = "" if job else f"no mail will be sent at the end: sbatch refused: {words}"
        self._mail_is_due = bool(self.no_room)


def script_of(
    array: Array, profile: Profile, folder: Path, at_a_time: int, before: Iterable[str], snapshot: Snapshot
) -> str:
    """The job script of an array, which waits for the array jobs ``before``."""
    return script(
        *(profile, array.ask, folder),
        tasks=len(array.tasks),
        at_a_time=at_a_time,
        dependency=":".join(["afterany", *sorted(before)]) if before else "",
        environment={**NETWORK_OFF, **snapshot.environment(), **profile.variables},
    )


def dry_run(
    jobs: Sequence[Job], profile: Profile, runs_folder: Path, seconds: dict[str, float | None] | None = None
) -> Iterator[str]:
    """The scripts as they would be submitted, but for what they would wait for. Nothing is written."""
    try:
        cap = max_array_size()
    except ValueError:  # no Slurm here
        cap = DEFAULT_ARRAY_SIZE
    arrays = arrays_of(jobs, profile, cap, seconds)
    lanes = lanes_of(arrays, profile.array_parallelism)
    snapshot = take_snapshot(runs_folder / SNAPSHOTS, copy=False)
    for index, array in enumerate(arrays):
        folder = runs_folder / SUBMISSIONS / f"DRY-RUN-{index}"
        yield script_of(array, profile, folder, lanes[index % len(lanes)].width, (), snapshot)


def arrays_of(
    jobs: Sequence[Job], profile: Profile, cap: int, seconds: dict[str, float | None] | None = None
) -> list[Array]:
    """The jobs as arrays of at most ``cap`` tasks, each after those whose runs it needs, one for each ``Ask``."""
    arrays = []
    for level, group in enumerate(_levels(in_order(jobs))):
        by_ask: dict[Ask, list[Job]] = {}
        for job in group:
            by_ask.setdefault(ask_for(job.folder, profile, (seconds or {}).get(job.folder.name)), []).append(job)
        for asked in sorted(by_ask):
            tasks = list(_packed(by_ask[asked], profile.task_size))
            arrays += [Array(asked, level, tuple(tasks[at : at + cap])) for at in range(0, len(tasks), cap)]
    return arrays


def _levels(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in groups, each of which needs only runs of groups before it."""
    by_folder = {job.folder: job for job in jobs}
    depth: dict[Path, int] = {}
    for job in jobs:  # in order: what a job needs comes before it
        depth[job.folder] = max((depth[need] + 1 for need in job.needs if need in by_folder), default=0)
    return [[job for job in jobs if depth[job.folder] == level] for level in sorted(set(depth.values()))]


def _packed(jobs: Sequence[Job], size: int) -> Iterator[tuple[Job, ...]]:
    return (tuple(jobs[first : first + size]) for first in range(0, len(jobs), size))


def lanes_of(arrays: Collection[Array], at_a_time: int) -> list[Lane]:
    """Shares of ``at_a_time`` tasks: as many as a level has arrays, together never more than ``at_a_time``."""
    per_level = Counter(array.level for array in arrays)
    if not per_level or sum(len(array.tasks) for array in arrays) <= at_a_time:
        return [Lane(at_a_time)]
    count = min(max(per_level.values()), at_a_time)
    return [Lane(at_a_time // count + (index < at_a_time % count)) for index in range(count)]


def _jobs_of_needs(array: Array) -> set[str]:
    """The array jobs of the runs that these need and that are not done."""
    needs = {need for task in array.tasks for job in task for need in job.needs}
    marks = [mark_of(need) for need in needs if not (need / "row.json").exists()]
    return {job_of(mark).partition("_")[0] for mark in marks if mark} - {"?"}


def _is_to_do(job: Job, told: states.StillQueued) -> bool:
    return states.state_of(job.folder, told).name in ("new", "killed")


@contextlib.contextmanager
def one_at_a_time(runs_folder: Path) -> Iterator[None]:
    """Two front commands submit one after the other; the second then finds the runs queued."""
    (runs_folder / SUBMISSIONS).mkdir(parents=True, exist_ok=True)
    with open(runs_folder / SUBMISSIONS / "submitting.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def new_folder(runs_folder: Path) -> Path:
    return runs_folder / SUBMISSIONS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"


def write_submission(folder: Path, array: Array, profile: Profile, text: str) -> None:
    """The script, the runs of each task, and a mark in each run that names them."""
    folder.mkdir(parents=True)
    runs_folder = folder.parents[1]
    tasks = [[str(job.folder.relative_to(runs_folder)) for job in task] for task in array.tasks]
    asked = {"tasks": tasks, "hours": array.ask.hours, "profile": dataclasses.asdict(profile)}
    files.write_json(folder / "tasks.json", asked, sync=False)
    files.write_text(folder / SCRIPT, text)
    for index, task in enumerate(array.tasks):
        for job in task:
            states.mark_queued(job.folder, launcher="slurm", submission=str(folder), task=index)
