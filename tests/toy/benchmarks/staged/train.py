"""Trains nothing, in three stages: each is deterministic and depends on every bit of the one before."""

import time
from statistics import mean as mean_of

import torch
from benchmarks.staged.config import Discover, Mean, Pretrain
from torch import Tensor

from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log


def pretrain(config: Pretrain, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Publishes a state that hangs on the data set and the seed."""
    log.data(config.dataset, "0" * 64)
    state = torch.randn(config.size, generator=generator(seed, f"weights of {config.dataset}"))
    for epoch in range(checkpoint.restore(state=state), config.epochs):
        state.copy_(step(state, seed, "order", epoch, config.seconds))
        log(epoch, loss=state.square().mean().item())
        checkpoint.save(epoch + 1, state=state)
    checkpoint.keep(state=state)
    return {"train_loss": state.square().mean().item()}


def discover(config: Discover, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Goes on from the pre-trained state."""
    log.data(config.dataset, "0" * 64)
    log.total(config.rounds, "rounds")
    state = checkpoint.needed("pretrain")["state"]
    for number in range(checkpoint.restore(state=state), config.rounds):
        state.copy_(step(state, seed, f"split {config.split}", number, config.seconds))
        log(number, loss=state.square().mean().item())
        checkpoint.save(number + 1, state=state)
    return {"test_top1_percent": 50.0 + 10.0 * config.gain + 5.0 * state.double().mean().item()}


def mean(config: Mean, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Reads metrics alone: what it needs keeps no artefact."""
    scores = [checkpoint.needed_metrics(split)["test_top1_percent"] for split in ("a", "b", "c")]
    return {"test_mean_percent": mean_of(scores)}


def step(state: Tensor, seed: int, purpose: str, number: int, seconds: float) -> Tensor:
    time.sleep(seconds)
    return torch.tanh(0.9 * state + 0.3 * torch.randn(state.shape, generator=generator(seed, purpose, number)))
