"""Image data sets: the embedded ones, the files of a data root, and what is said where something is wrong."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import warnings
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from contrastbench.data import catalogue, sources
from contrastbench.data.images import load_images, stratified_split
from contrastbench.randomness import generator


def parquet_folder(root: Path, name: str = "cifar10", *, label: str = "label", n: int = 12) -> np.ndarray:
    """Writes both splits in the Hugging Face layout, as PNG; returns the pixels [n, 32, 32, 3]."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    pictures = []
    for picture in pixels:
        encoded = io.BytesIO()
        Image.fromarray(picture).save(encoded, "png")
        pictures.append({"bytes": encoded.getvalue(), "path": None})
    (root / name).mkdir(parents=True)
    for split in ("train", "test"):
        table = pyarrow.table({"img": pictures, label: [i % 3 for i in range(n)]})
        pyarrow.parquet.write_table(table, root / name / f"{split}-00000-of-00001.parquet")
    return pixels


def test_mnist5k_is_balanced_and_known(tmp_path: Path) -> None:
    digits = load_images("mnist5k", tmp_path)
    assert digits.train.images.shape == (3000, 1, 28, 28) and digits.test.images.shape == (2000, 1, 28, 28)
    assert digits.train.images.dtype == torch.uint8 and digits.train.labels.dtype == torch.int64
    assert digits.train.labels.bincount().tolist() == [300] * 10
    assert digits.test.labels.bincount().tolist() == [200] * 10
    assert digits.origin == "embedded" and digits.sha256 in catalogue.DATA_SETS["mnist5k"].known
    pixels = digits.train.images.double() / 255
    assert digits.mean[0] == pytest.approx(float(pixels.mean())) and digits.std[0] == pytest.approx(
        float(pixels.std(correction=0))
    )


def test_every_data_set_that_comes_with_the_suite_has_its_licence_beside_it() -> None:
    folders = [place for place in sources.FILES.iterdir() if place.is_dir()]
    assert sorted(folder.name for folder in folders) == ["MUTAG", "mnist5k"]
    assert all("icen" in (folder / "LICENSE.txt").read_text() for folder in folders)


def test_no_embedded_test_image_is_a_training_image(tmp_path: Path) -> None:
    for name in ("mnist5k", "digits"):
        parts = load_images(name, tmp_path)
        train = {image.numpy().tobytes() for image in parts.train.images}
        assert not any(image.numpy().tobytes() in train for image in parts.test.images)


def test_parquet_files_come_back_pixel_by_pixel(tmp_path: Path) -> None:
    pixels = parquet_folder(tmp_path)
    images = load_images("cifar10", tmp_path)
    assert np.array_equal(images.train.images.numpy(), pixels.transpose(0, 3, 1, 2))
    assert images.train.labels.tolist() == [i % 3 for i in range(12)] and images.classes == 3
    assert images.origin == "Hugging Face parquet" and images.copy == "a copy that the catalogue does not know"


def test_the_checksum_follows_the_content(tmp_path: Path) -> None:
    parquet_folder(tmp_path / "a")
    parquet_folder(tmp_path / "b")
    parquet_folder(tmp_path / "c", n=13)
    a, b, c = (load_images("cifar10", tmp_path / name).sha256 for name in "abc")
    assert a == b != c


def test_the_environment_names_the_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet_folder(tmp_path)
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    assert len(load_images("cifar10").test) == 12


def test_idx_files_are_read(tmp_path: Path) -> None:
    pixels = np.arange(2 * 28 * 28, dtype=np.int64).reshape(2, 28, 28) % 256
    for part in ("train", "t10k"):
        images = struct.pack(">4B3i", 0, 0, 8, 3, 2, 28, 28) + pixels.astype(np.uint8).tobytes()
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">4Bi", 0, 0, 8, 1, 2) + b"\7\3")
        )
    (images, labels), _ = sources.from_debian("fashion_mnist", tmp_path)
    assert np.array_equal(images[:, 0], pixels) and labels.tolist() == [7, 3]
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz is not a whole IDX file"):
        sources.from_debian("fashion_mnist", tmp_path)


def test_unknown_data_sets_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown data set of images 'cifar'; .*, the nearest: cifar10, cifar100"):
        load_images("cifar")


def test_missing_data_says_where_it_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        load_images("cifar100", tmp_path, download=False)
    message = str(caught.value)
    assert str(tmp_path) in message and "set CONTRASTBENCH_DATA" in message
    assert "allow the download: contrastbench data fetch cifar100" in message and "\n" not in message


