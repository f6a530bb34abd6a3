"""Runs as Slurm arrays through submitit: submit, then follow for as long as one likes.

The front command may end at any time and be started again: all it knows is in the run folders. What is submitted lies
in a folder of its own below ``runs/.slurm``; that folder and the runs' marks are written before sbatch is called, so a
front command that dies meanwhile leaves no job that nobody knows. The jobs import a pinned copy of the code and find
the network switched off, so data must be here before anything is submitted.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import re
import shlex
import shutil
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError

from contrastbench.runner import files, states
from contrastbench.runner.launchers import Job, Outcome, Watch, in_order, readiness
from contrastbench.runner.launchers import slurm_queue as asked
from contrastbench.runner.launchers.slurm_queue import Place, Queue, QueuedTask, mark_of, place_of, read_queue
from contrastbench.runner.launchers.slurm_task import Task
from contrastbench.runner.profiles import Profile
from contrastbench.runner.snapshot import take_snapshot

SUBMISSIONS, SNAPSHOTS = ".slurm", ".snapshots"  # below the runs folder
POLL_SECONDS = 30.0  # squeue is asked this often, and more often in the first minutes
SBATCH_SECONDS = 10  # where the queue is full sbatch tries again by itself for two minutes; it is ended sooner
DEFAULT_ARRAY_SIZE = 1001  # Slurm's own MaxArraySize
NO_ROOM = re.compile(r"MaxSubmit|MaxJobCount|job queue full|temporarily un|maximum number of jobs", re.IGNORECASE)
UNSURE = re.compile(r"timed out|gave no answer|Unable to contact", re.IGNORECASE)  # it may have taken the job
# Reasons for which a job waits until somebody changes something, and ends that are no fault of a run.
HOPELESS = re.compile(
    r"Partition(TimeLimit|NodeLimit|Config|Inactive)|BadConstraints|Invalid(Account|QOS)\S*|(Account|QOS)NotAllowed"
    r"|QOSJobLimit|AccountingPolicy|DependencyNeverSatisfied|(QOS|Assoc)Max\w*Per(Job|Node)\w*|QOSMin\w+"
)
NOT_TAKEN_BACK = "told to go, and Slurm does not take the job back"
TAKEN_AWAY = re.compile(rf"\((PREEMPTED|NODE_FAIL|BOOT_FAIL|TIMEOUT)\)|{NOT_TAKEN_BACK}")
NETWORK_OFF = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
    **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),  # nobody listens there
    "CONTRASTBENCH_DOWNLOAD": "0",
}
WORKED = "[ $? -eq 0 ] || {{ echo 'contrastbench: a setup line of the profile failed:' {} >&2; exit 1; }}"
BEFORE = """\
trap : TERM # it announces a preemption; Slurm itself ends this shell
job="${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID" start="${{SLURM_RESTART_COUNT:-0}}"
echo "$SLURM_ARRAY_JOB_ID" > {folder}/job
[ -e {folder}/"$job"_submitted.pkl ] || cp {folder}/task.pkl {folder}/"$job"_submitted.pkl
kills() {{ grep -sc '^srun: error: .*Out Of Memory' {folder}/"$job"_0_log.err; }}
before=$(kills)"""
# A task that was told to go before it was ready, or whose processes were killed, is put back by its shell. One that
# Slurm no longer counts as running is not: a cancelled job stays cancelled.
AFTER = """\
[ "$(kills)" = "$before" ] || touch {folder}/"$job".out_of_memory."$start"
[ $code -eq 140 ] || [ $code -eq 143 ] || {{ [ $code -gt 128 ] && [ $start -lt {attempts} ]; }} || exit $code
squeue --noheader --jobs="$job" --format=%T | grep -qx RUNNING || exit $code
echo "contrastbench: back to the queue (exit code $code)" >&2
scontrol requeue "$job" || echo "contrastbench: {not_taken_back}" >&2
exit $code"""


class Executor(submitit.SlurmExecutor):
    """submitit's executor for one array, whose tasks find their work even if the front command dies.

    submitit moves a pickle for each task into place once sbatch has answered. Here one pickle, written before, serves
    all tasks, and each task's script puts it where submitit looks for it; after a requeue it is there already.

    Args:
        folder: where the script, the list of the tasks' runs and the logs are.
        after: the array jobs that must end first.
    """

    def __init__(
        self, folder: Path, profile: Profile, tasks: int, variables: dict[str, str], after: Iterable[str] = ()
    ) -> None:
        super().__init__(folder, python=profile.container or None)
        given, quoted = profile.sbatch, shlex.quote(str(folder))
        setup = [text for line in given.get("setup", ()) for text in (line, WORKED.format(shlex.quote(line)))]
        exports = [f"export {name}={shlex.quote(str(value))}" for name, value in variables.items()]
        teardown = AFTER.format(folder=quoted, attempts=profile.attempts, not_taken_back=NOT_TAKEN_BACK)
        cpus = [f"--cpus-per-task={given['cpus_per_task']}"] if "cpus_per_task" in given else []
        ours = {
            "job_name": asked.JOB_NAME,
            "nodes": profile.nodes_per_run,
            "ntasks_per_node": profile.gpus_per_run,
            "setup": [*setup, *exports, BEFORE.format(folder=quoted)],
            "teardown": ["code=$?", *given.get("teardown", ()), teardown],
            "srun_args": [*cpus, "--kill-on-bad-exit=1", *given.get("srun_args", ())],
            "additional_parameters": {"requeue": True, **given.get("additional_parameters", {})},
        }
        if before := [":".join(["afterany", *sorted(after)])] if after else []:
            ours["dependency"] = ",".join([*before, *filter(None, [given.get("dependency")])])
        self.update_parameters(**{**given, **ours})
        self.parameters["map_count"] = tasks

    @classmethod
    def affinity(cls) -> int:
        return 2  # a dry run needs no Slurm

    def script(self) -> str:
        return self._make_submission_file_text(self._submitit_command_str, "")

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["timeout", str(SBATCH_SECONDS), *super()._make_submission_command(submission_file_path)]

    def submit_task(self, task: Task) -> tuple[str, str]:
        """Submits the array. Returns its job's number, or an empty text and sbatch's words."""
        delayed = DelayedSubmission(task)
        delayed.set_timeout(task.profile.minutes, sys.maxsize)  # the task itself counts the limits that its runs meet
        delayed.dump(self.folder / "task.pkl")
        try:
            with asked.outside_of_jobs(), contextlib.redirect_stderr(io.StringIO()):  # else submitit prints it as well
                return self._submit_command(self._submitit_command_str).job_id, ""
        except (FailedJobError, FailedSubmissionError) as error:
            return "", " ".join(str(error).split()) or f"sbatch gave no answer within {SBATCH_SECONDS} s"


def max_array_size() -> int | None:
    """The largest array that this cluster takes: MaxArraySize tasks, numbered from 0; None if no Slurm answers."""
    config = asked.ask("scontrol", "show", "config")
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", config or "", re.MULTILINE)
    return None if config is None else max(1, int(found[1])) if found else DEFAULT_ARRAY_SIZE


def next_array(jobs: Sequence[Job], profile: Profile, most: int) -> list[list[Job]]:
    """The first tasks of those jobs that need none of the others."""
    folders, size = {job.folder for job in jobs}, max(profile.runs_per_task, len(profile.devices))
    first = [job for job in jobs if folders.isdisjoint(job.needs)]
    return [first[at : at + size] for at in range(0, len(first), size)][:most]


def without(jobs: Iterable[Job], tasks: Sequence[Sequence[Job]]) -> list[Job]:
    folders = {job.folder for task in tasks for job in task}
    return [job for job in jobs if job.folder not in folders]


def variables_of(profile: Profile, runs_folder: Path, *, copy: bool) -> dict[str, str]:
    """The environment of the tasks, with the copy of the code that they import."""
    return {**NETWORK_OFF, **take_snapshot(runs_folder / SNAPSHOTS, copy=copy).environment(), **profile.variables}


def dry_run(jobs: Sequence[Job], profile: Profile, runs_folder: Path) -> Iterator[str]:
    """The scripts as they would be submitted, but for the jobs that they would wait for. Nothing is written."""
    left, most = list(in_order(jobs)), max_array_size() or DEFAULT_ARRAY_SIZE
    variables = variables_of(profile, runs_folder, copy=False)
    while tasks := next_array(left, profile, most):
        yield Executor(runs_folder / SUBMISSIONS / "DRY-RUN", profile, len(tasks), variables).script()
        left = without(left, tasks)


def launch(
    jobs: Sequence[Job],
    profile: Profile,
    runs_folder: Path,
    *,
    watch: Watch,
    detach: bool = False,
    poll_seconds: float | None = None,
) -> Outcome:
    """Submits those of the jobs that nobody has queued yet, and follows all of them to their ends.

    Ctrl-C stops the following, not the jobs. With ``detach`` nothing is followed; what Slurm had no room for is in
    ``problems`` then.

    Raises:
        ValueError: there is no Slurm here, or no controller answers.
    """
    front, began = Front(jobs, profile, runs_folder, watch), time.monotonic()
    front.fill()
    for job in front.left if detach else ():
        front.end(job, "not submitted", f"Slurm has no room for more now ({front.no_room})")
    while front.open and not detach:
        front.look()
        if front.open:
            time.sleep(min(POLL_SECONDS, 1 + (time.monotonic() - began) / 10) if poll_seconds is None else poll_seconds)
    return front.outcome


class Front:
    """What is known of each run of a launch: ``open`` are those that have not ended, ``left`` is still to submit."""

    def __init__(self, jobs: Sequence[Job], profile: Profile, runs_folder: Path, watch: Watch) -> None:
        self.profile, self.runs_folder, self.watch = profile, runs_folder, watch
        self.open = {job.folder: job for job in in_order(jobs)}
        self.left = list(self.open.values())
        self.outcome, self.no_room = Outcome(), ""
        if not (most := max_array_size()):
            raise ValueError("no Slurm answers here (`scontrol show config`); submit on a login node, or run locally")
        self._most = self._size = most  # tasks of an array, and of the next one
        self._variables: dict[str, str] = {}
        self._places: dict[Path, Place] = {}
        self._seen: set[tuple[Path, str]] = set()  # what is believed in two looks: Slurm and NFS may lag
        self._again: Counter[Path] = Counter()

    def fill(self) -> None:
        """Submits what is left, until Slurm has no room. Two front commands do so one after the other."""
        self.no_room = ""
        (self.runs_folder / SUBMISSIONS).mkdir(parents=True, exist_ok=True)
        with open(self.runs_folder / SUBMISSIONS / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (queue := read_queue()) is None:
                self.no_room = "Slurm does not answer"
                return
            told = asked.still_queued(queue)
            self.left = [job for job in self.left if states.state_of(job.folder, told).name in ("new", "killed")]
            self._places |= {folder: place_of(mark_of(folder)) for folder in self.open.keys() - self._places.keys()}
            while self.left and not self.no_room:
                self._submit(next_array(self.left, self.profile, self._size), queue)

    def _submit(self, tasks: list[list[Job]], queue: Queue) -> None:
        """Submits one array, which waits for the jobs that do what its runs need."""
        folder = self.runs_folder / SUBMISSIONS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        files.write_json(folder / "tasks.json", [[str(job.folder) for job in task] for task in tasks], sync=False)
        self._variables = self._variables or variables_of(self.profile, self.runs_folder, copy=True)
        needs = {place_of(mark_of(need)) for task in tasks for job in task for need in job.needs}
        after = {queue[place].job.partition("_")[0] for place in needs & queue.keys()}
        executor = Executor(folder, self.profile, len(tasks), self._variables, after)
        for number, task in enumerate(tasks):
            for job in task:
                states.mark_queued(job.folder, launcher="slurm", submission=str(folder), task=number)
                self._places[job.folder] = str(folder), number
        array, words = executor.submit_task(Task(folder, self.profile))
        if array:
            files.write_text(folder / "job", array + "\n", sync=False)
            queue |= {(str(folder), number): QueuedTask(f"{array}_{number}", "", "") for number in range(len(tasks))}
            self._size = min(self._most, 2 * self._size)
            self.left = without(self.left, tasks)
        elif UNSURE.search(words):
            self.no_room = words  # the marks name the folder: the next look shows whether it was taken
        else:
            shutil.rmtree(folder)
            self._refused(tasks, words)

    def _refused(self, tasks: list[list[Job]], words: str) -> None:
        if not NO_ROOM.search(words):
            self.left = without(self.left, tasks)
            for job in (job for task in tasks for job in task):
                self.end(job, "not submitted", f"sbatch refused: {words}")
        elif len(tasks) > 1:  # there may be room for fewer
            self._size = len(tasks) // 2
        else:
            self.no_room = words

    def look(self) -> None:
        """Looks once at all open runs: one squeue, and no file of a run that waits. Submits what is left."""
        if (queue := read_queue()) is None:  # the controller is down or busy: nothing is concluded from that
            return
        left, gone, hopeless = {job.folder for job in self.left}, [], set()
        seen, self._seen = self._seen, set()
        for folder, job in list(self.open.items()):
            task = queue.get(self._places.get(folder, ("", -1)))
            if task and task.state == "PENDING":
                self.watch(job, {"waits": task.reason})
                if HOPELESS.fullmatch(task.reason):
                    self._seen.add((folder, task.reason))
                if (folder, task.reason) in seen:
                    hopeless.add(task.job)
                    said = f"Slurm would never start it with profile {self.profile.name}: {task.reason}"
                    self.end(job, "will not start", said)
            elif folder in left:
                self.watch(job, {"waits": self.no_room})
            elif self._is_gone(job, queue):
                self._seen.add((folder, "gone"))
                gone += [job] if (folder, "gone") in seen else []
        if hopeless:  # else the next command would find them queued, and wait
            asked.ask("scancel", *hopeless)
        for job in gone:
            self._look_after(job)
        if self.left:
            self.fill()

    def _is_gone(self, job: Job, queue: Queue) -> bool:
        """Whether the run is neither at work nor queued nor done; tells what it does."""
        state = states.state_of(job.folder, asked.still_queued(queue))
        if state.name in states.FINISHED:
            self.end(job, state.name)
        elif state.name == "running" and state.claim:
            with contextlib.suppress(OSError, ValueError):
                self.watch(job, {"line": files.read_object(state.claim.heartbeat)})
        return state.name not in (*states.FINISHED, "running", "queued")

    def _look_after(self, job: Job) -> None:
        """A run that has left Slurm without a row is submitted again if that was no fault of its own."""
        ready = readiness(job)
        why = asked.why_it_ended(job.folder) if ready == "ready" else ready
        comes_later = ready == "waiting" and not self.open.keys().isdisjoint(job.needs)
        if (comes_later or TAKEN_AWAY.search(why)) and self._again[job.folder] < self.profile.attempts:
            self._again[job.folder] += 1
            self.left = list(in_order([*self.left, job]))
            self.watch(job, {"line": {}, "problem": "was taken away by Slurm, is submitted again"})
        else:
            self.end(job, "not done", why)

    def end(self, job: Job, status: str, problem: str = "") -> None:
        """Its row has that status; or there is none, because of a problem."""
        del self.open[job.folder]
        (self.outcome.problems if problem else self.outcome.ended)[job.folder] = problem or status
        self.watch(job, {"status": status, **({"problem": problem} if problem else {})})
