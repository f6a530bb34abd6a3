"""The chains of runs that a data set's tables are made of: stages 1 and 2, and what is done with their artefacts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from benchmarks.novel_class_discovery.protocols import Protocol
from contrastbench.runner import Run

PAPER = "novel_class_discovery"
STAGES = ("pretrain", "supervise", "discover", "uno", "cluster", "estimate", "mean")
PROTOCOL_VERSIONS = dict.fromkeys(STAGES, 1)  # a stage's is raised when a change of code changes its results


@dataclass(frozen=True)
class Chains:
    """The runs of one data set at one scale, each with the runs that it needs."""

    dataset: str
    scale: str
    protocol: Protocol

    def run(self, stage: str, config: Any, method: str, needs: dict[str, Run] | None = None, **options: Any) -> Run:
        named = {"variant": "as_code", "protocol": self.protocol.label, "protocol_version": PROTOCOL_VERSIONS[stage]}
        return Run(
            PAPER, config, 0, self.scale, self.dataset, method, stage=stage, needs=needs or {}, **{**named, **options}
        )

    def pretrain(self) -> Run | None:
        config = self.protocol.pretrain
        return self.run("pretrain", config, "stage 1: RotNet") if config else None

    def supervise(self, *, from_nothing: bool = False) -> Run:
        config, first = self.protocol.supervise, self.pretrain()
        if from_nothing or first is None:
            config = dataclasses.replace(config, start="nothing", frozen=False)
            return self.run("supervise", config, "stage 2: supervised from nothing")
        return self.run("supervise", config, "stage 2: supervised", {"pretrain": first})

    def discover(self, method: str, *, needs: dict[str, Run] | None = None, variant: str = "as_code", **changes) -> Run:
        config = dataclasses.replace(self.protocol.discover, **changes)
        if config.hard_from_epoch > self.protocol.hard_from:
            config = dataclasses.replace(config, hard_from_epoch=self.protocol.hard_from)
        return self.run("discover", config, method, {"supervise": self.supervise(), **(needs or {})}, variant=variant)

    def uno(self) -> Run:
        return self.run("uno", self.protocol.uno, "UNO", {"supervise": self.supervise()})

    def cluster(self, source: str, features: Run | None = None) -> Run:
        config = dataclasses.replace(self.protocol.pixels, source="stage" if features else source)
        if features:
            config = dataclasses.replace(config, statistics=features.config.statistics)
        return self.run("cluster", config, f"k-means, {source}", {"features": features} if features else {})

    def estimate(self, method: str, features: Run) -> Run:
        config = dataclasses.replace(self.protocol.estimate, statistics=features.config.statistics)
        return self.run("estimate", config, method, {"features": features})
