"""Trains nothing: a deterministic walk with every trait of a real run that the machinery must handle."""

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from benchmarks.toy.config import Config
from torch import Tensor

from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log


def train(
    config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> dict[str, float | list[float]]:
    """Walks ``config.epochs`` steps; each depends on all before, so a resume that loses one shows in the score."""
    checkpoint.every_seconds = config.checkpoint_seconds
    log.data("toy_noise", "0" * 64)
    if config.folds:
        return train_folds(config, log)
    state = torch.randn(config.size, generator=generator(seed, "weights"))
    curve: list[float] = []
    start = checkpoint.restore(state=state, curve=curve)
    for epoch in range(start, config.epochs):
        if epoch == config.fail_at and not (config.fail_unless and Path(config.fail_unless).exists()):
            go_wrong(config.failure, epoch)
        while config.gate and epoch == config.epochs // 2 and not Path(config.gate).exists():
            checkpoint.save(epoch, state=state, curve=curve)
            time.sleep(0.1)
        time.sleep(config.seconds_per_epoch)
        draw = torch.randn(config.size, generator=generator(seed, "order", epoch))
        state.copy_(torch.tanh(0.9 * state + 0.3 * draw))
        curve.append(state.square().mean().item())
        log(epoch, loss=curve[-1], at=time.time(), **whereabouts())
        checkpoint.save(epoch + 1, state=state, curve=curve)
    checkpoint.keep(state=state)
    return {"test_top1_percent": score(state, config.gain), "train_loss_curve": curve, **unusual(config.returns)}


def unusual(name: str) -> dict[Any, Any]:
    """Results that no row can hold as they are; ``exit`` and ``unprintable`` end the run in ways of their own."""
    if name == "exit":
        sys.exit(3)
    if name == "unprintable":
        raise UnprintableError
    if name == "long":
        raise ValueError("\x1b[31m" + "x" * 3_000_000 + " the end")
    return {
        "": {},
        "nan in a list": {"curve": [1.0, math.nan]},
        "infinity in a list": {"curve": (1.0, -math.inf)},
        "nan": {"loss": math.nan},
        "a tensor of one in a list": {"curve": [torch.ones(1), 2]},
        "a tensor in a list": {"curve": [torch.ones(3)]},
        "a list in a list": {"curve": [[1.0]]},
        "a text": {"loss": "0.5"},
        "nothing": {"loss": None},
        "a tensor": {"loss": torch.ones(2, 2)},
        "a number as name": {3: 1.0},
        "too large a number": {"curve": [10**400]},
    }[name]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def train_folds(config: Config, log: Log) -> dict[str, float | list[float]]:
    log.total(config.folds, "folds")
    for fold in range(config.folds):
        time.sleep(config.epochs * config.seconds_per_epoch)
        log(fold, loss=0.0)
    return {"test_top1_percent": 50.0}


def probe(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """A second stage: reads the state that the run it needs has kept."""
    log.data("toy_noise", "0" * 64)
    state = checkpoint.needed("walk")["state"]
    log(0, loss=0.0)
    return {"test_probe_percent": score(state, config.gain)}


def score(state: Tensor, gain: float) -> float:
    """Percent, around 50 plus ten times the gain."""
    return 50.0 + 10.0 * gain + 5.0 * state.double().mean().item()


def whereabouts() -> dict[str, str]:
    """The node and the devices that this process was given."""
    return {name: os.environ.get(name, "") for name in ("SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES")}


def go_wrong(failure: str, epoch: int) -> None:
    if failure == "hoard":  # until the kernel kills the process
        hoard = []
        while True:
            hoard.append(torch.ones(2_000_000))
            time.sleep(0.02)
    if failure == "nan":
        raise FloatingPointError(f"loss became nan in epoch {epoch}")
    if failure == "memory":
        raise torch.OutOfMemoryError(f"the toy asked for too much memory in epoch {epoch}")
    raise RuntimeError(f"the toy was told to fail in epoch {epoch}")
