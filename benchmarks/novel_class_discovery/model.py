"""The encoders, AutoNovel's residual network for small images first, and the two linear heads on them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from contrastbench.weights import seeded_module


class Block(nn.Module):
    """Two 3x3 convolutions; the shortcut has no parameters: averages of 2x2 pixels, and zeros for new channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.stride, self.new_channels = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            x = nn.functional.avg_pool2d(x, self.stride, ceil_mode=True)
        if self.new_channels:
            x = nn.functional.pad(x, (0, 0, 0, 0, 0, self.new_channels))
        return torch.relu(x + y)


class Network(nn.Module):
    """An encoder in two parts, ``below`` (which later stages freeze) and ``last``, and linear heads on it.

    ``features`` are what heads, contrastive losses and k-means see: [N, width], none negative.
    """

    def __init__(self, below: nn.Module, last: nn.Module, width: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.below, self.last, self.width = below, last, width
        self.heads = nn.ModuleDict({name: nn.Linear(width, outputs) for name, outputs in heads.items()})

    def features(self, images: Tensor) -> Tensor:
        """[N, C, H, W] normalised images -> [N, width]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and any(p.requires_grad for p in self.below.parameters())):
            below = self.below(images)
        return self.last(below).mean(dim=(2, 3))

    def freeze_below(self) -> None:
        """All but ``last`` and the heads keep their weights; the running statistics of batch norms still move."""
        self.below.requires_grad_(False)

    def trainable(self) -> Iterator[nn.Parameter]:
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def encoder_state(self) -> dict[str, Tensor]:
        """Weights and buffers of the encoder alone, without the heads."""
        return {name: value for name, value in self.state_dict().items() if name.startswith(("below.", "last."))}


def _resnet(
    widths: tuple[int, ...], blocks: int, stem: list[nn.Module], first_stride: int
) -> tuple[nn.Module, nn.Module]:
    """Stem and all stages but the last, and the last stage: for each width but the first ``blocks`` blocks."""
    stages = []
    for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        stride = first_stride if number == 0 else 2
        later = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
        stages.append(nn.Sequential(Block(inputs, outputs, stride), *later))
    return nn.Sequential(*stem, *stages[:-1]), stages[-1]


def _stem(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


def _resnet18(channels: int) -> tuple[nn.Module, nn.Module, int]:
    parts = list(torchvision.models.resnet18().children())[:-2]  # without pooling and classifier
    if channels != 3:
        raise ValueError(f"encoder resnet18 is for images of 3 channels, got {channels}")
    return nn.Sequential(*parts[:-1]), parts[-1], 512


# Of so many channels: ``below``, ``last`` and the width.
ENCODERS: dict[str, Callable[[int], tuple[nn.Module, nn.Module, int]]] = {
    # Two blocks of 32 and 64 channels: 1.6 million multiplications for a 28x28 digit.
    "small": lambda channels: (*_resnet((16, 32, 64), 1, _stem(channels, 16, 2), 2), 64),
    # AutoNovel's ResNet-18 for 32x32 images (models/resnet.py).
    "resnet18_cifar": lambda channels: (*_resnet((64, 64, 128, 256, 512), 2, _stem(channels, 64, 1), 1), 512),
    # torchvision's ResNet-18 for 224x224 images.
    "resnet18": _resnet18,
    # One layer on features that another network made: [N, channels, 1, 1].
    "linear": lambda channels: (nn.Identity(), nn.Sequential(nn.Conv2d(channels, 128, 1), nn.ReLU()), 128),
}


def network(encoder: str, *, channels: int, heads: Mapping[str, int], rng: torch.Generator) -> Network:
    """A network with weights from ``rng``; ``heads`` says how many outputs each has."""
    return seeded_module(lambda: Network(*ENCODERS[encoder](channels), heads), rng)


def load_encoder(model: Network, artefact: dict[str, Any], about: dict[str, str], stage: str) -> None:
    """Puts the weights that an earlier stage kept into the encoder.

    Args:
        artefact: what the stage kept: "encoder" and "about".
        about: what this run is about; where the artefact differs, it belongs to another chain.

    Raises:
        ValueError: the artefact is of another architecture, data set or split of the classes; names both.
    """
    kept = artefact["about"]
    differing = [name for name, value in about.items() if kept.get(name) != value]
    if differing:
        name = differing[0]
        raise ValueError(
            f"the artefact of {stage} was made with {name}={kept.get(name)}, this run has {name}={about[name]}"
        )
    model.load_state_dict(artefact["encoder"], strict=False)
