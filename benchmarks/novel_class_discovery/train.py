"""The stages, found here by the runner: each trains or measures one thing and hands what it keeps to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from benchmarks.novel_class_discovery.cluster import cluster
from benchmarks.novel_class_discovery.config import Discover, Pretrain, Supervise, Uno
from benchmarks.novel_class_discovery.discover import counted, discover, discovering
from benchmarks.novel_class_discovery.estimate import estimate
from benchmarks.novel_class_discovery.mean import mean
from benchmarks.novel_class_discovery.queues import Memory
from benchmarks.novel_class_discovery.stages import Training, built, pretrain, pretraining, supervise, supervising
from benchmarks.novel_class_discovery.task import load_task
from benchmarks.novel_class_discovery.uno import classifying, uno
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep

__all__ = ["cluster", "discover", "estimate", "mean", "pretrain", "supervise", "uno"]
Steps = tuple[TrainingStep, Iterable[dict[str, Any]]]


def pretraining_step(config: Pretrain, device: str, seed: int = 0) -> Steps:
    task = load_task(config, device, Log())
    return _first_epoch(pretraining(config, task, built(config, task, {"rotation": 4}, seed, device), seed, device))


def supervising_step(config: Supervise, device: str, seed: int = 0) -> Steps:
    task = load_task(config, device, Log())
    model = built(config, task, {"known": task.known, "novel": task.novel}, seed, device)
    return _first_epoch(supervising(config, task, model, seed, device))


def discovering_step(config: Discover, device: str, seed: int = 0) -> Steps:
    """A step with all losses that the run ever has: those of its last epoch."""
    task = load_task(config, device, Log())
    config = counted(dataclasses.replace(config, clusters=max(config.clusters, 0)), task, Checkpoint())
    model = built(config, task, {"known": task.known, "novel": config.clusters}, seed, device)
    memory = Memory(config, model.width, seed).to(device)
    return _first_epoch(discovering(config, task, model, memory, seed, device), config.epochs - 1)


def classifying_step(config: Uno, device: str, seed: int = 0) -> Steps:
    task = load_task(config, device, Log())
    model = built(config, task, {"known": task.known, "novel": task.novel}, seed, device)
    return _first_epoch(classifying(config, task, model, seed, device))


def _first_epoch(training: Training, epoch: int = 0) -> Steps:
    training.model.train()
    return training.step, training.inputs(epoch)


# What the tests take single steps with, by stage; stages without training take none.
TRAINING_STEPS = {
    "pretrain": (pretraining_step,),
    "supervise": (supervising_step,),
    "discover": (discovering_step,),
    "uno": (classifying_step,),
    "cluster": (),
    "estimate": (),
    "mean": (),
}
