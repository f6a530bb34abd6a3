"""Where a step's pixels come from: a tensor on the device, or picture files that are read for each batch (ImageNet)."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastbench.data.catalogue import data_root

READ_PIXELS = 256  # side of the central square that crops are taken of, as usual for ImageNet
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HELD_OUT_LIST = "imagenet_118.txt"  # the classes of which A, B and C are parts; all others are known


class InMemory:
    """Images uint8 [N, C, H, W] on the device."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.images.shape[1:])

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        """What a step needs to be given: CPU tensors."""
        return {"index": index}

    def pixels(self, index: Tensor) -> Tensor:
        """Inside a step: uint8 [B, C, H, W]."""
        return self.images[index.to(self.images.device)]


class Pictures:
    """Picture files, read by threads when a batch is put together: the middle square at 256 x 256 pixels."""

    def __init__(self, files: list[Path], device: str) -> None:
        self.files, self.device = files, device
        self.pool = ThreadPoolExecutor(os.cpu_count())

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, READ_PIXELS, READ_PIXELS)

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        read = self.pool.map(lambda number: _read(self.files[number]), index.tolist())
        return {"pictures": torch.from_numpy(np.stack(list(read)))}

    def pixels(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device)


def _read(path: Path) -> np.ndarray:
    """uint8 [3, 256, 256]: the shorter side brought to 256 pixels, the middle cut out."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except OSError as error:
        raise ValueError(f"{path} is not a picture ({str(error).splitlines()[0]})") from error
    share = READ_PIXELS / min(picture.size)
    size = (max(READ_PIXELS, round(picture.width * share)), max(READ_PIXELS, round(picture.height * share)))
    left, top = (size[0] - READ_PIXELS) // 2, (size[1] - READ_PIXELS) // 2
    cut = picture.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + READ_PIXELS, top + READ_PIXELS))
    return np.ascontiguousarray(np.asarray(cut).transpose(2, 0, 1))


@dataclass(frozen=True)
class ImageNet:
    """A folder ``imagenet`` with ``train/<class>/*`` and ``val/<class>/*``; classes known first, then the subset's."""

    folder: Path
    classes: tuple[str, ...]
    sha256: str  # of the names of classes and files, and the files' sizes: reading 150 GB at every start is too much
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def of_classes(self, split: str, numbers: list[int]) -> tuple[list[Path], Tensor]:
        """The files of these classes, and their places in the list."""
        files, labels = [], []
        for place, number in enumerate(numbers):
            found = sorted((self.folder / split / self.classes[number]).iterdir())
            files += found
            labels += [place] * len(found)
        return files, torch.tensor(labels)


def imagenet(name: str) -> ImageNet:
    """The folder of ImageNet in the data root, split as the papers do by lists of class names.

    ``splits/imagenet_118.txt`` has the held-out classes, ``splits/imagenet_30_A.txt`` those of subset A: one name a
    line, as the authors' repositories have them. Known are all folders of ``train`` that are not held out, by name.

    Raises:
        ValueError: a list or a folder is missing, or a class of the subset is not held out.
    """
    folder, subset = data_root() / "imagenet", name.removeprefix("imagenet_")
    held_out = _listed(folder / "splits" / HELD_OUT_LIST)
    novel = _listed(folder / "splits" / f"imagenet_30_{subset}.txt")
    if stray := sorted(set(novel) - set(held_out)):
        raise ValueError(f"imagenet_30_{subset}.txt names {stray[0]}, which {HELD_OUT_LIST} does not hold out")
    there = sorted(place.name for place in (folder / "train").iterdir() if place.is_dir())
    classes = (*(name for name in there if name not in set(held_out)), *sorted(novel))
    digest = hashlib.sha256()
    for split in ("train", "val"):
        for each in classes:
            place = folder / split / each
            if not place.is_dir():
                raise ValueError(f"{place} is missing; {name} needs train/ and val/ with a folder for each class")
            for file in sorted(place.iterdir()):
                digest.update(f"{split}/{each}/{file.name} {file.stat().st_size}\n".encode())
    return ImageNet(folder, classes, digest.hexdigest())


def _listed(path: Path) -> list[str]:
    if not path.exists():
        raise ValueError(f"{path} is missing; it lists class names, one a line, as the authors' repositories have it")
    return path.read_text().split()
