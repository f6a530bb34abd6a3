"""Milliseconds of a training step: ours eager, captured and compiled, and a pipeline as the papers published theirs.

    python -m benchmarks.hard_negatives.speed --output results/hard_negatives/speed.csv
    python -m benchmarks.hard_negatives.speed --encoders resnet18 --batch 16 --steps 2 --turns 3 --workers 1

The second line is for a CPU, where nothing can be captured. Images are noise, whose content costs nothing.

"published" is built as the papers describe and publish theirs: each image is augmented on its own by torchvision on
Pillow images in DataLoader workers; the encoder works in float32 on tensors in the usual layout, one view after the
other; the loss is the printed formula on plain exponentials; every operation is launched by itself; the loss is read
after every step, as the authors' progress bar does. "reduce-overhead" is our step compiled by PyTorch in that mode.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from baselines.printed_losses import hcl
from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prepare import CIFAR10_MEAN, CIFAR10_STD, Prepared
from benchmarks.hard_negatives.train import contrastive_inputs, step_of
from contrastbench.data.augmentation import natural_recipe
from contrastbench.data.images import Split
from contrastbench.encoders.resnets import ENCODERS
from contrastbench.randomness import generator
from contrastbench.timing import Line, measure, seconds_in_turns

CONTENDERS = ("published", "eager", "captured", "compiled", "reduce-overhead")
ONLY_ON_A_GPU = ("captured", "reduce-overhead")


def lines(
    device: str,
    encoders: tuple[str, ...] = ("resnet18", "resnet50"),
    precisions: tuple[str, ...] = ("bf16", "float32"),
    contenders: tuple[str, ...] = CONTENDERS,
    batch: int = 256,
    images: int = 4096,
    steps: int = 20,
    turns: int = 5,
    workers: int = 12,
) -> Iterator[Line]:
    """A line for each contender that the device and the precision allow.

    Args:
        steps: in a turn.
        workers: processes of the published pipeline that augment.
    """
    unknown = [*({*contenders} - {*CONTENDERS}), *({*encoders} - {*ENCODERS}), *({*precisions} - {"bf16", "float32"})]
    if unknown:
        raise ValueError(
            f"unknown {', '.join(unknown)}; contenders: {', '.join(CONTENDERS)}; encoders: {', '.join(ENCODERS)}; "
            "precisions: bf16, float32"
        )
    pixels = torch.randint(256, (images, 3, 32, 32), generator=generator(0, "data"), dtype=torch.uint8)
    for encoder in encoders:
        for precision in precisions:
            shared = {"encoder": encoder, "precision": precision, "batch": batch}
            config = Config(loss="hcl", tau_plus=0.1, beta=1.0, **shared)  # type: ignore[arg-type]
            taking: dict[str, Iterator[None]] = {}
            for name in contenders:
                if name == "published" and precision == "float32":
                    taking[name] = published_steps(config, _encoder(config).to(device), pixels, workers)
                elif name != "published" and not (name in ONLY_ON_A_GPU and device == "cpu"):
                    taking[name] = our_steps(config, without_labels(config, pixels.to(device)), name)
            turn = {name: lambda each=each: list(islice(each, steps)) for name, each in taking.items()}
            for name, seconds in seconds_in_turns(turn, turns, device).items():
                milliseconds = round(1000 * seconds / steps, 2)
                yield {"contender": name, "milliseconds": milliseconds, **shared, "workers": workers}


def our_steps(config: Config, data: Prepared, name: str) -> Iterator[None]:
    """Each ``next`` takes a step of the suite; "compiled" on a GPU is captured too."""
    config = replace(config, compile=name == "compiled")
    encoder = _encoder(config).to(data.pretrain.device, memory_format=torch.channels_last)
    step = step_of(config, encoder, data, seed=0)
    step.capture = name in ("captured", "compiled")
    if name == "reduce-overhead":
        step.loss_of = torch.compile(step.loss_of, mode="reduce-overhead", dynamic=False)
    for epoch in count():
        for inputs in contrastive_inputs(config, data, seed=0, epoch=epoch):
            step(**inputs)
            yield
        step.mean_loss(epoch)


def without_labels(config: Config, images: Tensor) -> Prepared:
    """A data set of these images alone."""
    nothing = Split(images[:0], torch.zeros(0, dtype=torch.long))
    recipe = natural_recipe(config.view_size)
    return Prepared(images, nothing, nothing.labels, nothing, "test", 10, CIFAR10_MEAN, CIFAR10_STD, recipe)


def published_steps(
    config: Config, encoder: nn.Module, images: Tensor, workers: int, rng: torch.Generator | None = None
) -> Iterator[None]:
    """Each ``next`` takes a step of HCL as published.

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
        generator=rng or generator(0, "published"),
    )
    while True:
        for view_a, view_b in loader:
            z_a, z_b = (encoder(view.to(device, non_blocking=True)) for view in (view_a, view_b))
            loss = hcl(z_a, z_b, temperature=config.temperature, tau_plus=config.tau_plus, beta=config.beta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            yield


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
                transforms.Normalize(CIFAR10_MEAN, CIFAR10_STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = Image.fromarray(self.images[index])
        return self.augment(image), self.augment(image)


def _encoder(config: Config) -> nn.Module:
    return ENCODERS[config.encoder](channels=3, rng=generator(0, "weights"))


if __name__ == "__main__":
    measure(lines, ("contender", "encoder", "precision", "batch"), __doc__)
