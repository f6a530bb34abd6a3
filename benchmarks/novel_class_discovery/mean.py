"""The mean over runs: for ImageNet the papers print the mean over three subsets of its held-out classes."""

from __future__ import annotations

from benchmarks.novel_class_discovery.config import Mean
from contrastbench.runner import Checkpoint, Log

SUBSETS = ("A", "B", "C")


def mean(config: Mean, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Each metric's mean over the subsets' runs."""
    log.selected_by("nothing to select")
    rows = [checkpoint.needed_metrics(subset) for subset in SUBSETS]
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
