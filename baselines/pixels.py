"""What an image encoder must beat: the pixels themselves. (The untrained encoder is any paper's run with no epochs.)"""

from torch import Tensor


def raw_pixels(images: Tensor) -> Tensor:
    """uint8 images [N, C, H, W] as features [N, C * H * W] in [0, 1]."""
    return images.flatten(start_dim=1).float() / 255
