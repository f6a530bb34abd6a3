"""Shows how far a launch is: a bar and a line for each run at work, or plain lines where the output is a file."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from contrastbench.runner.launchers import Job
from contrastbench.runner.states import FINISHED, UNFINISHED

SECONDS_BETWEEN_LINES = 15.0  # if the output is a file: a line this often, not one a run


class Display:
    """Follows a launch. Use as a context manager; ``watch`` is what launchers call."""

    def __init__(self, console: Console, total: int, seconds_between_lines: float = SECONDS_BETWEEN_LINES) -> None:
        self.console = console
        self.total = total
        self.seconds_between_lines = seconds_between_lines
        self.counts: Counter[str] = Counter()
        self._tasks: dict[Any, Any] = {}
        self._told: set[Any] = set()
        self._waiting: dict[Any, str] = {}  # why a run waits in a scheduler's queue
        self._last_line = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Display:
        self._progress.start()
        self._all = self._progress.add_task("all runs", total=self.total)
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def watch(self, job: Job, event: dict[str, Any]) -> None:
        if "status" in event:
            self._ended(job, event)
        elif "waits" in event:
            self._waiting[job.folder] = event["waits"]
        else:
            self._advanced(job, event)
        if not self.console.is_terminal and time.monotonic() - self._last_line > self.seconds_between_lines:
            self._last_line = time.monotonic()
            self.console.print(self._line(), highlight=False, soft_wrap=True)

    def _line(self) -> str:
        """``6/37 runs: 6 done; MUTAG InfoGraph seed 3 1a2b3c4d: epoch 120 of 200``."""
        ended = f"{self.counts.total()}/{self.total} runs: {counted(self.counts) if self.counts else 'none ended yet'}"
        at_work = [
            task.description
            + (f": {task.fields['unit']} {task.completed:.0f} of {task.total:.0f}" if task.total else "")
            for task in self._progress.tasks
            if task.id != self._all
        ]
        reasons = Counter(self._waiting.values()).most_common()
        waiting = [f"{count} wait ({reason})" for reason, count in reasons]
        return "; ".join([ended, *waiting, *at_work])

    def _advanced(self, job: Job, event: dict[str, Any]) -> None:
        self._waiting.pop(job.folder, None)
        line, epochs = event["line"], getattr(job.run.config, "epochs", None)
        if job.folder not in self._tasks:
            self._tasks[job.folder] = self._progress.add_task(_label(job), total=epochs, unit="epoch")
        task = self._tasks[job.folder]
        if "total" in line:
            self._progress.update(task, total=line["total"], unit=line["unit"].removesuffix("s"))
        if "epoch" in line:
            total = self._progress.tasks[self._progress.task_ids.index(task)].total
            done = min(line["epoch"] + 1, total or math.inf)  # one that logs epoch 0 before training has a line more
            self._progress.update(task, completed=done)
        for problem in filter(None, (line.get("note"), event.get("problem"))):
            if (job.folder, problem) not in self._told:  # a followed Slurm job repeats its latest line
                self._told.add((job.folder, problem))
                self.console.print(Text(f"{_label(job)}: {problem}", style="yellow"), soft_wrap=True)

    def _ended(self, job: Job, event: dict[str, Any]) -> None:
        self._waiting.pop(job.folder, None)
        self.counts[event["status"]] += 1
        self._progress.advance(self._all)
        if job.folder in self._tasks:
            self._progress.remove_task(self._tasks.pop(job.folder))
        told = (event["status"], event.get("problem", ""))
        if told in self._told:
            return
        if event["status"] == "not submitted":  # Slurm says the same of every run of a submission: once is enough
            self._told.add(told)
        if event["status"] not in ("done", "taken"):
            failed = Text.assemble((event["status"], "red"), f" {_label(job)}  {event.get('problem', '')}")
            self.console.print(failed, soft_wrap=True)


def _label(job: Job) -> str:
    return f"{job.run.paper} {job.run.dataset} {job.run.method} seed {job.run.seed} {job.run.key[:8]}"


def counted(states: Counter[str]) -> str:
    """``12 done, 1 failed``: the counts in a fixed order, empty ones left out."""
    known = [*FINISHED, *UNFINISHED]
    ordered = sorted(states, key=lambda name: known.index(name) if name in known else len(known))
    return ", ".join(f"{states[name]} {name}" for name in ordered if states[name]) or "no runs"
