"""What the Slurm tests share: a cluster of their own, and a site on it to submit, watch and disturb toy runs."""

import contextlib
import dataclasses
import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from contrastbench.runner import claims, states
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.launchers import slurm, slurm_queue
from contrastbench.runner.plan import plan, write_tickets
from contrastbench.runner.profiles import Profile
from contrastbench.runner.rows import read_row, result_of
from contrastbench.selection import select

sys.path.append(str(Path(__file__).parents[2] / "slurm"))  # no package: its scripts run with any Python
import one_machine  # noqa: E402

PATIENCE_SECONDS = 240  # a limit for what takes seconds on an idle machine; no test measures with it
MEMORY_LOCK = "/tmp/contrastbench-memory-groups.lock"  # Slurm names a job's memory group by node and number alone
ONE_GPU = Profile("one_gpu", {"gpus_per_node": 1, "time": 120}, device="cpu")


def asking(sbatch=(), **changes):
    """``ONE_GPU`` with other values, in its table [sbatch] too."""
    return dataclasses.replace(ONE_GPU, sbatch={**ONE_GPU.sbatch, **dict(sbatch)}, **changes)


@contextlib.contextmanager
def running_cluster(**options):
    """A cluster of its own, in this process's environment for as long as it runs."""
    options = one_machine.Options(**options)
    if reason := one_machine.why_not(options):
        pytest.skip(reason)
    cluster = one_machine.Cluster(tempfile.mkdtemp(prefix="cluster", dir="/tmp"))  # short: sockets live in it
    with open(MEMORY_LOCK, "w") as lock, pytest.MonkeyPatch.context() as patch:
        if options.memory_limits:
            fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("SLURM_CONF", str(cluster.conf))
        try:
            yield cluster.start(options)
        finally:
            cluster.stop()
            shutil.rmtree(cluster.folder, ignore_errors=True)


def wait_until(condition, what=""):
    """Waits for the condition and returns what it gave; fails with what ``what`` says after a long time."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (given := condition()):
        assert time.monotonic() < until, f"waited {PATIENCE_SECONDS} s for: {what() if callable(what) else what}"
        time.sleep(0.1)
    return given


class Site:
    """The toy paper on the test cluster, with its own runs folder."""

    def __init__(self, cluster, runs_folder):
        self.cluster, self.folder = cluster, runs_folder

    def plan(self, target, seeds=None, settings=None):
        cells = select(target, "quick", seeds, settings).cells()
        return plan(cells, self.folder, still_queued=slurm_queue.still_queued())

    def folders(self, *target):
        return [states.folder_of(each.run, self.folder) for each in self.plan(*target)]

    def states(self, *target):
        return [each.state.name for each in self.plan(*target)]

    def jobs(self, *target):
        return write_tickets([each for each in self.plan(*target) if each.is_to_run], self.folder)

    def submit(self, jobs, profile=ONE_GPU):
        """Submits as the front command does. Waits for room: Slurm counts an ended job for up to a minute more."""
        front = slurm.Front(jobs, profile, self.folder, lambda job, event: None)
        wait_until(lambda: front.fill() or not front.left, lambda: front.no_room)

    def launch(self, jobs, profile=ONE_GPU, seen=None):
        """Submits and follows to the end; what a user would see of each run is put into the list ``seen``."""
        seen = [] if seen is None else seen
        return slurm.launch(jobs, profile, self.folder, watch=lambda job, event: seen.append(event))

    def front(self, *arguments, profile=None, inside=()):
        """A front command of its own, as a user would type it, with the text of a profile; perhaps inside another."""
        mine = self.folder.parent / "mine.toml"
        if profile is not None:
            mine.write_text(f"{profile}\n")
            arguments = (*arguments, "--launcher", "slurm", "--profile", str(mine))
        command = [*inside, sys.executable, "-m", "contrastbench.cli", "--runs", str(self.folder), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def say(self, *arguments, **more):
        """What a front command printed, and its exit code."""
        front = self.front(*arguments, **more)
        return front.communicate(timeout=PATIENCE_SECONDS)[0], front.returncode

    def wait_for_end(self):
        wait_until(lambda: not self.squeue("%i"), self.describe_queue)

    def describe_queue(self):
        """The queue, what its jobs wrote, and what the controller wrote last."""
        logs = [path.read_text() for path in sorted(self.folder.glob(".slurm/*/*_log.*"))]
        return "\n".join([self.squeue("%i %T %r"), *logs, (self.cluster.folder / "slurmctld.log").read_text()[-4000:]])

    def squeue(self, shown, *folders):
        of = ["-j", ",".join(map(job_of, folders))] if folders else []
        return self.cluster.command("squeue", "-h", "-o", shown, *of, check=False).strip()


def preempt(cluster, node, gpus):
    more = (f"--nodelist={node}", f"--gres=gpu:{gpus}", "--output=/dev/null", "--wrap=sleep 1")
    cluster.command("sbatch", "--partition=urgent", *more)


def job_of(folder):
    """The run's job, as squeue names it while it waits or works, and its log afterwards."""
    task = (slurm_queue.read_queue() or {}).get(slurm_queue.place_of(folder))
    return task.job if task else slurm_queue.job_logs(folder)[0].name.partition("_0_log")[0]


def log_of(folder):
    return "".join(path.read_text() for path in slurm_queue.job_logs(folder))


def worker_of(folder):
    """The worker process that has the run, or None where nobody has; its parent is the task."""
    claim = claims.latest(folder)
    return psutil.Process(claim.owner["pid"]) if claim and claim.is_alive() else None


def curve_of(folder):
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def at_gate(folder, epochs=2):
    """Whether the run has done this many epochs and its worker waits there."""
    return len(curve_of(folder)) == epochs and worker_of(folder) is not None


def undisturbed(site, tmp_path, monkeypatch, *target):
    """The results of the same runs, done one after another in this process without any fault; by key."""
    import benchmarks.toy.train

    monkeypatch.setattr(benchmarks.toy.train.time, "sleep", lambda seconds: None)
    quiet = Site(site.cluster, tmp_path / "undisturbed")
    assert {execute(job.folder, Host()) for job in quiet.jobs(*target)} == {"done"}
    monkeypatch.undo()
    return results(quiet.folder)


def results(runs_folder):
    """What must be equal bit for bit, of every row below the folder, by key."""
    return {path.parent.name: result_of(read_row(path)) for path in runs_folder.glob("*/*/row.json")}


def row_of(folder):
    return read_row(folder / "row.json")
