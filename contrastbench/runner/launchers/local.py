"""A queue on this machine: one run at a time per slot, warm workers, and no run that takes another down with it.

A slot is a CPU core (or a group of them) or a place on a GPU. Each slot has a worker process that does run after run;
when a worker dies, the run it had is known to be killed, a new worker takes its place and the run goes on from its
checkpoint, at most ``ATTEMPTS`` times in one launch.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from contrastbench.runner.devices import Host, cores, device_of, kills_for_memory, memory
from contrastbench.runner.execute import give_up
from contrastbench.runner.launchers import Job, Outcome, Watch, readiness, why_it_waits
from contrastbench.runner.states import forget_queued, mark_queued

ATTEMPTS = 3
FREE_MEMORY_PART = 0.1  # of the machine's or the job's memory; with less to spare only one run at a time goes on
STOP_SECONDS = 10.0  # time that an interrupted worker gets to reach its next epoch boundary


@dataclass(frozen=True)
class Slot:
    device: str = "cpu"  # "cpu" or "cuda:0"
    threads: int = 1


def slots_here(device: str, count: int | None, threads: int, runs_per_gpu: int) -> list[Slot]:
    """The machine's slots: on CPU as many as whole groups of ``threads`` cores, else ``runs_per_gpu`` per GPU."""
    if device == "cpu":
        return [Slot("cpu", threads)] * (count or max(1, cores() // threads))
    import torch

    gpus = [device] if ":" in device else [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if not torch.cuda.is_available():
        raise ValueError(f"device {device!r} was asked for and torch sees no GPU here; possible: cpu")
    slots = [Slot(gpu, threads) for _ in range(runs_per_gpu) for gpu in gpus]
    return slots[:count]


def place_jobs(
    jobs: Sequence[Job], device: str, count: int | None, threads: int, runs_per_gpu: int
) -> tuple[list[Job], list[Slot]]:
    """The jobs, each with the kind of slot that it fits, and this machine's slots of these kinds.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:0"; a job's stage may want the CPU all the same.
        count: slots of each kind at most; as many as fit where not given.
    """
    asked = [device_of(job.run.paper, job.run.stage, job.run.config, device) for job in jobs]
    slots = [
        slot
        for each in dict.fromkeys(asked)
        for slot in slots_here(each, count, threads, runs_per_gpu)[: asked.count(each)]
    ]
    kinds = [each.partition(":")[0] for each in asked]
    return [dataclasses.replace(job, device=kind) for job, kind in zip(jobs, kinds, strict=True)], slots


def memory_is_enough() -> bool:
    """Whether another run may begin: one that would exceed the memory there is may take its neighbours with it."""
    there = memory()
    return there.available > FREE_MEMORY_PART * there.total


def killed_for_memory() -> str:
    """What the row of a run says that the kernel killed for the memory it took."""
    allowed = memory().total / 1e9
    return f"killed by the kernel: the limit of {allowed:.1f} GB was reached; ask for more memory and retry"


def launch(
    jobs: Sequence[Job],
    slots: Sequence[Slot],
    *,
    watch: Watch,
    scheduler_job: str | None = None,
    one_at_a_time: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Does the jobs and returns what became of each. Ctrl-C saves the running ones and raises KeyboardInterrupt.

    Raises:
        OSError: the disk is full. No run is begun any more, and those at work have saved what they could.

    Args:
        jobs: runs with written tickets.
        slots: one worker each.
        watch: told of each line of a curve and of each end.
        scheduler_job: the Slurm job that this queue is inside of, if it is in one.
        one_at_a_time: no run has a neighbour, since together they took too much memory before.
        stopping: once it says True no run is begun and no lost worker replaced; what is at work may end.
    """
    queue = _Queue(list(jobs), watch, stopping, scheduler_job, one_at_a_time)
    for job in queue.waiting if not scheduler_job else ():
        mark_queued(job.folder, launcher="local")
    heard: SimpleQueue[_Heard] = SimpleQueue()
    workers = [_Worker(slot, scheduler_job) for slot in slots[: max(1, len(jobs))]]
    for worker in workers:
        worker.start(heard)
    try:
        queue.work(workers, heard)
    finally:
        for worker in workers:
            worker.ask_to_stop()
        until = time.monotonic() + STOP_SECONDS  # for all of them together
        for worker in workers:
            worker.wait(until)
        for job in (*queue.waiting, *(worker.job for worker in workers if worker.job)):
            forget_queued(job.folder)
    return queue.outcome


class _Worker:
    """One slot's process and the job it is at. What the process says comes in through ``heard``."""

    def __init__(self, slot: Slot, scheduler_job: str | None) -> None:
        self.slot = slot
        self.job: Job | None = None
        self.is_ending = False  # it takes no more jobs, and another process takes its place
        launcher = ["--launcher", "slurm", "--job", scheduler_job] if scheduler_job else ["--launcher", "local"]
        self._command = [sys.executable, "-m", "contrastbench.runner.worker", "--listen", *launcher]
        self._command += ["--device", slot.device, "--threads", str(slot.threads)]

    def start(self, heard: SimpleQueue[_Heard]) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(self.slot.threads))
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **threads}
        )
        self.is_ending = False
        threading.Thread(target=self._listen, args=(self.process, heard), daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes], heard: SimpleQueue[_Heard]) -> None:
        """Passes on each whole line, and None once the process has ended."""
        try:
            with process.stdout as lines:  # type: ignore[union-attr]
                for line in lines:
                    if line.endswith(b"\n"):
                        heard.put((self, json.loads(line)))
        finally:
            heard.put((self, None))

    def give(self, job: Job) -> None:
        self.job = job
        try:
            os.write(self.process.stdin.fileno(), f"{job.folder}\n".encode())  # type: ignore[union-attr]
        except BrokenPipeError:  # it died while idle; its end is heard next
            return

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            if self.job:
                self.process.terminate()
            self.process.stdin.close()  # type: ignore[union-attr]

    def wait(self, until: float) -> None:
        """Waits for the process to end, and kills it where it has not by ``until``."""
        try:
            self.process.wait(timeout=max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_Heard = tuple[_Worker, dict[str, Any] | None]  # a worker and a line that it said; None once its process has ended


@dataclass
class _Queue:
    """The jobs still to do, in order, and what is known of the others."""

    waiting: list[Job]
    watch: Watch
    stopping: Callable[[], bool]
    scheduler_job: str | None
    one_at_a_time: bool  # also from when a run is killed for the memory it took
    attempts: Counter[Path] = field(default_factory=Counter)
    outcome: Outcome = field(default_factory=Outcome)
    kills: int = field(default_factory=kills_for_memory)

    def work(self, workers: Sequence[_Worker], heard: SimpleQueue[_Heard]) -> None:
        """Keeps the workers at work until nothing is left to do or to wait for."""
        while self._feed(workers):
            worker, said = heard.get()
            if said is not None:
                self._hear(worker, said)
                continue
            worker.wait(time.monotonic() + STOP_SECONDS)
            self._lose(worker)
            if not self.stopping():
                worker.start(heard)

    def _feed(self, workers: Sequence[_Worker]) -> bool:
        """Gives each idle worker a job; False once nothing is left to do or to wait for."""
        for worker in workers:
            is_idle = worker.job is None and not worker.is_ending
            if is_idle and self._has_room(workers) and (job := self._next(worker.slot)):
                worker.give(job)
        is_busy = any(worker.job or worker.is_ending for worker in workers)
        if not is_busy and not self.stopping():
            for job in self.waiting:  # what they wait for is not in this launch
                self._give_up(job, why_it_waits(job))
            self.waiting.clear()
        return is_busy

    def _has_room(self, workers: Sequence[_Worker]) -> bool:
        if self.stopping() or not self.waiting:
            return False
        return not any(worker.job for worker in workers) or (not self.one_at_a_time and memory_is_enough())

    def _next(self, slot: Slot) -> Job | None:
        for job in list(self.waiting):
            if not slot.device.startswith(job.device):
                continue
            ready = readiness(job)
            if ready == "waiting":
                continue
            self.waiting.remove(job)
            if ready == "ready":
                return job
            self._give_up(job, ready)
        return None

    def _hear(self, worker: _Worker, said: dict[str, Any]) -> None:
        """A line of a curve, or how the run ended."""
        job = worker.job
        if job is None:
            return
        if "line" in said:
            self.watch(job, {"line": said["line"]})
            return
        worker.job = None
        if said["status"] == "disk full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.folder))
        if said["status"] == "unusable":
            worker.is_ending = True
            self._give_up(job, said["problem"])
        else:
            self._end(job, said["status"])

    def _lose(self, worker: _Worker) -> None:
        """The worker's process has ended: its run, if it had one, is tried again or given up."""
        worker.is_ending = False
        job, worker.job = worker.job, None
        if job is None:
            return
        self.attempts[job.folder] += 1
        if worker.process.poll() == -signal.SIGKILL and kills_for_memory() > self.kills:
            self.kills += 1
            self.one_at_a_time = True  # it may have been its neighbours' memory too
            message = killed_for_memory()
            launcher = "slurm" if self.scheduler_job else "local"
            host = Host(worker.slot.device, worker.slot.threads, launcher, self.scheduler_job)
            give_up(job.folder, host, "out_of_memory", message)
            self._end(job, "out_of_memory", problem=message)
        elif self.attempts[job.folder] < ATTEMPTS:
            self.watch(job, {"line": {}, "problem": f"worker died (exit {worker.process.poll()}), run resumes"})
            self.waiting.insert(0, job)
        else:
            self._give_up(job, f"its worker died {ATTEMPTS} times (see log.txt); run the command again to go on")

    def _end(self, job: Job, status: str, **more: str) -> None:
        self.outcome.ended[job.folder] = status
        self.watch(job, {"status": status, **more})

    def _give_up(self, job: Job, problem: str) -> None:
        forget_queued(job.folder)
        self.outcome.problems[job.folder] = problem
        self.watch(job, {"status": "not done", "problem": problem})
