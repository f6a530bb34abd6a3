"""A user's own pictures: a sub-folder for each class, with or without a split of its own."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastbench import papers
from contrastbench.cli.planning import check_data
from contrastbench.data import catalogue, folders
from contrastbench.data.contents import picture_of
from contrastbench.data.images import load_images

COLOURS = {"rose": (200, 0, 0), "tulip": (200, 200, 0), "violet": (90, 0, 200)}


def write(folder: Path, *, classes: dict[str, tuple[int, int, int]] = COLOURS, n: int = 5, size=(20, 16)) -> None:
    """n pictures of one colour for each class, every second of them upright."""
    for name, colour in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(n):
            Image.new("RGB", size, colour).save(folder / name / f"{number}.png")


def test_a_folder_of_classes_is_split_by_class_once_and_for_all(tmp_path: Path) -> None:
    write(tmp_path / "flowers")
    flowers = load_images("flowers", tmp_path)
    assert flowers.train.images.shape == (9, 3, 16, 20) and flowers.test.images.shape == (6, 3, 16, 20)
    assert flowers.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and flowers.classes == 3
    assert flowers.train.images[3, :, 0, 0].tolist() == list(COLOURS["tulip"])
    assert flowers.origin == "folder of pictures" and flowers.copy == "a copy that the catalogue does not know"
    assert load_images("flowers", tmp_path).sha256 == flowers.sha256


@pytest.mark.parametrize("test_folder", ["test", "val", "valid"])
def test_a_split_of_ones_own_is_kept(tmp_path: Path, test_folder: str) -> None:
    write(tmp_path / "flowers" / "train", n=4)
    write(tmp_path / "flowers" / test_folder, n=2, classes={"violet": COLOURS["violet"]})
    flowers = load_images("flowers", tmp_path)
    assert len(flowers.train) == 12 and flowers.test.labels.tolist() == [2, 2]


def test_a_side_brings_pictures_of_all_sizes_to_one_square(tmp_path: Path) -> None:
    write(tmp_path / "flowers", size=(40, 20))
    left_and_right = np.zeros((20, 40, 3), dtype=np.uint8)
    left_and_right[:, 10:30] = 255  # the middle square is white
    Image.fromarray(left_and_right).save(tmp_path / "flowers" / "rose" / "0.png")
    Image.new("RGB", (7, 50)).save(tmp_path / "flowers" / "rose" / "1.jpg")
    everything, _ = folders.pictures(tmp_path / "flowers")
    images = folders.read_pictures(everything[0], 8)
    assert images.shape[1:] == (3, 8, 8) and images[0, :, :, 1:7].min() == 255
    assert load_images("flowers@8", tmp_path).train.images.shape == (10, 3, 8, 8)
    with pytest.raises(ValueError, match="the pictures have 2 sizes, say which side .* as in ...@64"):
        load_images("flowers", tmp_path)
    with pytest.raises(ValueError, match="'flowers@big' must end in a number of pixels, as in flowers@64"):
        load_images("flowers@big", tmp_path)


def test_grey_pictures_have_one_channel(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "grey" / name).mkdir(parents=True)
        Image.new("L", (6, 6), 9).save(tmp_path / "grey" / name / "0.png")
    everything, _ = folders.pictures(tmp_path / "grey")
    assert folders.read_pictures(everything[0], None).shape == (2, 1, 6, 6)


def test_a_channel_without_variation_is_not_scaled(tmp_path: Path) -> None:
    write(tmp_path / "flowers")
    assert load_images("flowers", tmp_path).std[1] > 0
    write(tmp_path / "reds", classes={"dark": (90, 0, 0), "bright": (200, 0, 0)})
    assert load_images("reds", tmp_path).std[1:] == (1.0, 1.0)


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    write(tmp_path / "flowers" / "train", n=2)
    write(tmp_path / "flowers" / "test", n=1, classes={"weed": (0, 0, 0)})
    with pytest.raises(ValueError, match="test has the class 'weed', .*train has: rose, tulip, violet"):
        load_images("flowers", tmp_path)
    write(tmp_path / "broken", n=2)
    (tmp_path / "broken" / "rose" / "1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="rose/1.png is not a whole picture"):
        load_images("broken", tmp_path)
    (tmp_path / "letters").mkdir()
    with pytest.raises(ValueError, match="unknown data set of images 'letters'; there are .*; your own are"):
        load_images("letters", tmp_path)


def test_pictures_that_would_fill_the_memory_or_turn_white_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "flowers", n=2)
    (tmp_path / "flowers" / "rose" / "1.png").write_bytes(b"P5 20000 20000 255\n")  # told by the first bytes
    with pytest.raises(ValueError, match=r"rose/1.png is too large a picture \(.*400000000 pixels"):
        load_images("flowers", tmp_path)
    Image.new("I;16", (20, 16), 30_000).save(tmp_path / "flowers" / "rose" / "1.png")
    with pytest.raises(ValueError, match=r"rose/1.png has more than 8 bits a channel \(mode I;16\); convert it"):
        load_images("flowers", tmp_path)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged TIFF files
@pytest.mark.parametrize("suffix", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"])
def test_a_picture_that_is_damaged_anywhere_gets_one_line(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    whole = file.read_bytes()
    for place in range(0, len(whole), 3):
        for content in (whole[:place], whole[:place] + b"\xff\x00" + whole[place + 2 :]):
            try:
                picture_of(io.BytesIO(content), "a")
            except ValueError as error:
                assert str(error).startswith("a ")


def test_what_a_system_leaves_among_pictures_is_no_picture_and_no_class(tmp_path: Path) -> None:
    write(tmp_path / "flowers")
    clean = load_images("flowers", tmp_path).sha256
    for clutter in ("__MACOSX", ".ipynb_checkpoints"):
        write(tmp_path / "flowers", classes={clutter: (0, 0, 0)})
        write(tmp_path / clutter)
    (tmp_path / "flowers" / "rose" / "._0.png").write_bytes(b"\0\5\26\7")
    assert load_images("flowers", tmp_path).sha256 == clean
    assert [own.name for own in catalogue.find_own(tmp_path)] == ["flowers"]


@pytest.mark.parametrize("name", ["mine[1]", "a*b", "[red]x", "{c}"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, n=3)
    assert [own.name for own in catalogue.find_own(tmp_path)] == [name]
    assert load_images(f"{name}@8", tmp_path).classes == 3


def test_own_pictures_are_in_the_catalogue(tmp_path: Path) -> None:
    write(tmp_path / "flowers", n=3)
    assert [(own.name, own.kind) for own in catalogue.find_own(tmp_path)] == [("flowers", "images")]
    assert catalogue.load("flowers@4", tmp_path).train.images.shape == (6, 3, 4, 4)


def test_renamed_classes_are_another_data_set(tmp_path: Path) -> None:
    write(tmp_path / "flowers", n=3)
    first = load_images("flowers", tmp_path)
    (tmp_path / "flowers" / "rose").rename(tmp_path / "flowers" / "zinnia")
    assert load_images("flowers", tmp_path).sha256 != first.sha256


def test_own_pictures_are_checked_before_they_travel_to_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    write(tmp_path / "flowers")
    (cell, *_) = papers.paper("hard_negatives").cells("main", "smoke", [0])
    run = cell.runs[0].with_config(dataset="flowers@8")
    check_data([run])
    (tmp_path / "flowers" / "rose" / "1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="rose/1.png is not a whole picture"):
        check_data([run])
