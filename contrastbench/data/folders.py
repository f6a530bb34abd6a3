"""A folder of pictures as a data set: a sub-folder for each class, in any format that Pillow reads.

    flowers/rose/*.jpg  flowers/tulip/*.png ...              split here: 40 % of each class for testing
    flowers/train/rose/*.jpg ...  flowers/test/rose/*.jpg    with a split of its own (or val, or valid)

    tiny-imagenet-200/train/n01443537/images/*.JPEG ...      as TinyImageNet's archive unpacks: pictures one folder
    tiny-imagenet-200/val/images/*.JPEG                      further down, and the test pictures' classes in
    tiny-imagenet-200/val/val_annotations.txt                a list

``flowers@64`` brings every picture to 64x64: the shorter side to 64 pixels (bilinear), then the square in the middle.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from contrastbench.data.contents import is_clutter, picture_of, text_of

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TEST_FOLDERS = ("test", "val", "valid")  # the first that is there
TEST_SHARE = 0.4  # of each class where there is no such folder; many, because differences between methods are small
INSIDE = "images"  # a folder of a class that has its pictures
LISTED = Path("val", "val_annotations.txt")  # a picture of val/images and its class on each line, between tabs

Pictures = tuple[list[Path], np.ndarray]  # files, labels int64


def is_folder_of_classes(folder: Path) -> bool:
    """Whether the folder has pictures in a sub-folder for each class; looks at no more files than it must."""
    return len(_classes(_train_and_test(folder)[0])) > 1


def pictures(folder: Path) -> tuple[Pictures, Pictures | None]:
    """The picture files with their labels: train and test, or all and None where the folder has no split of its own.

    Classes are numbered in the order of their names.

    Raises:
        ValueError: the test part has a class that the train part has not, or lists a picture that is not there.
    """
    train, test = _train_and_test(folder)
    classes = _classes(train)
    if train != folder and (folder / LISTED).is_file():
        return _files_and_labels(train, classes), _read_list(folder / LISTED, classes)
    if test is None:
        return _files_and_labels(train, classes), None
    if unknown := sorted(set(_classes(test)) - set(classes)):
        raise ValueError(f"{test} has the class {unknown[0]!r}, {train} has: {', '.join(classes)}")
    return _files_and_labels(train, classes), _files_and_labels(test, classes)


def read_pictures(files: Sequence[Path], side: int | None) -> np.ndarray:
    """The pictures, uint8 [N, C, H, W]: C is 1 if all of them are grey, else 3.

    Raises:
        ValueError: a file is no whole picture, or the pictures are of several sizes and no side is given.
    """
    decoded = [picture_of(file, str(file)) for file in files]
    mode = "RGB" if any(picture.mode == "RGB" for picture in decoded) else "L"
    arrays = [np.asarray(_square(picture, side).convert(mode)) for picture in decoded]
    sizes = {array.shape for array in arrays}
    if len(sizes) > 1:
        raise ValueError(
            f"the pictures have {len(sizes)} sizes, say which side in pixels to bring them to, as in ...@64"
        )
    stacked = np.stack(arrays)
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)) if mode == "RGB" else stacked[:, None]


def _train_and_test(folder: Path) -> tuple[Path, Path | None]:
    test = next((folder / name for name in TEST_FOLDERS if (folder / name).is_dir()), None)
    return (folder / "train", test) if test and (folder / "train").is_dir() else (folder, None)


def _classes(folder: Path) -> list[str]:
    """The sub-folders that hold a picture, by name."""
    if not folder.is_dir():
        return []
    places = [place for place in folder.iterdir() if place.is_dir() and not is_clutter(place.name)]
    return sorted(place.name for place in places if next(_pictures_of(place), None))


def _pictures_of(place: Path) -> Iterator[Path]:
    """The pictures of a class: those in its folder or, where it has none, in the folder ``images`` there."""
    files = _pictures_in(place)
    first = next(files, None)
    return _pictures_in(place / INSIDE) if first is None else itertools.chain([first], files)


def _pictures_in(folder: Path) -> Iterator[Path]:
    files = folder.iterdir() if folder.is_dir() else iter(())
    return (file for file in files if file.suffix.lower() in SUFFIXES and not is_clutter(file.name))


def _files_and_labels(folder: Path, classes: Sequence[str]) -> Pictures:
    files: list[Path] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        chosen = sorted(_pictures_of(folder / name))
        files += chosen
        labels += [number] * len(chosen)
    return files, np.array(labels, dtype=np.int64)


def _read_list(listing: Path, classes: Sequence[str]) -> Pictures:
    """The pictures that a listing names, and their classes; ordered by file name."""
    numbers = {name: number for number, name in enumerate(classes)}
    there = {file.name: file for file in _pictures_of(listing.parent)}
    found: list[tuple[Path, int]] = []
    for line_number, line in enumerate(text_of(listing.read_bytes(), str(listing)).splitlines(), start=1):
        name, *fields = line.split("\t")
        if not fields or fields[0] not in numbers or name not in there:
            raise ValueError(
                f"line {line_number} of {listing} must have a picture of {listing.parent / INSIDE} and one of the "
                f"{len(classes)} classes of train, got {line[:60]!r}"
            )
        found.append((there[name], numbers[fields[0]]))
    if len(found) != len(there):
        raise ValueError(f"{listing} has {len(found)} lines for {len(there)} pictures; one for each is needed")
    files, labels = zip(*sorted(found), strict=True)
    return list(files), np.array(labels, dtype=np.int64)


def _square(picture, side: int | None):
    """The picture with its shorter side brought to ``side`` pixels, and of that the square in the middle."""
    from PIL import Image

    if side is None:
        return picture
    scale = side / min(picture.size)
    width, height = (max(side, round(length * scale)) for length in picture.size)
    left, top = (width - side) // 2, (height - side) // 2
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + side, top + side))
