"""The learning rate of the studies' training loops."""

from __future__ import annotations

import math

import torch


def cosine(optimizer: torch.optim.Optimizer, learning_rate: float, epoch: int, epochs: int) -> None:
    """Sets the epoch's learning rate: from ``learning_rate`` down a half cosine, 0 after the last epoch."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
