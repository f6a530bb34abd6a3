"""A paper of three stages: pre-train, discover under three splits, and take the mean over the splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.staged.config import Discover, Mean, Pretrain

from contrastbench.runner import Cell, Run, Table, seeded

PAPER = "staged"
TITLE = "A paper in three stages that never was"
TABLES = {
    "main": Table(title="Does the gain show in the mean over the splits?", baseline="Plain"),
    "splits": Table(title="And under each split?"),
    "shared": Table(title="And if all seeds share one pre-training?"),
}
SEEDS = range(2)
SPLITS = ("a", "b", "c")


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    if scale != "quick":
        return []
    seeds = SEEDS if seeds is None else seeds
    if table == "splits":
        runs = {split: discover(split, gain=0.0) for split in SPLITS}
        return [Cell("noise8", f"split {s}", "test_top1_percent", seeded(run, seeds)) for s, run in runs.items()]
    shared = ("pretrain",) if table == "shared" else ()
    return [
        Cell("noise8", method, "test_mean_percent", seeded(mean(method, gain), seeds, shared), {"gain": gain})
        for method, gain in (("Plain", 0.0), ("Better", 1.0))
    ]


def mean(method: str, gain: float) -> Run:
    return run(Mean(), method, "mean", {split: discover(split, gain) for split in SPLITS})


def discover(split: str, gain: float) -> Run:
    pretrain = run(Pretrain(), "Walk", "pretrain", {})
    return run(Discover(split=split, gain=gain), f"split {split}", "discover", {"pretrain": pretrain})


def run(config: Any, method: str, stage: str, needs: dict[str, Run]) -> Run:
    return Run(PAPER, config, 0, "quick", "noise8", method, stage=stage, needs=needs)
