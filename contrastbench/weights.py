"""Initial weights drawn from a given generator with PyTorch's usual distributions; the global one is not touched."""

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def build_undrawn(build: Callable[[], Module]) -> Module:
    """Builds a module on the CPU whose weights are not set yet; nothing is drawn from the global generator."""
    with torch.device("meta"):
        module = build()
    return module.to_empty(device="cpu")


def seeded_module(build: Callable[[], Module], rng: torch.Generator) -> Module:
    """Builds a module without drawing from the global generator, then draws its weights in the modules' order.

    Convolutions get He's normal distribution by fan-out (as torchvision's ResNets), linear layers PyTorch's uniform
    one, normalisations ones and zeros.

    Raises:
        TypeError: the module has another kind of layer with weights.
    """
    module = build_undrawn(build)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=rng)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Linear):
            linear_weights(part, rng)
        elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.reset_parameters()  # ones and zeros, nothing random
        elif any(True for _ in part.parameters(recurse=False)) or any(True for _ in part.buffers(recurse=False)):
            raise TypeError(f"seeded_module knows no weights for {type(part).__name__}; draw them where it is built")
    return module


def linear_weights(layer: nn.Linear, rng: torch.Generator) -> None:
    """PyTorch's default: uniform in +-1 / sqrt(inputs) for weight and bias."""
    bound = 1 / math.sqrt(layer.in_features)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=rng)
        if layer.bias is not None:
            layer.bias.uniform_(-bound, bound, generator=rng)
