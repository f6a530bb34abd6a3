"""What the Slurm tests share: a cluster of their own, and a site on it to submit, watch and disturb toy runs."""

import contextlib
import fcntl
import os
import shutil
import signal
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
from contrastbench.runner.states import folder_of
from contrastbench.selection import select

sys.path.append(str(Path(__file__).parents[2] / "slurm"))  # no package: its scripts run with any Python
import one_machine  # noqa: E402

PATIENCE_SECONDS = 240  # a limit for what takes seconds on an idle machine; no test measures with it
MEMORY_LOCK = "/tmp/contrastbench-memory-groups.lock"  # Slurm names a job's memory group by node and number alone
PATHS = os.environ["PATH"] + ":/usr/sbin"
SBATCH = {"gpus_per_node": 1, "time": 120}
ONE_GPU = Profile("one_gpu", SBATCH, device="cpu")


@contextlib.contextmanager
def running_cluster(**options):
    """A cluster of its own, in this process's environment for as long as it runs."""
    options = one_machine.Options(**options)
    if reason := one_machine.why_not(options):
        pytest.skip(reason)
    folder = tempfile.mkdtemp(prefix="cluster", dir="/tmp")  # short: sockets live in it
    cluster = one_machine.Cluster(folder)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(cluster.conf)
    with open(MEMORY_LOCK, "w") as lock:
        if options.memory_limits:
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield cluster.start(options)
        finally:
            os.environ.pop("SLURM_CONF")
            if before:
                os.environ["SLURM_CONF"] = before
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)


def wait_until(condition, what, seconds=PATIENCE_SECONDS):
    """Waits for the condition; fails with ``what`` after ``seconds``."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"waited {seconds} s for: {what() if callable(what) else what}")
        time.sleep(0.1)


class Site:
    """The toy paper on the test cluster, with its own runs folder."""

    def __init__(self, cluster, runs_folder):
        self.cluster = cluster
        self.folder = runs_folder

    def plan(self, target, seeds=None, settings=None):
        cells = select(target, "quick", seeds, settings).cells()
        return plan(cells, self.folder, still_queued=slurm_queue.still_queued())

    def folders(self, target, seeds=None, settings=None):
        return [folder_of(each.run, self.folder) for each in self.plan(target, seeds, settings)]

    def jobs(self, target, seeds=None, settings=None):
        to_run = [each for each in self.plan(target, seeds, settings) if each.is_to_run]
        return write_tickets(to_run, self.folder)

    def submit(self, target, seeds=None, settings=None, profile=ONE_GPU):
        """Submits what is to do, as the front command does while it follows; returns what Slurm refused."""
        return self.submit_jobs(self.jobs(target, seeds, settings), profile)

    def submit_jobs(self, jobs, profile):
        """The same for jobs given. Waits for room: Slurm counts ended jobs in its queue for up to a minute more."""
        front = slurm.Front(jobs, profile, self.folder, lambda job, event: None)

        def all_in_the_queue():
            front.fill()
            return not front.left

        wait_until(all_in_the_queue, lambda: front.no_room)
        return front.outcome

    def launch(self, target, seeds=None, settings=None, profile=ONE_GPU, seen=None):
        """Submits and follows to the end; what a user would see of each run is put into the list ``seen``."""

        def watch(job, event):
            if seen is not None:
                seen.append(event)

        return slurm.launch(self.jobs(target, seeds, settings), profile, self.folder, watch=watch, poll_seconds=0.5)

    def states(self, *arguments):
        return [each.state.name for each in self.plan(*arguments)]

    def front(self, *arguments):
        """A front command of its own, as a user would type it."""
        command = [sys.executable, "-m", "contrastbench.cli", "--runs", str(self.folder), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def slurm_state(self, folder):
        return self.cluster.command("squeue", "-h", "-o", "%T", "-j", job_of_run(folder), check=False).strip()

    def wait_for_end(self, seconds=PATIENCE_SECONDS):
        """Waits until no job at all is queued, the user's own scripts included."""

        def squeue():
            return self.cluster.command("squeue", "--noheader")

        wait_until(lambda: not squeue(), squeue, seconds)


def queue_is_empty():
    queue = slurm_queue.read_queue()
    return queue is not None and len(queue) == 0


def job_of_run(folder):
    return slurm_queue.job_of(slurm_queue.mark_of(folder))


def worker_of(folder):
    """The process id of the worker that has the run, or None where nobody has."""
    claim = claims.latest(folder)
    return claim.owner["pid"] if claim and claim.is_alive() else None


def task_of(folder):
    """The task on the node that has this run: its worker's parent."""
    return psutil.Process(worker_of(folder)).ppid()


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def epochs_of(folder):
    """How many lines the run's curve has."""
    path = folder / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def undisturbed(site, tmp_path, monkeypatch, target, seeds, settings=None):
    """The results of the same runs, done one after another in this process without any fault; by key."""
    import benchmarks.toy.train

    monkeypatch.setattr(benchmarks.toy.train.time, "sleep", lambda seconds: None)
    quiet = Site(site.cluster, tmp_path / "undisturbed")
    for job in quiet.jobs(target, seeds, settings):
        assert execute(job.folder, Host()) == "done"
    monkeypatch.undo()
    return results(quiet.folder)


def results(runs_folder):
    """What must be equal bit for bit, of every row below the folder, by key."""
    return {path.parent.name: result_of(read_row(path)) for path in runs_folder.glob("*/*/row.json")}


def at_gate(folder, epochs):
    """Whether the run has done this many epochs and its worker waits there."""
    return epochs_of(folder) == epochs and worker_of(folder) is not None


def all_done(folders):
    return all(states.state_of(folder).name == "done" for folder in folders)
