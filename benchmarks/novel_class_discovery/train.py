"""The stages, found here by the runner: each trains or measures one thing and hands what it keeps to the next."""

from benchmarks.novel_class_discovery.cluster import cluster
from benchmarks.novel_class_discovery.discover import discover
from benchmarks.novel_class_discovery.estimate import estimate
from benchmarks.novel_class_discovery.mean import mean
from benchmarks.novel_class_discovery.stages import pretrain, supervise
from benchmarks.novel_class_discovery.uno import uno

__all__ = ["cluster", "discover", "estimate", "mean", "pretrain", "supervise", "uno"]
