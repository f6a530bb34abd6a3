"""Image data sets as their archives unpack: TinyImageNet and STL-10, made small."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import STL10

from benchmarks.hard_negatives.config import Config
from benchmarks.hard_negatives.prepare import prepare_data
from contrastbench.data import catalogue, sources
from contrastbench.data.images import load_images
from contrastbench.runner import Log

CLASSES = {"n02": (0, 200, 0), "n01": (200, 0, 0), "n03": (0, 0, 200)}
VAL = {"val_0.JPEG": "n03", "val_1.JPEG": "n01", "val_10.JPEG": "n02", "val_2.JPEG": "n03"}


@pytest.fixture
def tiny_imagenet(tmp_path: Path) -> Path:
    """The layout of tiny-imagenet-200.zip with three classes of two pictures, one of them grey."""
    folder = tmp_path / "tiny-imagenet-200"
    for name, colour in CLASSES.items():
        (folder / "train" / name / "images").mkdir(parents=True)
        (folder / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.JPEG\t0\t0\t7\t7\n")
        for number in range(2):
            Image.new("RGB", (8, 8), colour).save(folder / "train" / name / "images" / f"{name}_{number}.JPEG")
    Image.new("L", (8, 8), 90).save(folder / "train" / "n01" / "images" / "n01_1.JPEG")
    for part, files in (("val", VAL), ("test", ["test_0.JPEG"])):
        (folder / part / "images").mkdir(parents=True)
        for file in files:
            colour = CLASSES[VAL[file]] if part == "val" else (0, 0, 0)
            Image.new("RGB", (8, 8), colour).save(folder / part / "images" / file)
    lines = [f"{file}\t{name}\t0\t0\t7\t7" for file, name in reversed(VAL.items())]
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "wnids.txt").write_text("\n".join(CLASSES) + "\n")
    return tmp_path


def test_tiny_imagenet_is_read_as_its_archive_unpacks(tiny_imagenet: Path) -> None:
    assert sources.is_here("tinyimagenet", tiny_imagenet)
    images = load_images("tinyimagenet", tiny_imagenet)
    assert images.train.images.shape == (6, 3, 8, 8) and images.classes == 3
    assert images.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.test.labels.tolist() == [2, 0, 1, 2], "by the files' names, classes by theirs"
    strongest = images.test.images[:, :, 4, 4].argmax(dim=1)
    assert strongest.tolist() == images.test.labels.tolist(), "each picture has the colour of its class"
    assert catalogue.find_own(tiny_imagenet) == [], "the archive's folder is no other data set"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("val_0.JPEG\tn09\t0", "line 5 of .*val_annotations.txt must have a picture .* of the 3 classes of train, got"),
        ("val_77.JPEG\tn01\t0", "line 5 of .*val_annotations.txt must have a picture of .*val/images"),
        ("val_0.JPEG\tn03\t0", "val_annotations.txt has 5 lines for 4 pictures; one for each is needed"),
        ("", "line 5 of .*val_annotations.txt must have"),
    ],
)
def test_a_list_that_does_not_fit_its_pictures_gets_one_line(line: str, message: str, tiny_imagenet: Path) -> None:
    with (tiny_imagenet / "tiny-imagenet-200" / "val" / "val_annotations.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=message) as caught:
        load_images("tinyimagenet", tiny_imagenet)
    assert "\n" not in str(caught.value)


@pytest.fixture
def stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The layout of stl10_binary.tar.gz with 3 + 2 images and 4 unlabelled ones, under checksums of their own."""
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    rng = np.random.default_rng(0)
    sums = {}
    for name, count in {"train": 3, "test": 2, "unlabeled": 4}.items():
        contents = {f"{name}_X.bin": rng.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tobytes()}
        if name != "unlabeled":
            contents[f"{name}_y.bin"] = bytes(range(10, 10 - count, -1))  # classes are numbered from 1 on
        for file, content in contents.items():
            (folder / file).write_bytes(content)
            sums[file] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(STL10, part, [[file, sums[file]] for file, _ in getattr(STL10, part)])
    return tmp_path


def test_stl10_is_read_as_its_archive_unpacks(stl10: Path) -> None:
    images = load_images("stl10", stl10)
    assert images.train.labels.tolist() == [9, 8, 7] and images.test.labels.tolist() == [9, 8]
    assert images.unlabelled is not None and images.unlabelled.shape == (4, 3, 96, 96)
    content = np.frombuffer((stl10 / "stl10_binary" / "unlabeled_X.bin").read_bytes(), dtype=np.uint8)
    columns_first = content.reshape(4, 3, 96, 96)
    assert np.array_equal(images.unlabelled.numpy(), columns_first.swapaxes(2, 3))


def test_unlabelled_images_are_trained_on_and_nothing_is_tested_on_them(
    stl10: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(stl10))
    data = prepare_data(Config(dataset="stl10", batch=2), 0, "cpu", Log())
    assert (len(data.pretrain), len(data.train), len(data.test)) == (3 + 4, 3, 2)


def test_stl10_without_its_unlabelled_images_is_not_taken_for_stl10(stl10: Path) -> None:
    """Copies of STL-10 as pictures have the labelled ones alone; the papers train on all."""
    for part in ("train", "test"):
        for name in ("bird", "car"):
            (stl10 / "stl10" / part / name).mkdir(parents=True)
            Image.new("RGB", (96, 96)).save(stl10 / "stl10" / part / name / "0.png")
    assert load_images("stl10", stl10).unlabelled is not None
    for file in (stl10 / "stl10_binary").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="a file of .*stl10_binary is missing or damaged; .*data fetch stl10"):
        load_images("stl10", stl10, download=False)
    (stl10 / "stl10_binary").rmdir()
    with pytest.raises(ValueError, match=r"'stl10' not found in .* \(looked for stl10_binary\)"):
        load_images("stl10", stl10, download=False)
    assert not sources.is_here("stl10", stl10)


def test_a_damaged_file_of_stl10_is_noticed(stl10: Path) -> None:
    with (stl10 / "stl10_binary" / "test_X.bin").open("r+b") as file:
        file.write(b"?")
    with pytest.raises(ValueError, match="a file of .*stl10_binary is missing or damaged") as caught:
        load_images("stl10", stl10, download=False)
    assert "\n" not in str(caught.value)
