"""Image data sets in memory: uint8 tensors [N, C, H, W], labels, a train and a test part, and a content checksum."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastbench.data import catalogue, sources
from contrastbench.data.folders import TEST_SHARE
from contrastbench.randomness import generator

EMBEDDED_SPLIT_SEED = 0  # the split is part of the data set: it never follows a run's seed
FIXED_PART_SEED = 0  # a part of the training images is the same in every run


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] with labels int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Split:
        """The chosen images, in the order of ``index``."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True)
class Images:
    """A data set as a paper uses it; ``mean`` and ``std`` are per channel over the training pixels in [0, 1]."""

    name: str
    train: Split
    test: Split
    classes: int
    sha256: str  # of all pixels and labels, whatever files they came from
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: str  # "Hugging Face parquet", "folder of pictures", "torchvision", "Debian", "embedded"
    unlabelled: Tensor | None = None  # uint8 [N, C, H, W]; STL-10 only

    @property
    def copy(self) -> str:
        """Which known copy of the data this is, in words."""
        return catalogue.copy_of(self.name, self.sha256).words


def load_images(name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None) -> Images:
    """Loads a data set from the first source that has it.

    The order: the data root (Hugging Face parquet layout ``<root>/<name>/train-*.parquet``, then a folder of pictures
    as ``folders.py`` describes, then torchvision's layout), Debian's package, the sets that come with the suite or a
    package that it needs, and last, if allowed, torchvision's download.

    Args:
        name: a name of ``contrastbench data list``, or of your own pictures in the data root: ``flowers``,
            ``flowers@64`` to bring them to 64x64.
        root: the data root; None means $CONTRASTBENCH_DATA, or ~/.cache/contrastbench.
        download: whether torchvision may download; None means: only if $CONTRASTBENCH_DOWNLOAD is 1.

    Raises:
        ValueError: unknown name, data not found, a file that is not what it should be, or classes that cannot be
            learned.
    """
    folder = catalogue.data_root(root)
    catalogue.describe(name, "images", folder)
    allowed = os.environ.get("CONTRASTBENCH_DOWNLOAD") == "1" if download is None else download
    origin, train, test, unlabelled = _read(name, folder, allowed)
    _check_classes(name, train[1], test[1])
    return _in_memory(name, origin, train, test, unlabelled)


Parts = tuple[str, sources.Arrays, sources.Arrays, np.ndarray | None]  # origin, train, test, unlabelled images


def _read(name: str, folder: Path, allowed: bool) -> Parts:
    if name in sources.REENCODED:
        return _encode_again(name, folder, allowed)
    if (both := sources.from_parquet(name, folder)) is not None:
        return "Hugging Face parquet", *both, None
    if (own := sources.from_folder(name, folder)) is not None:
        everything, test = own
        return "folder of pictures", *(_split(*everything) if test is None else (everything, test)), None
    if (three := sources.from_torchvision(name, folder, download=False)) is not None:
        return "torchvision", *three
    if (both := sources.from_debian(name)) is not None:
        return "Debian", *both, None
    if (arrays := sources.embedded_images(name)) is not None:
        return "embedded", *_split(*arrays), None
    if allowed and (three := sources.from_torchvision(name, folder, download=True)) is not None:
        return "torchvision", *three
    raise ValueError(_missing(name, folder))


def _encode_again(name: str, folder: Path, allowed: bool) -> Parts:
    base, quality = sources.REENCODED[name]
    origin, train, test, unlabelled = _read(base, folder, allowed)
    beside = folder / base if (folder / base).is_dir() else folder
    train, test = sources.encode_again(name, (train, test), quality, beside)
    return f"{origin}, encoded once more", train, test, unlabelled


