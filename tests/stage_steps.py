"""Finds the training steps of every stage of every paper, for the tests that run them on other devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kinds import kind_of

from contrastbench import papers
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.studies import CPU_ONLY
from contrastbench.runner.vocabulary import Run
from contrastbench.selection import select
from contrastbench.training import TrainingStep

Steps = tuple[TrainingStep, Iterable[dict[str, Any]]]

CONVENTION = """
{paper} must say which training steps its stage {stage!r} takes, in benchmarks/{paper}/tables.py:

    Stage("train.{stage}", steps=("train.step_of_a_run",))

and in the module named there

    def step_of_a_run(config, device: str, seed: int = 0) -> tuple[TrainingStep, Iterable[dict]] | None:

Each function makes its modules with their initial weights on `device`, in training mode, and returns the step as
contrastbench.training has it and the inputs of its first epoch; None where this config trains nothing. `device` may be
"meta", where tensors have shapes and no values. A stage that takes no steps has (): an empty tuple. A stage that
computes on the CPU only says so instead: Stage("train.{stage}", CPU_ONLY).
"""


def runs_at_smoke_scale() -> list[Run]:
    """One run for each paper, stage and kind of config, with the runs that they need."""
    found: dict[tuple[Any, ...], Run] = {}
    for name in papers.names():
        if papers.paper(name).folder.parent != PROJECT / "benchmarks":
            continue  # the tests' own toy
        for _, cell in select(name, "smoke").cells():
            for run in _with_needs(cell.runs[0]):
                found.setdefault(kind_of(run), run)
    return list(found.values())


def _with_needs(run: Run) -> Iterator[Run]:
    yield run
    for need in run.needs.values():
        yield from _with_needs(need)


def label(run: Run) -> str:
    return f"{run.paper}-{run.stage}-{run.method}".replace(" ", "_")


def makers(run: Run) -> tuple[Callable[..., Steps | None], ...]:
    """The functions of the run's stage that make its steps; none where it computes on the CPU only.

    Raises:
        AssertionError: the paper does not say; the message tells how.
    """
    paper = papers.paper(run.paper)
    if paper.device_of(run.stage, run.config) == CPU_ONLY:
        return ()
    steps = paper.stage(run.stage).steps
    assert steps is not None, CONVENTION.format(paper=run.paper, stage=run.stage)
    return tuple(map(paper.load, steps))
