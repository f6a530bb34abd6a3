"""Finds runs of every kind of every paper, for the tests that run their stages on other devices, and what they need."""

import functools
from collections.abc import Iterator
from typing import Any

from kinds import kind_of

from contrastbench import papers
from contrastbench.runner import Checkpoint, Log
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.studies import CPU_ONLY
from contrastbench.runner.vocabulary import Run
from contrastbench.selection import select


def runs_on_devices() -> list[Run]:
    """One run at smoke scale for each paper, stage and kind of config that a GPU may do; with those that it needs."""
    found: dict[tuple[Any, ...], Run] = {}
    for name in papers.names():
        if papers.paper(name).folder.parent != PROJECT / "benchmarks":
            continue  # the tests' own toy
        for _, cell in select(name, "smoke").cells():
            for run in _with_needs(cell.runs[0]):
                if papers.paper(name).device_of(run.stage, run.config) != CPU_ONLY:
                    found.setdefault(kind_of(run), run)
    return list(found.values())


def _with_needs(run: Run) -> Iterator[Run]:
    yield run
    for need in run.needs.values():
        yield from _with_needs(need)


def label(run: Run) -> str:
    return f"{run.paper}-{run.stage}-{run.method}".replace(" ", "_")


class Given(Checkpoint):
    """Hands over what the runs that a run needs keep; those are done on the CPU, now."""

    def __init__(self, run: Run, *args: Any) -> None:
        super().__init__(*args)
        self.given, self.kept = {name: _done(need) for name, need in run.needs.items()}, {}

    def keep(self, **parts: Any) -> None:
        self.kept = {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in parts.items()}

    def needed(self, name: str) -> dict[str, Any]:
        return self.given[name][0]

    def needed_metrics(self, name: str) -> dict[str, Any]:
        return self.given[name][1]


def do(run: Run, device: str, checkpoint: Checkpoint, log: Log | None = None) -> dict[str, Any]:
    """The metrics of the run, done by its stage's function."""
    function = papers.paper(run.paper).function_of(run.stage)
    return function(run.config, seed=0, device=device, checkpoint=checkpoint, log=log or Log())


@functools.cache
def _done(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    checkpoint = Given(run)
    metrics = do(run, "cpu", checkpoint)
    return checkpoint.kept, metrics
