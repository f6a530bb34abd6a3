"""Where images come from: Hugging Face parquet files, torchvision's layout, folders of pictures, and what is installed.

Each reader returns plain arrays (uint8 images [N, C, H, W], int64 labels [N]), or None where its files are not there.
"""

import functools
import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrastbench.data import decoded, folders
from contrastbench.data.contents import is_clutter, picture_of

Arrays = tuple[np.ndarray, np.ndarray]  # images, labels
MOST_CLASSES = 100_000
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

# Column names that Hugging Face copies use, the first that is there is taken; cifar100's classes are the fine ones.
PICTURE_COLUMNS = ("img", "image")
LABEL_COLUMNS = {"cifar100": ("fine_label",)}
PARQUET_SPLITS = {"tinyimagenet": ("train", "valid")}
UNPACKED = {"tinyimagenet": "tiny-imagenet-200"}  # the folder that a set's archive unpacks to
TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
TORCHVISION_FOLDERS = {
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "stl10": "stl10_binary",
}
# Sets that are trained on with their unlabelled images, which copies in other layouts leave out.
ONLY_WITH_UNLABELLED = ("stl10",)
IDX_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
IDX_MD5 = {  # of the published files, unpacked
    "mnist": (
        *("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
        *("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    ),
    "fashion_mnist": (
        *("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"),
        *("8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
    ),
}
FILES = Path(__file__).parent / "files"  # data sets that come with this package, each beside its licence
# Data sets made of another: each picture encoded in JPEG at this quality, its colours at half the resolution (4:2:0).
# The known JPEG copies have whole colours (4:4:4). Encoded in just that way once more a picture hardly changes (61 dB),
# which would say nothing of the first time's cost; with halved colours it loses more (38 dB) than it did then (40 dB).
REENCODED = {f"{name}_reencoded": (name, 95) for name in ("cifar10", "cifar100", "mnist5k")}


def is_here(name: str, root: Path) -> bool:
    """Whether a declared data set's files are there; not whether they are whole."""
    name = REENCODED.get(name, (name, 0))[0]
    if embedded_images(name) is not None:
        return True
    if name not in ONLY_WITH_UNLABELLED and (
        all(_parquet_files(name, root)) or folders.is_folder_of_classes(_folder(name, root))
    ):
        return True
    if name == "fashion_mnist" and DEBIAN_FASHION_MNIST.is_dir():
        return True
    return name in TORCHVISION_FOLDERS and (root / TORCHVISION_FOLDERS[name]).is_dir()


def own(root: Path) -> list[str]:
    """The names of the folders in the data root that ``from_parquet`` or ``from_folder`` reads."""
    places = [place for place in sorted(root.iterdir()) if place.is_dir()] if root.is_dir() else []
    places = [place for place in places if place.name not in UNPACKED.values() and not is_clutter(place.name)]
    return [place.name for place in places if _is_own(place, root)]


def _is_own(place: Path, root: Path) -> bool:
    try:
        return _has_pictures(place.name, root) or folders.is_folder_of_classes(place)
    except PermissionError:  # a folder that the user may not look into hides no other
        return False


def count(name: str, root: Path) -> tuple[int, int] | None:
    """How many pictures a folder of the data root has for training and testing; None where it is no such folder.

    Nothing is decoded. Without a split of its own these are the shares of all that the loader draws.
    """
    place = _folder(name.partition("@")[0], root)
    if not folders.is_folder_of_classes(place):
        return None
    (train, _), test = folders.pictures(place)
    held_out = len(test[0]) if test else round(folders.TEST_SHARE * len(train))
    return len(train) - (0 if test else held_out), held_out


def from_parquet(name: str, root: Path) -> tuple[Arrays, Arrays] | None:
    """Reads ``root/<name>/{train,test}-*.parquet`` with columns ``img`` (encoded picture) and ``label``."""
    found = _parquet_files(name, root)
    if name in ONLY_WITH_UNLABELLED or not all(found):
        return None
    columns = LABEL_COLUMNS.get(name, ("label",))
    key = decoded.checksum([file for files in found for file in files])
    return decoded.decode_once(name, key, root / name, lambda: tuple(_read_parquet(files, columns) for files in found))


def from_folder(name: str, root: Path) -> tuple[Arrays, Arrays | None] | None:
    """Reads a folder of pictures, see ``folders``: train and test, or all and None where it has no split of its own."""
    base, at, pixels = name.partition("@")
    place = _folder(base, root)
    if base in ONLY_WITH_UNLABELLED or not folders.is_folder_of_classes(place):
        return None
    if at and not (pixels.isdigit() and int(pixels) > 0):
        raise ValueError(f"{name!r} must end in a number of pixels, as in {base}@64")
    side = int(pixels) if at else None
    parts = [part for part in folders.pictures(place) if part is not None]
    labels = b"".join(part[1].tobytes() for part in parts)
    key = decoded.checksum((file for files, _ in parts for file in files), also=labels)
    kept = decoded.decode_once(
        name, key, place, lambda: tuple((folders.read_pictures(files, side), y) for files, y in parts)
    )
    return kept if len(kept) == 2 else (kept[0], None)


def _folder(name: str, root: Path) -> Path:
    """The folder of a set's pictures: the one that its archive unpacks to if it is there, else that of its name."""
    unpacked = root / UNPACKED.get(name, name)
    return unpacked if unpacked.is_dir() else root / name


def encode_again(name: str, parts: Sequence[Arrays], quality: int, beside: Path) -> tuple[Arrays, ...]:
    """The pictures as they come back from one more JPEG encoding; what that costs bounds what a JPEG copy costs."""
    digest = hashlib.sha256(f"JPEG {quality}".encode())
    for images, _ in parts:
        digest.update(np.ascontiguousarray(images).data)
    return decoded.decode_once(
        name, digest.hexdigest(), beside, lambda: tuple((_jpeg(x, quality), y) for x, y in parts)
    )


def _jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    from PIL import Image

    made = np.empty_like(images)
    for row, picture in enumerate(images.transpose(0, 2, 3, 1)):
        encoded = io.BytesIO()
        Image.fromarray(picture.squeeze()).save(encoded, "jpeg", quality=quality, subsampling="4:2:0")
        made[row] = np.atleast_3d(np.asarray(Image.open(encoded))).transpose(2, 0, 1)
    return made


# ------------------------------------------------------------------------------------------------------ parquet files


def _parquet_files(name: str, root: Path) -> list[list[Path]]:
    splits = PARQUET_SPLITS.get(name, ("train", "test"))
    return [sorted((root / name).glob(f"{split}-*.parquet")) for split in splits]


def _has_pictures(name: str, root: Path) -> bool:
    """Whether parquet files of that name have a column of pictures; text comes in parquet files too."""
    train, test = _parquet_files(name, root)
    if not (train and test):
        return False
    import pyarrow
    import pyarrow.parquet

    try:
        columns = pyarrow.parquet.read_schema(train[0]).names
    except (pyarrow.ArrowException, OSError):
        return False
    return any(column in columns for column in PICTURE_COLUMNS)


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
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a whole parquet file ({str(error).splitlines()[0][:120]})") from error


def _column(file: Path, present: Sequence[str], wanted: Sequence[str]) -> str:
    for column in wanted:
        if column in present:
            return column
    raise ValueError(f"{file} has no column {' or '.join(map(repr, wanted))}; its columns are: {', '.join(present)}")


def _labels(column: Any, file: Path, name: str) -> np.ndarray:
    labels = column.to_numpy()
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"column {name!r} of {file} must hold class numbers from 0 on, got {column.type}")
    bad = (labels < 0) | (labels >= MOST_CLASSES)
    if bad.any():
        row = int(bad.argmax())
        expected = f"class numbers must be in [0, {MOST_CLASSES})"
        raise ValueError(f"row {row} of {file} has {labels[row]} in column {name!r}; {expected}")
    return labels.astype(np.int64)


def _decode(value: Any, file: Path, row: int) -> np.ndarray:
    """One encoded picture as uint8 [H, W, 3]; grey pictures are spread over three channels."""
    encoded = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(encoded, bytes):
        raise ValueError(f"row {row} of {file} is not a picture but {type(encoded).__name__}")
    return np.asarray(picture_of(io.BytesIO(encoded), f"row {row} of {file}").convert("RGB"))


# ------------------------------------------------------------------------------------- torchvision's and IDX files


def from_torchvision(name: str, root: Path, *, download: bool) -> tuple[Arrays, Arrays, np.ndarray | None] | None:
    """Reads torchvision's folder layout, downloading it first if allowed. The third value: STL-10's unlabelled images.

    The md5 of every file is compared with the published one before it is opened (and, for CIFAR, unpickled): by
    torchvision, or here for MNIST and Fashion-MNIST, of which torchvision checks no file that is already there.
    """
    if name == "stl10":
        return _from_stl10(root, download=download)
    if name in IDX_MD5:
        return _from_raw(name, root, download=download)
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
    from torchvision.datasets import STL10

    class Checked(STL10):
        """Three gigabytes are checked once, not for each part."""

        def _check_integrity(self) -> bool:
            return True

    if download:
        root.mkdir(parents=True, exist_ok=True)
    try:
        parts = {"train": STL10(str(root), split="train", download=download)}
        parts |= {split: Checked(str(root), split=split) for split in ("test", "unlabeled")}
    except RuntimeError as error:
        if download:
            raise ValueError(f"stl10 could not be downloaded into {root}: {error}") from error
        return None
    train, test = ((parts[split].data, parts[split].labels.astype(np.int64)) for split in ("train", "test"))
    return train, test, parts["unlabeled"].data


def _from_raw(name: str, root: Path, *, download: bool) -> tuple[Arrays, Arrays, None] | None:
    """Reads MNIST/raw or FashionMNIST/raw. The pickles that old versions of torchvision left in MNIST/processed stay
    shut: anybody may have made them."""
    if download:
        import torchvision

        kind = getattr(torchvision.datasets, TORCHVISION[name])
        nothing_read = {"_check_legacy_exist": lambda self: False, "_load_data": lambda self: (None, None)}
        root.mkdir(parents=True, exist_ok=True)
        try:
            type(kind.__name__, (kind,), nothing_read)(str(root), download=True)  # the folder is called like the class
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{name} could not be downloaded into {root}: {reason}") from error
    parts = _from_idx(root / TORCHVISION_FOLDERS[name], IDX_MD5[name])
    return None if parts is None else (*parts, None)


def from_debian(name: str, folder: Path = DEBIAN_FASHION_MNIST) -> tuple[Arrays, Arrays] | None:
    """Fashion-MNIST as Debian's package ``dataset-fashion-mnist`` installs it (gzipped IDX files)."""
    return _from_idx(folder, None) if name == "fashion_mnist" else None


def _from_idx(folder: Path, md5: Sequence[str] | None) -> tuple[Arrays, Arrays] | None:
    """Train and test from the four files of MNIST's layout, each plain or gzipped; None where one is missing.

    Raises:
        ValueError: a file is not what it should be, or its unpacked content has not the given md5.
    """
    plain_or_packed = [[folder / name, folder / f"{name}.gz"] for name in IDX_FILES]
    files = [next((file for file in both if file.is_file()), None) for both in plain_or_packed]
    arrays = []
    for number, file in enumerate(files):
        if file is None:
            return None
        arrays.append(_read_idx(file, axes=1 if number % 2 else 3, md5=md5[number] if md5 else None))
    for file, images, labels in zip(files[::2], arrays[::2], arrays[1::2], strict=True):
        if len(images) != len(labels):
            raise ValueError(f"{file} has {len(images)} pictures for {len(labels)} labels")
    train, test = ((arrays[at][:, None], arrays[at + 1].astype(np.int64)) for at in (0, 2))
    return train, test


def _read_idx(file: Path, *, axes: int, md5: str | None) -> np.ndarray:
    """The IDX format: two zero bytes, the type (8 = uint8), the number of axes, their lengths as big-endian int32."""
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        if content[:4] != bytes((0, 0, 8, axes)):
            raise ValueError(f"it does not begin with 0, 0, 8, {axes}")
        shape = np.frombuffer(content, dtype=">i4", count=axes, offset=4)
        array = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f"{file} is not a whole IDX file ({error}); put the published file there") from error
    if md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(f"{file} is not the published file: its unpacked content has not the md5 {md5}")
    return array


# ---------------------------------------------------------------------------------------- what comes with the suite


@functools.cache
def embedded_images(name: str) -> Arrays | None:
    """All images of a set that needs no file of the user's; ``images.py`` splits (and so copies) them."""
    if name == "mnist5k":
        return _mnist5k()
    if name == "digits":
        return _digits()
    return None


def _mnist5k() -> Arrays:
    with np.load(FILES / "mnist5k" / "mnist5k.npz", allow_pickle=False) as file:
        return file["images"][:, None], file["labels"].astype(np.int64)


def _digits() -> Arrays:
    """8x8 digits with 17 grey levels, stretched to 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None], digits.target.astype(np.int64)