def stratified_split(labels: Tensor, fraction: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Splits indices so that each class gives ``fraction`` of its members, rounded down, to the second part.

    Args:
        labels: [N] class numbers.
        fraction: in (0, 1).

    Returns:
        The two parts' indices, each ascending.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be in (0, 1), got {fraction}")
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        chosen = torch.randperm(len(members), generator=rng)[: int(fraction * len(members))]
        held_out[members[chosen]] = True
    return (~held_out).nonzero().squeeze(1), held_out.nonzero().squeeze(1)


def fixed_part(split: Split, count: int) -> Split:
    """``count`` random images of a split, the same for every run and seed; all for 0."""
    if not count:
        return split
    order = torch.randperm(len(split), generator=generator(FIXED_PART_SEED, "split"))
    return split.take(order[:count].sort().values)


def _split(images: np.ndarray, labels: np.ndarray) -> tuple[sources.Arrays, sources.Arrays]:
    rng = generator(EMBEDDED_SPLIT_SEED, "split")
    train, test = (part.numpy() for part in stratified_split(torch.from_numpy(labels), TEST_SHARE, rng))
    return (images[train], labels[train]), (images[test], labels[test])


def _check_classes(name: str, train: np.ndarray, test: np.ndarray) -> None:
    known = np.unique(train)
    if len(known) < 2:
        raise ValueError(f"all training pictures of {name} are of one class; at least 2 are needed")
    if not len(test):
        raise ValueError(f"{name} has no test pictures; a class needs at least 3 pictures to give one to the test part")
    stray = np.setdiff1d(test, known)
    if len(stray):
        raise ValueError(f"the test part of {name} has the class {stray[0]}, which the training part has not")


def _missing(name: str, folder: Path) -> str:
    looked = [] if name in sources.ONLY_WITH_UNLABELLED else [f"{name}/train-*.parquet"]
    remedy = "set CONTRASTBENCH_DATA to a folder that has it"
    if name in sources.UNPACKED:
        looked.append(f"{sources.UNPACKED[name]}/train")
    if name in sources.TORCHVISION_FOLDERS:
        looked.append(sources.TORCHVISION_FOLDERS[name])
        remedy += f", or allow the download: contrastbench data fetch {name}"
        if (folder / looked[-1]).is_dir():
            return f"a file of {folder / looked[-1]} is missing or damaged; {remedy}"
    return f"data set {name!r} not found in {folder} (looked for {' and '.join(looked)}); {remedy}"


def _in_memory(
    name: str, origin: str, train: sources.Arrays, test: sources.Arrays, unlabelled: np.ndarray | None
) -> Images:
    """The arrays as tensors, with the checksum of their content and the training pixels' statistics."""
    digest = hashlib.sha256()
    for array in (*train, *test, *(() if unlabelled is None else (unlabelled,))):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    pixels = train[0].shape[0] * train[0].shape[2] * train[0].shape[3]
    counts = [np.bincount(train[0][:, channel].ravel(), minlength=256) for channel in range(train[0].shape[1])]
    levels = np.arange(256) / 255
    mean = [float(count @ levels / pixels) for count in counts]
    deviations = (float(np.sqrt(count @ (levels - m) ** 2 / pixels)) for count, m in zip(counts, mean, strict=True))
    std = [deviation or 1.0 for deviation in deviations]  # a channel without variation is shifted and not scaled
    return Images(
        name=name,
        train=Split(_tensor(train[0]), torch.from_numpy(train[1])),
        test=Split(_tensor(test[0]), torch.from_numpy(test[1])),
        classes=int(max(train[1].max(), test[1].max())) + 1,
        sha256=digest.hexdigest(),
        mean=tuple(mean),
        std=tuple(std),
        origin=origin,
        unlabelled=None if unlabelled is None else _tensor(unlabelled),
    )


def _tensor(images: np.ndarray) -> torch.Tensor:
    """The images in the plain layout. A channel of size 1 may have any stride, and convolutions round by it."""
    return torch.from_numpy(np.ascontiguousarray(images)).flatten().view(images.shape)
