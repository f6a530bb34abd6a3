"""Shows on the terminal how far runs are, what is planned, and what it costs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as Grid
from rich.text import Text

from contrastbench.runner.launchers import Job
from contrastbench.runner.plan import Planned, Price, Slots
from contrastbench.runner.states import FAILURES, FINISHED, UNFINISHED

SECONDS_BETWEEN_LINES = 15.0  # if the output is a file: a line this often, not one a run
COLOURS = {"done": "green", "running": "cyan", "queued": "cyan", "killed": "yellow", "lost": "yellow", "new": "dim"}


class Display:
    """Follows a launch: a bar for all runs and the latest line of each that is at work; plain lines in a file.

    Use as a context manager; ``watch`` is what launchers call.
    """

    def __init__(self, console: Console, total: int, seconds_between_lines: float | None = None) -> None:
        self.console = console
        self.total = total
        self.seconds_between_lines = SECONDS_BETWEEN_LINES if seconds_between_lines is None else seconds_between_lines
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


def counted(states: Counter[str] | dict[str, int]) -> str:
    """``12 done, 1 failed``: the counts in a fixed order, empty ones left out."""
    known = [*FINISHED, *UNFINISHED]
    ordered = sorted(states, key=lambda name: known.index(name) if name in known else len(known))
    return ", ".join(f"{states[name]} {name}" for name in ordered if states[name]) or "no runs"


WIDE_ENOUGH = 100  # characters; in a narrower terminal the last line alone says the device hours


def plan_grid(planned: Iterable[Planned], costs: dict[str, float | None], slots: Slots, width: int = 160) -> Grid:
    """A line per cell: how many of its runs are done, shipped, failed and to run, and what the last would cost.

    If the cells would fill more than a screen, a line per table. Columns that count nothing are left out, so that a
    plan fits 80 characters.
    """
    tables = _by_table_and_cell(planned)
    if has_many_cells(planned):
        tables = {"": {heading: _together(cells.values()) for heading, cells in tables.items()}}
    everything = [_plan_counts(runs.values()) for cells in tables.values() for runs in cells.values()]
    shown = [name for name in PLAN_COUNTS if any(counts[name] for counts in everything)]
    hours = [f"{slots.unit} hours"] if width >= WIDE_ENOUGH else []
    grid = Grid(box=None, padding=(0, 2, 0, 0))
    for column in ("table" if "" in tables else "cell", *shown, *hours, "wall time"):
        grid.add_column(column, justify="left" if column in ("table", "cell") else "right", overflow="fold")
    for heading, cells in tables.items():
        if heading:
            grid.add_row(Text(heading, "bold"))
        for name, runs in cells.items():
            counts = _plan_counts(runs.values())
            spent = cost_of([each for each in runs.values() if each.is_to_run], costs, slots)
            numbers = (str(counts[column] or "") for column in shown)
            grid.add_row(f"  {name}" if heading else name, *numbers, *spent[:1] * len(hours), spent[1])
    return grid


def layout_for(width: int) -> str:
    """The layout of a table for a terminal; in a narrow one a cell's numbers stand in lines below each other."""
    return "auto" if width >= WIDE_ENOUGH else "grid"


MOST_CELLS = 60  # more than these a plan does not show one by one


def has_many_cells(planned: Iterable[Planned]) -> bool:
    return sum(len(cells) for cells in _by_table_and_cell(planned).values()) > MOST_CELLS


def _together(cells: Iterable[dict[str, Planned]]) -> dict[str, Planned]:
    return {key: each for runs in cells for key, each in runs.items()}


def _by_table_and_cell(planned: Iterable[Planned]) -> dict[str, dict[str, dict[str, Planned]]]:
    """Table -> cell -> runs by key; a run that only others need stands under its stage."""
    tables: dict[str, dict[str, dict[str, Planned]]] = {}
    for each in planned:
        for table, name in each.places:
            heading = f"{each.run.paper}/{table}, {each.run.scale} scale"
            tables.setdefault(heading, {}).setdefault(name, {})[each.run.key] = each
    return tables


PLAN_COUNTS = ("done", "shipped", "failed", "running", "to run")


def _plan_counts(runs: Iterable[Planned]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in runs:
        counts["shipped"] += each.shipped
        counts["to run"] += each.is_to_run
        counts["done"] += each.state.name == "done"
        counts["failed"] += each.state.name in FAILURES
        counts["running"] += each.state.name in ("running", "queued")
    return counts


def cost_of(to_run: Iterable[Planned], costs: dict[str, float | None], slots: Slots) -> tuple[str, str]:
    """Device hours and wall time of the runs, with a ``?`` if some run's cost is unknown."""
    seconds = [costs.get(each.run.key) for each in to_run]
    if not seconds:
        return "", ""
    known = [value for value in seconds if value is not None]
    if not known:
        return "?", "?"
    more = " + ?" if len(known) < len(seconds) else ""
    return f"{slots.device_hours(known):.2f}{more}", f"{duration(slots.wall_hours(known))}{more}"


def priced_by(prices: Iterable[Price | None]) -> str:
    """``costs are those of 28 runs measured on NVIDIA H100 80GB HBM3``: which devices the prices come from."""
    devices = Counter(price.device for price in prices if price)
    said = [
        f"{count} {'run is' if count == 1 else 'runs are'} priced by rows from {name}"
        for name, count in devices.items()
    ]
    return "; ".join(said) or "no run is priced by rows of a GPU"


def duration(hours: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h`` or ``2.1 d``."""
    for size, unit in ((24, "d"), (1, "h")):
        if hours >= 2 * size:
            return f"{hours / size:.1f} {unit}"
    return f"{60 * hours:.0f} min" if hours >= 2 / 60 else f"{3600 * hours:.0f} s"
