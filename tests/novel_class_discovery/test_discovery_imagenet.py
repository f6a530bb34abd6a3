"""ImageNet 882/30 comes from a folder: it goes through both stages, and what the folder lacks is said in one line."""

import dataclasses
from pathlib import Path

import pytest
import torch
from discovery_stages import Handed, result

from benchmarks.novel_class_discovery import tables
from benchmarks.novel_class_discovery.task import imagenet
from contrastbench.randomness import generator
from contrastbench.runner import Log


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as ImageNet's: five classes of pictures of several sizes, of which two are held out."""
    from PIL import Image

    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    root, rng = tmp_path / "imagenet", generator(0, "pictures")
    for split, count in (("train", 3), ("val", 2)):
        for name in ("n01", "n02", "n03", "n04", "n05", "n06"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                height, width = (int(side) for side in torch.randint(40, 90, (2,), generator=rng))
                pixels = torch.randint(256, (height, width, 3), generator=rng, dtype=torch.uint8)
                Image.fromarray(pixels.numpy()).save(root / split / name / f"{number}.png")
    (root / "splits").mkdir()
    (root / "splits" / "imagenet_118.txt").write_text("n02\nn04\nn05\n")
    (root / "splits" / "imagenet_30_A.txt").write_text("n05\nn02\n")
    return root


def test_imagenet_comes_from_a_folder_and_goes_through_both_stages(pictures: Path) -> None:
    assert imagenet("imagenet_A").classes == ("n01", "n03", "n06", "n02", "n05")
    protocol = tables.imagenet("A")
    small = {"known": "0-2", "novel": "3-4", "epochs": 1}
    second = Handed()
    supervised = result("supervise", dataclasses.replace(protocol.supervise, **small, batch=4), second)
    assert 0 <= supervised["test_known_accuracy_percent"] <= 100
    discover = dataclasses.replace(
        protocol.discover,
        **{**small, "batch": 4, "unlabelled_batch": 2, "queue": 16, "labelled_queue": 16, "neighbours": 4, "safe": 4},
        **{"keep": 20, "ncl_from_epoch": 0, "hard_from_epoch": 0},
    )
    log = Log()
    found = result("discover", discover, Handed({"supervise": second.kept}), log=log)
    assert 0 <= found[tables.TRAIN] <= 100 and len(log.data_sha256["imagenet_A"]) == 64


def test_an_incomplete_imagenet_folder_gets_one_line(pictures: Path) -> None:
    (pictures / "splits" / "imagenet_30_B.txt").write_text("n01\n")
    with pytest.raises(ValueError, match="imagenet_30_B.txt names n01, which imagenet_118.txt does not hold out"):
        imagenet("imagenet_B")
    with pytest.raises(ValueError, match=r"imagenet_30_C.txt is missing; it lists class names"):
        imagenet("imagenet_C")
    (pictures / "val" / "n02").rename(pictures / "elsewhere")
    with pytest.raises(ValueError, match=r"val/n02 is missing; imagenet_A needs train/ and val/"):
        imagenet("imagenet_A")
