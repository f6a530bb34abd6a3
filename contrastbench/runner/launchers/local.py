"""A queue on this machine: one run at a time per slot, warm workers, and no run that takes another down with it.

A slot is a CPU core (or a group of them) or a place on a GPU, written as the ``Host`` that its runs have. Each has a
worker process that does run after run; when a worker dies, the run it had is known to be killed, a new worker takes its
place and the run goes on from its checkpoint, at most ``ATTEMPTS`` times in one launch.
"""

import contextlib
import dataclasses
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

from contrastbench.runner.devices import Host, cores, device_of, gpu_count, kills_for_memory, memory
from contrastbench.runner.execute import give_up
from contrastbench.runner.launchers import Job, Outcome, Watch, readiness, why_it_waits
from contrastbench.runner.states import forget_queued, mark_queued
from contrastbench.runner.worker import SPAWN, end, serve

ATTEMPTS = 3
FREE_MEMORY_PART = 0.1  # of the machine's or the job's memory; with less to spare only one run at a time goes on
STOP_SECONDS = 10.0  # time that an interrupted worker gets to reach its next epoch boundary


def place_jobs(
    jobs: Sequence[Job], device: str, count: int | None, threads: int, runs_per_gpu: int
) -> tuple[list[Job], list[Host]]:
    """The jobs, each with the kind of slot that it fits, and this machine's slots of these kinds.

    On CPU these are as many as whole groups of ``threads`` cores, else ``runs_per_gpu`` per GPU.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:0"; a job's stage may want the CPU all the same.
        count: slots of each kind at most; as many as fit where not given.
    """
    asked = [device_of(job.run.paper, job.run.stage, job.run.config, device) for job in jobs]
    slots: list[Host] = []
    for each in dict.fromkeys(asked):
        gpus = [each] if ":" in each else [f"cuda:{index}" for index in range(gpu_count())]
        there = ["cpu"] * (count or max(1, cores() // threads)) if each == "cpu" else (gpus * runs_per_gpu)[:count]
        slots += [Host(place, threads, "local") for place in there[: asked.count(each)]]
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
    slots: Sequence[Host],
    *,
    watch: Watch,
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
        one_at_a_time: no run has a neighbour, since together they took too much memory before.
        stopping: once it says True no run is begun and no lost worker replaced; what is at work may end.
    """
    workers: list[_Worker] = []
    queue = _Queue(list(jobs), workers, Outcome(watch), stopping, one_at_a_time)
    try:
        for job in jobs if any(slot.launcher == "local" for slot in slots) else ():  # else a scheduler's mark is there
            mark_queued(job.folder, launcher="local")
        for slot in slots[: len(jobs)]:
            workers.append(_Worker(slot))
        while queue.feed():
            ready = connection.wait([each.pipe for each in workers])
            for each in [each for each in workers if each.pipe in ready]:
                queue.hear(each)
    finally:
        for each in workers:
            each.ask_to_stop()
        end([each.process for each in workers], STOP_SECONDS)
        for job in (*queue.waiting, *(each.job for each in workers if each.job)):
            forget_queued(job.folder)
    return queue.outcome


class _Worker:
    """One slot's process and the job it is at."""

    def __init__(self, slot: Host) -> None:
        self.slot = slot
        self.job: Job | None = None
        self.start()

    def start(self) -> None:
        self.pipe, others_end = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(others_end, self.slot))
        self.process.start()
        others_end.close()  # then the pipe ends with the process

    def give(self, job: Job) -> None:
        self.job = job
        with contextlib.suppress(ConnectionError):  # it died while idle; its end is heard next
            self.pipe.send(job.folder)

    def ask_to_stop(self) -> None:
        if self.job:
            self.process.terminate()
        self.pipe.close()


@dataclass
class _Queue:
    """The jobs still to do, in order, and what is known of the others."""

    waiting: list[Job]
    workers: list[_Worker]
    outcome: Outcome
    stopping: Callable[[], bool]
    one_at_a_time: bool  # also from when a run is killed for the memory it took
    attempts: Counter[Path] = field(default_factory=Counter)
    kills: int = field(default_factory=kills_for_memory)

    def feed(self) -> bool:
        """Gives each idle worker a job; False once nothing is left to do or to wait for."""
        for each in self.workers:
            if each.job is None and self._has_room() and (job := self._next(each.slot.device)):
                each.give(job)
        is_busy = any(each.job for each in self.workers)
        if not is_busy and not self.stopping():
            for job in self.waiting:  # what they wait for is not in this launch
                self._end(job, "not done", why_it_waits(job))
            self.waiting.clear()
        return is_busy

    def _has_room(self) -> bool:
        if self.stopping() or not self.waiting:
            return False
        return not any(each.job for each in self.workers) or (not self.one_at_a_time and memory_is_enough())

    def _next(self, device: str) -> Job | None:
        for job in [job for job in self.waiting if device.startswith(job.device)]:
            if (ready := readiness(job)) != "waiting":
                self.waiting.remove(job)
                if ready == "ready":
                    return job
                self._end(job, "not done", ready)
        return None

    def hear(self, worker: _Worker) -> None:
        """Takes an event from a worker: a line of a curve, how the run ended, or that its process has ended."""
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker)
            return
        if isinstance(event, OSError):  # the disk is full
            raise event
        if (job := worker.job) and "line" in event:
            self.outcome.watch(job, event)
        elif job:
            worker.job = None
            self._end(job, **event)
            if event["status"] == "not done":  # what it claimed counts as at work for as long as its process lives
                worker.pipe.close()
                end([worker.process], STOP_SECONDS)
                worker.start()

    def _lose(self, worker: _Worker) -> None:
        """The worker's process has ended: its run, if it had one, is tried again or given up."""
        end([worker.process], STOP_SECONDS)
        job, worker.job = worker.job, None
        if job:
            self._try_again(job, worker)
        if self.stopping():
            self.workers.remove(worker)
        else:
            worker.start()

    def _try_again(self, job: Job, worker: _Worker) -> None:
        self.attempts[job.folder] += 1
        if worker.process.exitcode == -signal.SIGKILL and kills_for_memory() > self.kills:
            self.kills += 1
            self.one_at_a_time = True  # it may have been its neighbours' memory too
            give_up(job.folder, worker.slot, "out_of_memory", killed_for_memory())
            self._end(job, "out_of_memory")
        elif self.attempts[job.folder] < ATTEMPTS:
            died = f"worker died (exit {worker.process.exitcode}), run resumes"
            self.outcome.watch(job, {"line": {}, "problem": died})
            self.waiting.insert(0, job)
        else:
            died = f"its worker died {ATTEMPTS} times (see log.txt); run the command again to go on"
            self._end(job, "not done", died)

    def _end(self, job: Job, status: str, problem: str = "") -> None:
        forget_queued(job.folder)
        self.outcome.end(job, status, problem)
