"""The toy paper's tables: one per thing that the machinery is tested for."""

import dataclasses
import os
from typing import Any

from benchmarks.toy.config import Config

from contrastbench.runner import Line, On, Paper, Run, Stage, Study

PROTOCOL_VERSION = 1


def places(*datasets: str, seeds: int = 3) -> dict[str, list[On]]:
    """At smoke scale one epoch."""
    return {
        "smoke": [On(name, {"epochs": 1}, seeds) for name in datasets],
        "quick": [On(name, {}, seeds) for name in datasets],
    }


def run(on: On, method: str, config: Config, **more: Any) -> Run:
    config = dataclasses.replace(config, **on.base)
    return Run("toy", config, 0, on.scale, on.dataset, method, protocol_version=PROTOCOL_VERSION, **more)


def line(on: On, method: str, config: Config) -> Line:
    return Line(run(on, method, config), {"gain": config.gain})


def main(on: On) -> list[Line]:
    size = int(on.dataset.removeprefix("Noise"))
    return [line(on, method, Config(size=size, gain=gain)) for method, gain in (("Plain", 0.0), ("Better", 1.0))]


def faults(on: On) -> list[Line]:
    kinds = (("Raises", "error"), ("Diverges", "nan"), ("Grows", "memory"))
    broken = [line(on, method, Config(size=4, fail_at=0, failure=failure)) for method, failure in kinds]
    return [line(on, "Fine", Config(size=4)), *broken]


def chain(on: On) -> list[Line]:
    """Two cells that share their first stage, which is in no cell itself. Only it is shortened by the scale."""
    lines = []
    for method, gain in (("Plain", 0.0), ("Better", 1.0)):
        walk = run(on, "Walk", Config(epochs=2))
        probe = Run("toy", Config(gain=gain), 0, on.scale, on.dataset, method, stage="probe", needs={"walk": walk})
        lines.append(Line(probe, {"gain": gain}))
    return lines


def many(on: On) -> list[Line]:
    return [line(on, "Short", Config(epochs=1, size=2, checkpoint_seconds=60.0))]


def slow(on: On) -> list[Line]:
    return [line(on, "Slow", Config(epochs=24, seconds_per_epoch=0.25))]


TOP1, MANY = ["test_top1_percent"], int(os.environ.get("TOY_MANY", "1000"))
PAPER = Paper(
    __package__,
    "A paper that never was",
    [
        Study("main", "Does the gain show?", main, places("Noise8", "Noise16"), TOP1, "Plain"),
        Study("faults", "Does each way of failing get its own word?", faults, places("Noise8"), TOP1),
        Study(
            "chain", "Is a run that is needed done first, and once?", chain, places("Noise8"), ["test_probe_percent"]
        ),
        Study("many", "What does the machinery cost per run?", many, places("Noise8", seeds=MANY), TOP1),
        Study("slow", "Does a disturbed run end as an undisturbed one?", slow, places("Noise8", seeds=4), TOP1),
    ],
    stages={name: Stage(f"train.{name}") for name in ("train", "probe")},
    versions={},
)
