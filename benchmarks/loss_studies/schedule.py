"""What the studies' training loops share."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine(optimizer: torch.optim.Optimizer, learning_rate: float, epoch: int, epochs: int) -> None:
    """Sets the epoch's learning rate: from ``learning_rate`` down a half cosine, 0 after the last epoch."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * (1 + math.cos(math.pi * epoch / epochs)) / 2


def checked(loss: Tensor, epoch: int) -> float:
    """The loss as a number.

    Raises:
        FloatingPointError: it is NaN or infinite.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError(f"loss became {value} in epoch {epoch}")
    return value
