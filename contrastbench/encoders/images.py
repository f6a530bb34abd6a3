"""Image encoders: ResNets with the 3x3 stem that the papers use for small images, and a small one for CPUs.

Weights come from a given generator with PyTorch's usual distributions; the global generator is not touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

HEAD_HIDDEN = 512  # units of the papers' projection head
HEAD_OUTPUT = 128


class ImageEncoder(nn.Module):
    """A backbone and the papers' projection head.

    Calling it gives the embeddings [N, 128] that a loss sees (not normalised; the losses do that);
    ``features`` gives the backbone's output [N, F], which kNN and linear probes see.
    """

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = width
        self.head = nn.Sequential(
            nn.Linear(width, HEAD_HIDDEN, bias=False),
            nn.BatchNorm1d(HEAD_HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HEAD_HIDDEN, HEAD_OUTPUT),
        )

    def features(self, images: Tensor) -> Tensor:
        """[N, C, H, W] normalised images -> [N, F]."""
        return self.backbone(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def resnet18(*, channels: int = 3, rng: torch.Generator) -> ImageEncoder:
    """ResNet-18 with a 3x3 stride-1 stem and no max-pooling; 512 features."""
    return _seeded(lambda: ImageEncoder(_small_image_resnet(torchvision.models.resnet18, channels), 512), rng)


def resnet50(*, channels: int = 3, rng: torch.Generator) -> ImageEncoder:
    """ResNet-50 with a 3x3 stride-1 stem and no max-pooling; 2048 features (joshr17/HCL image/model.py)."""
    return _seeded(lambda: ImageEncoder(_small_image_resnet(torchvision.models.resnet50, channels), 2048), rng)


def small_resnet(*, channels: int = 1, rng: torch.Generator) -> ImageEncoder:
    """Two residual blocks of 32 and 64 channels: 3 MFLOP for a 28x28 digit; 64 features."""
    return _seeded(lambda: ImageEncoder(_small_backbone(channels), 64), rng)


ENCODERS: dict[str, Callable[..., ImageEncoder]] = {
    "small_resnet": small_resnet,
    "resnet18": resnet18,
    "resnet50": resnet50,
}


def _small_image_resnet(build: Callable[..., nn.Module], channels: int) -> nn.Module:
    resnet = build()
    resnet.conv1 = nn.Conv2d(channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    resnet.maxpool = nn.Identity()
    resnet.fc = nn.Identity()
    return resnet


def _small_backbone(channels: int) -> nn.Module:
    stem = (nn.Conv2d(channels, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
    return nn.Sequential(*stem, _block(16, 32), _block(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _block(inputs: int, outputs: int) -> BasicBlock:
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride=2, downsample=shortcut)


def _seeded(build: Callable[[], ImageEncoder], rng: torch.Generator) -> ImageEncoder:
    """Builds without drawing from the global generator, then draws every weight from ``rng``, in the modules' order."""
    with torch.device("meta"):
        encoder = build()
    encoder.to_empty(device="cpu")
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=rng)
        elif isinstance(module, nn.Linear):
            linear_weights(module, rng)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_parameters()  # ones and zeros, nothing random
    return encoder


def linear_weights(layer: nn.Linear, rng: torch.Generator) -> None:
    """PyTorch's default: uniform in +-1 / sqrt(inputs) for weight and bias."""
    bound = 1 / math.sqrt(layer.in_features)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=rng)
        if layer.bias is not None:
            layer.bias.uniform_(-bound, bound, generator=rng)
