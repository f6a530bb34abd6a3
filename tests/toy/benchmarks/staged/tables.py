"""A paper of three stages: pre-train, discover under three splits, and take the mean over the splits."""

from typing import Any

from benchmarks.staged.config import Discover, Mean, Pretrain

from contrastbench.runner import Line, On, Paper, Run, Stage, Study

SPLITS = ("a", "b", "c")
QUICK = {"quick": [On("noise8", None, seeds=2)]}


def run(config: Any, method: str, stage: str, needs: dict[str, Run], shared: tuple[str, ...] = ()) -> Run:
    return Run("staged", config, 0, "quick", "noise8", method, stage=stage, needs=needs, shared=shared)


def discover(split: str, gain: float) -> Run:
    pretrain = run(Pretrain(), "Walk", "pretrain", {})
    return run(Discover(split=split, gain=gain), f"split {split}", "discover", {"pretrain": pretrain})


def splits(on: On) -> list[Line]:
    return [Line(discover(split, gain=0.0)) for split in SPLITS]


def means(*shared: str):
    def lines(on: On) -> list[Line]:
        return [
            Line(run(Mean(), method, "mean", {s: discover(s, gain) for s in SPLITS}, shared), {"gain": gain})
            for method, gain in (("Plain", 0.0), ("Better", 1.0))
        ]

    return lines


PAPER = Paper(
    __package__,
    "A paper in three stages that never was",
    [
        Study(
            "main", "Does the gain show in the mean over the splits?", means(), QUICK, ["test_mean_percent"], "Plain"
        ),
        Study("splits", "And under each split?", splits, QUICK, ["test_top1_percent"]),
        Study("shared", "And if all seeds share one pre-training?", means("pretrain"), QUICK, ["test_mean_percent"]),
    ],
    stages={name: Stage(f"train.{name}") for name in ("pretrain", "discover", "mean")},
    versions={},
)
