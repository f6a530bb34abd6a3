"""The toy paper's tables: one per thing that the machinery is tested for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from benchmarks.toy.config import Config

from contrastbench.runner import Cell, Run, Table, seeded

PAPER = "toy"
TITLE = "A paper that never was"
PROTOCOL_VERSION = 1
TABLES = {
    "main": Table(title="Does the gain show?", rows="method", columns="dataset", baseline="Plain"),
    "faults": Table(title="Does each way of failing get its own word?"),
    "chain": Table(title="Is a run that is needed done first, and once?"),
    "many": Table(title="What does the machinery cost per run?"),
    "slow": Table(title="Does a disturbed run end as an undisturbed one?"),
}
SCALES = {
    "smoke": {"epochs": 1},
    "quick": {},
}
SEEDS = {"many": range(int(os.environ.get("TOY_MANY", "1000"))), "slow": range(4)}


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The cells of one table; none for a scale that the toy does not have."""
    if scale not in SCALES:
        return []
    seeds = tuple(SEEDS.get(table, range(3)) if seeds is None else seeds)
    return {"main": main, "faults": faults, "chain": chain, "many": many, "slow": slow}[table](scale, seeds)


def main(scale: str, seeds: Sequence[int]) -> list[Cell]:
    return [
        cell(dataset, method, Config(size=size, gain=gain), scale, seeds)
        for dataset, size in (("Noise8", 8), ("Noise16", 16))
        for method, gain in (("Plain", 0.0), ("Better", 1.0))
    ]


def faults(scale: str, seeds: Sequence[int]) -> list[Cell]:
    fine = [cell("Noise8", "Fine", Config(size=4), scale, seeds)]
    return fine + [
        cell("Noise8", method, Config(size=4, fail_at=0, failure=failure), scale, seeds)
        for method, failure in (("Raises", "error"), ("Diverges", "nan"), ("Grows", "memory"))
    ]


def chain(scale: str, seeds: Sequence[int]) -> list[Cell]:
    """Two cells that share their first stage, which is in no cell itself."""
    cells = []
    for method, gain in (("Plain", 0.0), ("Better", 1.0)):
        walk = run("Noise8", "Walk", Config(epochs=2), scale, 0)
        probe = Run(PAPER, Config(gain=gain), 0, scale, "Noise8", method, stage="probe", needs={"walk": walk})
        cells.append(Cell("Noise8", method, "test_probe_percent", seeded(probe, seeds), {"gain": gain}))
    return cells


def many(scale: str, seeds: Sequence[int]) -> list[Cell]:
    return [cell("Noise8", "Short", Config(epochs=1, size=2, checkpoint_seconds=60.0), scale, seeds)]


def slow(scale: str, seeds: Sequence[int]) -> list[Cell]:
    return [cell("Noise8", "Slow", Config(epochs=24, seconds_per_epoch=0.25), scale, seeds)]


def cell(dataset: str, method: str, config: Config, scale: str, seeds: Sequence[int]) -> Cell:
    first = run(dataset, method, config, scale, 0)
    return Cell(dataset, method, "test_top1_percent", seeded(first, seeds), {"gain": config.gain})


def run(dataset: str, method: str, config: Config, scale: str, seed: int) -> Run:
    config = dataclasses.replace(config, **SCALES[scale])
    return Run(PAPER, config, seed, scale, dataset, method, protocol_version=PROTOCOL_VERSION)
