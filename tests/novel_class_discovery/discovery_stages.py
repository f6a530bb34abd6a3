"""What the tests of novel class discovery share: stages in-process, artefacts handed over by hand, a tiny network."""

import dataclasses
from typing import Any

from benchmarks.novel_class_discovery.model import Network, network
from benchmarks.novel_class_discovery.protocols import SMOKE
from benchmarks.novel_class_discovery.tables import PAPER
from benchmarks.novel_class_discovery.task import Task
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log

TASK = {name: getattr(SMOKE.discover, name) for name in ("dataset", "known", "novel", "encoder", "views", "statistics")}
THREE_EPOCHS = {
    "pretrain": dataclasses.replace(SMOKE.pretrain, epochs=3),
    "supervise": dataclasses.replace(SMOKE.supervise, epochs=3),
    "discover": dataclasses.replace(SMOKE.discover, epochs=3, hard_from_epoch=1),
    "uno": dataclasses.replace(SMOKE.uno, epochs=3),
}


class Handed(Checkpoint):
    """A checkpoint that hands over artefacts and metrics without any folder of theirs."""

    def __init__(self, needs: dict[str, Any] | None = None, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.needs, self.kept = needs or {}, {}

    def needed(self, name: str) -> Any:
        return self.needs[name]

    def needed_metrics(self, name: str) -> Any:
        return self.needs[name]

    def keep(self, **parts: Any) -> None:
        self.kept = {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in parts.items()}


def result(stage: str, config: Any, checkpoint: Checkpoint | None = None, *, log: Log | None = None, **options: Any):
    given = {"seed": 0, "device": "cpu", "checkpoint": checkpoint or Handed(), "log": log or Log(), **options}
    return PAPER.load(PAPER.stage(stage).function)(config, **given)


def network_of(task: Task, clusters: int = 2) -> Network:
    heads = {"known": task.known, "novel": clusters}
    return network("small", channels=1, heads=heads, rng=generator(0, "weights"))
