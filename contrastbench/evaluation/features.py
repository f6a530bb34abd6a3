"""Features of whole image sets from a frozen encoder."""

from collections.abc import Sequence

import torch
from torch import Tensor

from contrastbench.data.augmentation import normalise
from contrastbench.encoders.resnets import ImageEncoder

BATCH = 500  # images at a time


@torch.no_grad()
def image_features(
    encoder: ImageEncoder,
    images: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    device: str = "cpu",
) -> Tensor:
    """The encoder's features of images without augmentation, in evaluation mode; the encoder's mode is put back.

    Args:
        images: uint8 [N, C, H, W].
        mean, std: per channel, of pixels in [0, 1].

    Returns:
        float32 [N, F] on ``device``.
    """
    was_training = encoder.training
    encoder.eval()
    try:
        parts = [encoder.features(_input(part, mean, std, device)).float() for part in images.split(BATCH)]
    finally:
        encoder.train(was_training)
    return torch.cat(parts)


def _input(images: Tensor, mean: Sequence[float], std: Sequence[float], device: str) -> Tensor:
    return normalise(images.to(device), mean, std).contiguous(memory_format=torch.channels_last)
