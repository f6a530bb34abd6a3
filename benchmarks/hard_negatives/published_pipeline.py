"""A training step built as the papers describe and publish theirs, to be timed beside ours and to train as well as it.

Each image is augmented on its own by torchvision on Pillow images in DataLoader workers; the encoder works in float32
on tensors in the usual layout, one view after the other; the loss is the printed formula on plain exponentials; every
operation is launched by itself; the loss is read after every step, as the authors' progress bar does.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.hard_negatives.config import Config

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class TwoViews(Dataset):
    """Two random views of each image."""

    def __init__(self, images: Tensor) -> None:
        self.images = images.permute(0, 2, 3, 1).numpy()
        self.augment = transforms.Compose(
            [
                transforms.RandomResizedCrop(32),
                transforms.RandomHorizontalFlip(0.5),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                transforms.RandomGrayscale(0.2),
                transforms.RandomApply([transforms.GaussianBlur(3, (0.1, 2.0))], p=0.5),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = Image.fromarray(self.images[index])
        return self.augment(image), self.augment(image)


def published_steps(
    config: Config, encoder: nn.Module, images: Tensor, workers: int, rng: torch.Generator
) -> Iterator[None]:
    """Each ``next`` takes a step of HCL.

    Args:
        encoder: on the device that is to train it.
        images: uint8 [N, 3, 32, 32] on the CPU.
        workers: processes that augment; with 0 of them the views are drawn from PyTorch's global generator.
        rng: draws the order and, through the workers' seeds, the views.
    """
    device = next(encoder.parameters()).device
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    loader = DataLoader(
        TwoViews(images),
        config.batch,
        shuffle=True,
        num_workers=workers,
        pin_memory=device.type != "cpu",
        drop_last=True,
        persistent_workers=workers > 0,
        generator=rng,
    )
    while True:
        for view_a, view_b in loader:
            z_a, z_b = (encoder(view.to(device, non_blocking=True)) for view in (view_a, view_b))
            loss = printed_hcl(z_a, z_b, config.temperature, config.tau_plus, config.beta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            yield


def printed_hcl(z_a: Tensor, z_b: Tensor, temperature: float, tau_plus: float, beta: float) -> Tensor:
    """HCL as printed (arXiv:2010.04592, eq. 4), on plain exponentials; beta = 0 is DCL, with tau_plus = 0 NT-Xent."""
    u = nn.functional.normalize(torch.cat([z_a, z_b]), dim=1)
    views, count = len(u), len(u) - 2
    every = torch.exp(u @ u.T / temperature)
    keep = ~torch.eye(len(z_a), dtype=torch.bool, device=u.device).repeat(2, 2)
    negatives = every.masked_select(keep).view(views, count)
    positive = torch.exp((u * u.roll(len(z_a), 0)).sum(dim=1) / temperature)
    weights = (beta * negatives.log()).exp()
    weights = weights / weights.mean(dim=1, keepdim=True)
    mean = (weights * negatives).mean(dim=1)
    true_mean = ((mean - tau_plus * positive) / (1 - tau_plus)).clamp(min=torch.e ** (-1 / temperature))
    return -torch.log(positive / (positive + count * true_mean)).mean()
