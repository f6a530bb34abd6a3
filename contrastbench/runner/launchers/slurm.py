"""Runs as Slurm arrays through submitit: submit, then follow for as long as one likes.

The front command may end at any time and be started again: all it knows is in the run folders. Their marks, and the
folder of a submission in ``runs/.slurm``, are written before sbatch is called. Jobs import a pinned copy of the code.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError

from contrastbench.runner import files, provenance, states
from contrastbench.runner.code import code_packages, package_folders
from contrastbench.runner.launchers import Job, Outcome, Watch, next_tasks, readiness, slurm_queue
from contrastbench.runner.launchers.slurm_queue import Queue, QueuedTask, ask, place_of, read_queue, still_queued
from contrastbench.runner.launchers.slurm_task import Task
from contrastbench.runner.profiles import Profile

SUBMISSIONS, SNAPSHOTS = ".slurm", ".snapshots"  # below the runs folder
POLL_SECONDS = 30.0  # squeue is asked this often, and more often in the first minutes
SBATCH_SECONDS = 10  # where the queue is full sbatch tries again by itself for two minutes; it is ended sooner
NO_ROOM = re.compile(r"MaxSubmit|MaxJobCount|job queue full|temporarily un|maximum number of jobs", re.IGNORECASE)
UNSURE = re.compile(r"timed out|gave no answer|Unable to contact", re.IGNORECASE)
# Reasons for which a job waits until somebody changes something; ends that are no fault of a run.
HOPELESS = re.compile(r"Partition(?!Down)\w+|BadConstraints|Invalid\S+|\w+NotAllowed|\w+Per(Job|Node)\w*|\w+Satisfied")
TAKEN_AWAY = re.compile(r"\((PREEMPTED|NODE_FAIL|BOOT_FAIL|TIMEOUT)\)|does not take the job back")
BEFORE, AFTER = re.split(r"# -+ the task\n", Path(__file__).with_name("slurm_job.sh").read_text())
SETUP_FAILED = "[ $? -eq 0 ] || {{ echo 'contrastbench: a setup line of the profile failed:' {} >&2; exit 1; }}"


class Executor(submitit.SlurmExecutor):
    """submitit's executor for one array, whose tasks find their work even if the front command dies."""

    def __init__(self, folder: Path, profile: Profile, tasks: int, variables: dict[str, str], *after: str) -> None:
        super().__init__(folder, python=profile.container or None)
        given = profile.sbatch
        setup = [text for line in given.get("setup", ()) for text in (line, SETUP_FAILED.format(shlex.quote(line)))]
        exports = [f"export {name}={shlex.quote(str(value))}" for name, value in variables.items()]
        waits_for = [":".join(["afterany", *after])] if after else []
        ours = {
            "job_name": slurm_queue.JOB_NAME,
            "nodes": profile.nodes_per_run,
            "ntasks_per_node": profile.gpus_per_run,
            "setup": [*setup, *exports, f"folder={shlex.quote(str(folder))} attempts={profile.attempts}", BEFORE],
            "teardown": ["code=$?", *given.get("teardown", ()), AFTER],
            "additional_parameters": {"requeue": True, **given.get("additional_parameters", {})},
            "dependency": ",".join([*waits_for, *filter(None, [given.get("dependency")])]) or None,
        }
        self.update_parameters(**{**given, **ours})
        self.parameters["map_count"] = tasks

    @classmethod
    def affinity(cls) -> int:
        return 2  # a dry run needs no Slurm

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["timeout", str(SBATCH_SECONDS), *super()._make_submission_command(submission_file_path)]

    def submit_task(self, task: Task) -> tuple[str, str]:
        """Submits the array. Returns its job's number, or an empty text and sbatch's words."""
        delayed = DelayedSubmission(task)
        delayed.set_timeout(task.profile.sbatch["time"], sys.maxsize)  # the task counts the limits that runs meet
        delayed.dump(self.folder / "task.pkl")
        try:
            with slurm_queue.outside_of_jobs(), contextlib.redirect_stderr(io.StringIO()):  # or it prints errors too
                return self._submit_command(self._submitit_command_str).job_id, ""
        except (FailedJobError, FailedSubmissionError) as error:
            return "", " ".join(str(error).split()) or f"sbatch gave no answer within {SBATCH_SECONDS} s"


