"""Image encoders: ResNets with the 3x3 stem that the papers use for small images, and a small one for CPUs.

Weights come from a given generator (see ``contrastbench.weights``).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.resnet import BasicBlock

from contrastbench.weights import seeded_module

HEAD_HIDDEN = 512  # units of the papers' projection head
HEAD_OUTPUT = 128


Head = Callable[[int], nn.Module]  # features of the backbone -> what turns them into what a loss sees


def projection_head(width: int) -> nn.Module:
    """The head of SimCLR and of the papers built on it: two layers, 128 outputs."""
    return nn.Sequential(
        nn.Linear(width, HEAD_HIDDEN, bias=False),
        nn.BatchNorm1d(HEAD_HIDDEN),
        nn.ReLU(inplace=True),
        nn.Linear(HEAD_HIDDEN, HEAD_OUTPUT),
    )


class ImageEncoder(nn.Module):
    """A backbone and a head.

    Calling it gives the embeddings [N, 128] that a loss sees (not normalised; the losses do that);
    ``features`` gives the backbone's output [N, F], which kNN and linear probes see.
    """

    def __init__(self, backbone: nn.Module, width: int, head: Head = projection_head) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = width
        self.head = head(width)

    def features(self, images: Tensor) -> Tensor:
        """[N, C, H, W] normalised images -> [N, F]."""
        return self.backbone(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def resnet18(*, channels: int = 3, head: Head = projection_head, rng: torch.Generator) -> ImageEncoder:
    """ResNet-18 with a 3x3 stride-1 stem and no max-pooling; 512 features."""
    return seeded_module(lambda: ImageEncoder(_small_image_resnet(resnet.resnet18, channels), 512, head), rng)


def resnet50(*, channels: int = 3, head: Head = projection_head, rng: torch.Generator) -> ImageEncoder:
    """ResNet-50 with a 3x3 stride-1 stem and no max-pooling; 2048 features (joshr17/HCL image/model.py)."""
    return seeded_module(lambda: ImageEncoder(_small_image_resnet(resnet.resnet50, channels), 2048, head), rng)


def small_resnet(*, channels: int = 1, head: Head = projection_head, rng: torch.Generator) -> ImageEncoder:
    """Two residual blocks of 32 and 64 channels: 3 MFLOP for a 28x28 digit; 64 features."""
    return seeded_module(lambda: ImageEncoder(_small_backbone(channels), 64, head), rng)


ENCODERS: dict[str, Callable[..., ImageEncoder]] = {
    "small_resnet": small_resnet,
    "resnet18": resnet18,
    "resnet50": resnet50,
}


def _small_image_resnet(build: Callable[..., nn.Module], channels: int) -> nn.Module:
    model = build()
    model.conv1 = nn.Conv2d(channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    model.maxpool = nn.Identity()
    model.fc = nn.Identity()
    return model


def _small_backbone(channels: int) -> nn.Module:
    stem = (nn.Conv2d(channels, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
    return nn.Sequential(*stem, _block(16, 32), _block(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _block(inputs: int, outputs: int) -> BasicBlock:
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride=2, downsample=shortcut)