def test_decoded_pictures_are_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet_folder(tmp_path)
    first = load_images("cifar10", tmp_path)
    assert [file.name[:16] for file in (tmp_path / "cifar10").glob("*.npz")] == ["cifar10-decoded-"]
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("decoded again"))
    again = load_images("cifar10", tmp_path)
    assert (
        again.sha256 == first.sha256 and again.mean == first.mean and torch.equal(again.test.labels, first.test.labels)
    )


def test_other_files_are_decoded_anew(tmp_path: Path) -> None:
    parquet_folder(tmp_path)
    load_images("cifar10", tmp_path)
    for file in (tmp_path / "cifar10").glob("*.parquet"):
        file.unlink()
    parquet_folder(tmp_path / "other", n=13)
    for file in (tmp_path / "other" / "cifar10").glob("*.parquet"):
        file.replace(tmp_path / "cifar10" / file.name)
    assert len(load_images("cifar10", tmp_path).train) == 13


@pytest.mark.parametrize("damage", ["one byte", "half the file", "no zip"])
def test_a_damaged_file_of_decoded_pictures_is_noticed_and_made_again(tmp_path: Path, damage: str) -> None:
    parquet_folder(tmp_path)
    whole = load_images("cifar10", tmp_path)
    (file,) = (tmp_path / "cifar10").glob("*.npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes({"one byte": content, "half the file": content[: len(content) // 2], "no zip": b"?"}[damage])
    with pytest.warns(UserWarning, match="decoded-.*npz is damaged .*; the pictures are decoded again"):
        assert load_images("cifar10", tmp_path).sha256 == whole.sha256
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_images("cifar10", tmp_path).sha256 == whole.sha256


def test_decoded_pictures_of_a_data_root_that_may_not_be_written_go_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet_folder(tmp_path / "data")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    may = os.access
    monkeypatch.setattr("os.access", lambda place, mode: "data" not in Path(place).parts and may(place, mode))
    with pytest.warns(UserWarning, match=r"data/cifar10 takes no decoded pictures; .*/decoded keeps them \(0 MB\)"):
        first = load_images("cifar10", tmp_path / "data")
    assert not list((tmp_path / "data" / "cifar10").glob("*.npz"))
    kept = list((tmp_path / "home/.cache/contrastbench/decoded").iterdir())
    assert [file.suffix for file in kept] == [".npz"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert load_images("cifar10", tmp_path / "data").sha256 == first.sha256


def test_a_full_disk_beside_the_data_leaves_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet_folder(tmp_path / "data")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    save = np.savez

    def full_beside(file, **arrays: np.ndarray) -> None:
        if "home" not in file.name:
            raise OSError("no space left on device")
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", full_beside)
    with pytest.warns(UserWarning, match="takes no decoded pictures"):
        load_images("cifar10", tmp_path / "data")
    assert not [file for file in (tmp_path / "data" / "cifar10").iterdir() if file.suffix != ".parquet"]
    assert len(list((tmp_path / "home/.cache/contrastbench/decoded").iterdir())) == 1


def test_where_nothing_can_be_kept_the_pictures_are_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet_folder(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match="decoded pictures cannot be kept in .*no space left"):
        assert len(load_images("cifar10", tmp_path).train) == 12
    assert not list((tmp_path / "cifar10").glob("*decoded*.npz"))


def test_a_reencoded_set_has_the_same_labels_and_slightly_other_pixels(tmp_path: Path) -> None:
    parquet_folder(tmp_path)
    smooth = np.linspace(0, 255, 32 * 32 * 3).astype(np.uint8).reshape(1, 32, 32, 3)
    (images, labels), _ = sources.encode_again("x", [(smooth.transpose(0, 3, 1, 2), np.zeros(1))] * 2, 95, tmp_path)
    assert 0 < np.abs(images.astype(int) - smooth.transpose(0, 3, 1, 2)).mean() < 8
    plain, copied = (load_images(name, tmp_path) for name in ("cifar10", "cifar10_reencoded"))
    assert torch.equal(plain.train.labels, copied.train.labels) and plain.sha256 != copied.sha256
    assert copied.origin == "Hugging Face parquet, encoded once more"


def test_a_wrong_column_is_named_beside_those_there_are(tmp_path: Path) -> None:
    parquet_folder(tmp_path, label="klass")
    with pytest.raises(ValueError, match="parquet has no column 'label'; its columns are: img, klass"):
        load_images("cifar10", tmp_path)


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    parquet_folder(tmp_path)
    file = tmp_path / "cifar10" / "test-00000-of-00001.parquet"
    table = pyarrow.parquet.read_table(file)
    words = pyarrow.array(["cat"] * 12)
    pyarrow.parquet.write_table(table.set_column(1, "label", words), file)
    with pytest.raises(ValueError, match="column 'label' of .* must hold class numbers from 0 on, got string"):
        load_images("cifar10", tmp_path)
    pyarrow.parquet.write_table(table.set_column(0, "img", words), file)
    with pytest.raises(ValueError, match="row 0 of .*test-00000-of-00001.parquet is not a picture"):
        load_images("cifar10", tmp_path)


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    parquet_folder(tmp_path)
    file = tmp_path / "cifar10" / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="train-00000-of-00001.parquet is not a whole parquet file"):
        load_images("cifar10", tmp_path)


def test_classes_that_cannot_be_learned_are_refused(tmp_path: Path) -> None:
    parquet_folder(tmp_path)
    train, test = (tmp_path / "cifar10" / f"{part}-00000-of-00001.parquet" for part in ("train", "test"))
    table = pyarrow.parquet.read_table(train)

    def write(file: Path, labels: list[int]) -> None:
        pyarrow.parquet.write_table(table.set_column(1, "label", pyarrow.array(labels)), file)

    def says(message: str) -> None:
        with pytest.raises(ValueError, match=message):
            load_images("cifar10", tmp_path)

    write(test, [0, 1, 7] * 4)
    says("the test part of cifar10 has the class 7, which the training part has not")
    write(test, [0, 1, 2**40] * 4)
    says(r"row 2 of .*test-.*parquet has 1099511627776 in column 'label'; class numbers must be in \[0, 100000\)")
    write(test, [0, -1, 2] * 4)
    says("row 1 of .* has -1 in column 'label'; class numbers must be in")
    write(test, [1] * 12)
    write(train, [1] * 12)
    says("all training pictures of cifar10 are of one class; at least 2 are needed")
    write(train, [0, 1] * 6)
    assert load_images("cifar10", tmp_path).classes == 2


MNIST_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def mnist_folder(root: Path) -> Path:
    """MNIST/raw with 3 + 3 tiny pictures."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in MNIST_FILES:
        images = "images" in name
        header = struct.pack(">4B3i", 0, 0, 8, 3, 3, 2, 2) if images else struct.pack(">4Bi", 0, 0, 8, 1, 3)
        (raw / f"{name}-ubyte").write_bytes(header + bytes(range(12 if images else 3)))
    return raw


def test_only_the_published_mnist_is_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = mnist_folder(tmp_path)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is not the published file: .* not the md5 6bbc9a"):
        load_images("mnist", tmp_path)
    sums = [
        hashlib.md5((raw / f"{name}-ubyte").read_bytes(), usedforsecurity=False).hexdigest() for name in MNIST_FILES
    ]
    monkeypatch.setitem(sources.IDX_MD5, "mnist", tuple(sums))
    images = load_images("mnist", tmp_path)
    assert images.train.images.flatten().tolist() == list(range(12)) and images.test.labels.tolist() == [0, 1, 2]
    for name in MNIST_FILES:
        file = raw / f"{name}-ubyte"
        whole = file.read_bytes()
        for damage in (b"", b"?" * 50, np.random.default_rng(0).bytes(400), whole[:-1], whole + b"x", whole[:3]):
            file.write_bytes(damage)
            with pytest.raises(
                ValueError, match=f"{name}-ubyte is not a whole IDX file .*; put the published"
            ) as caught:
                load_images("mnist", tmp_path)
            assert "\n" not in str(caught.value)
        (raw / f"{name}-ubyte.gz").write_bytes(gzip.compress(whole))
        file.unlink()
    assert load_images("mnist", tmp_path).sha256 == images.sha256
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="a file of .*MNIST/raw is missing or damaged; .*data fetch mnist"):
        load_images("mnist", tmp_path, download=False)


class Boom:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_a_pickle_in_mnists_folder_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision reads MNIST/processed first, where its versions before 2021 left pickles."""
    processed = tmp_path / "MNIST" / "processed"
    processed.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        (processed / name).write_bytes(pickle.dumps(Boom()))
    with pytest.raises(ValueError, match="'mnist' not found"):
        load_images("mnist", tmp_path, download=False)
    monkeypatch.setattr("torchvision.datasets.MNIST.download", lambda self: mnist_folder(tmp_path))
    with pytest.raises(ValueError, match="is not the published file"):
        load_images("mnist", tmp_path, download=True)


def test_stratified_split_takes_the_share_of_each_class() -> None:
    labels = torch.tensor([0] * 10 + [1] * 20 + [2] * 5)
    kept, held_out = stratified_split(labels, 0.4, generator(0, "split"))
    assert labels[held_out].bincount().tolist() == [4, 8, 2]
    assert sorted(torch.cat([kept, held_out]).tolist()) == list(range(35))
    with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\), got 1.5"):
        stratified_split(labels, 1.5, generator(0, "split"))


def test_the_catalogue_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, contrastbench.data; print('torch' in sys.modules, len(contrastbench.data.DATA_SETS) > 5)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]