def max_array_size() -> int:
    """The largest array that this cluster takes: MaxArraySize tasks, numbered from 0. None at all: no Slurm answers."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config") or "", re.MULTILINE)
    return int(found[1]) if found else 0


def dry_run(jobs: Sequence[Job], profile: Profile, runs_folder: Path) -> Iterator[str]:
    """The scripts as they would be submitted, but for the jobs that they would wait for. Nothing is written."""
    left, most = list(jobs), max_array_size() or 1001  # Slurm's own
    variables = {**pin_code(runs_folder / SNAPSHOTS, copy=False), **profile.variables}
    while left:
        tasks, left = next_tasks(left, profile.task_size, most)
        executor = Executor(runs_folder / SUBMISSIONS / "DRY-RUN", profile, len(tasks), variables)
        yield executor._make_submission_file_text(executor._submitit_command_str, "")


def launch(jobs: Sequence[Job], profile: Profile, runs_folder: Path, *, watch: Watch, detach: bool = False) -> Outcome:
    """Submits those of the jobs that nobody has queued, and follows all to their ends, unless it is to ``detach``."""
    front, began = Front(jobs, profile, runs_folder, watch), time.monotonic()
    front.fill()
    for job in front.left if detach else ():
        front.end(job, "not submitted", f"Slurm has no room for more now ({front.no_room})")
    while front.open and not detach:
        front.look()
        time.sleep(min(POLL_SECONDS, 1 + (time.monotonic() - began) / 10) if front.open else 0)
    return front.outcome


class Front:
    """What is known of each run of a launch: ``open`` are those that have not ended, ``left`` is still to submit."""

    def __init__(self, jobs: Sequence[Job], profile: Profile, runs_folder: Path, watch: Watch) -> None:
        self.profile, self.folder, self.watch = profile, runs_folder / SUBMISSIONS, watch
        self.open = {job.folder: job for job in jobs}
        self.left = list(self.open.values())
        self.outcome, self.no_room = Outcome(watch), ""
        self._most = self._size = max_array_size()  # tasks of an array, and of the next one
        if not self._most:
            raise ValueError("no Slurm answers here (`scontrol show config`); submit on a login node, or run locally")
        self._variables = {**pin_code(runs_folder / SNAPSHOTS), **profile.variables}
        self._places: dict[Path, str] = {}
        self._seen: set[tuple[Path, str]] = set()  # what is believed in two looks: Slurm and NFS may lag
        self._again: Counter[Path] = Counter()
        self.folder.mkdir(parents=True, exist_ok=True)

    def fill(self) -> None:
        """Submits what is left, until Slurm has no room. Two front commands do so one after the other."""
        with open(self.folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            queue = read_queue()
            told, self.no_room = still_queued(queue), "Slurm does not answer" if queue is None else ""
            self.left = [job for job in self.left if states.state_of(job.folder, told).name in ("new", "killed")]
            while self.left and queue is not None and not self.no_room:
                self._submit(queue)
        self._places |= {folder: place_of(folder) for folder in self.open.keys() - self._places.keys()}

    def _submit(self, queue: Queue) -> None:
        """Submits one array, which waits for the jobs that do what its runs need."""
        tasks, left = next_tasks(self.left, self.profile.task_size, self._size)
        folder = self.folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}"
        folder.mkdir()
        files.write_json(folder / "tasks.json", [[str(job.folder) for job in task] for task in tasks], sync=False)
        needs = {place_of(need) for task in tasks for job in task for need in job.needs}
        after = sorted({queue[place].job.partition("_")[0] for place in needs & queue.keys()})
        executor = Executor(folder, self.profile, len(tasks), self._variables, *after)
        for number, job in [(number, job) for number, task in enumerate(tasks) for job in task]:
            self._places[job.folder] = f"{folder}/{number}"
            states.mark_queued(job.folder, launcher="slurm", place=f"{folder}/{number}")
        array, words = executor.submit_task(Task(folder, self.profile))
        if array:
            queue |= {f"{folder}/{number}": QueuedTask(f"{array}_{number}", "", "") for number in range(len(tasks))}
            self.left, self._size = left, min(self._most, 2 * self._size)
            return
        if unsure := UNSURE.search(words):  # it may have taken the job: the marks say so at the next look
            self.no_room = words
        elif NO_ROOM.search(words):  # perhaps for fewer
            self._size, self.no_room = max(1, len(tasks) // 2), words if len(tasks) == 1 else ""
        else:
            self.left = left
            for job in (job for task in tasks for job in task):
                self.end(job, "not submitted", f"sbatch refused: {words}")
        if not unsure:
            shutil.rmtree(folder)

    def look(self) -> None:
        """Looks once at all open runs: one squeue, and no file of a run that waits. Submits what is left."""
        if (queue := read_queue()) is None:  # the controller is down or busy: nothing is concluded from that
            return
        left, hopeless, seen = {job.folder for job in self.left}, set(), self._seen
        self._seen = set()
        for folder, job in list(self.open.items()):
            task = queue.get(self._places[folder])
            if task and task.state == "PENDING":
                self._seen.add((folder, task.reason))
                self.watch(job, {"waits": task.reason})
                if HOPELESS.fullmatch(task.reason) and (folder, task.reason) in seen:
                    hopeless.add(task.job)
                    said = f"Slurm would never start it with profile {self.profile.name}: {task.reason}"
                    self.end(job, "will not start", said)
            elif folder in left:
                self.watch(job, {"waits": self.no_room})
            elif self._is_gone(job, queue):
                self._seen.add((folder, "gone"))
                if (folder, "gone") in seen:
                    self._look_after(job)
        if hopeless:  # else the next command would find them queued, and wait
            ask("scancel", *hopeless)
        if self.left:
            self.fill()

    def _is_gone(self, job: Job, queue: Queue) -> bool:
        """Whether the run is neither at work nor queued nor done; tells what it does."""
        state = states.state_of(job.folder, still_queued(queue))
        if state.name in states.FINISHED:
            self.end(job, state.name)
        elif state.name == "running" and state.claim:
            self.watch(job, {"line": files.object_or_empty(state.claim.heartbeat)})
        return state.name not in (*states.FINISHED, "running", "queued")

    def _look_after(self, job: Job) -> None:
        """A run that has left Slurm without a row is submitted again if that was no fault of its own."""
        ready = readiness(job)
        why = slurm_queue.why_it_ended(job.folder) if ready == "ready" else ready
        comes_later = ready == "waiting" and not self.open.keys().isdisjoint(job.needs)
        if (comes_later or TAKEN_AWAY.search(why)) and self._again[job.folder] < self.profile.attempts:
            self._again[job.folder] += 1
            self.left.append(job)
            self.watch(job, {"line": {}, "problem": "was taken away by Slurm, is submitted again"})
        else:
            self.end(job, "not done", why)

    def end(self, job: Job, status: str, problem: str = "") -> None:
        """Its row has that status; or there is none, because of a problem."""
        del self.open[job.folder]
        self.outcome.end(job, status, problem)


# ------------------------------------------------------------------------------ the code of a submission, pinned


def pin_code(folder: Path, *, copy: bool = True) -> dict[str, str]:
    """Copies the packages to ``folder/<sha256>``, so that editing the checkout does not change what queued jobs import.

    The same code is copied once; with ``copy=False`` nothing is written.

    Returns:
        What a job has in its environment: it imports the copy, names it in its rows, and has no network.
    """
    sources = _sources()
    contents = (f"{name}\0{hashlib.sha256(sources[name].read_bytes()).hexdigest()}\n" for name in sorted(sources))
    sha256 = hashlib.sha256("".join(contents).encode()).hexdigest()
    target = folder / sha256[:16]
    if copy and not target.exists():
        _copy(sources, target)
    return {
        **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
        **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),  # nobody listens there
        "CONTRASTBENCH_DOWNLOAD": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")])),
        "PYTHONSAFEPATH": "1",  # else the folder that a job starts in comes before the copy
        provenance.PINNED: json.dumps({**provenance.git(), "snapshot_sha256": sha256}),
    }


def _sources() -> dict[str, Path]:
    """Path inside the snapshot -> file, over every folder that the packages are spread over; the first wins."""
    found: dict[str, Path] = {}
    for package, root in [(name, root) for name in code_packages() for root in package_folders(name)]:
        for path in sorted(root.rglob("*")):
            name = f"{package}/{path.relative_to(root)}"
            if name.startswith("contrastbench/suite/"):
                continue  # a wheel's papers are packages of their own
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.split("/")):
                found.setdefault(name, path)
    return found


def _copy(sources: dict[str, Path], target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    for name, path in sources.items():
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, temporary / name)
    try:
        temporary.rename(target)
    except OSError:  # another command has just made it
        shutil.rmtree(temporary)
        if not target.exists():
            raise
