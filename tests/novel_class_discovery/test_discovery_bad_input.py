"""Novel class discovery: what cannot be is said in one line that names the setting, what was given and what can be."""

import dataclasses
from typing import Any

import pytest
from discovery_stages import TASK, Handed, result

from benchmarks.novel_class_discovery.config import Estimate, Pretrain, Uno
from benchmarks.novel_class_discovery.protocols import SMOKE
from benchmarks.novel_class_discovery.task import load_task, mixed_batches
from contrastbench.runner import Log


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"novel": "7"}, "novel needs at least 2 different classes, got '7'"),
        ({"novel": "7,7"}, "novel needs at least 2 different classes, got '7,7'"),
        ({"known": "0-4", "novel": "4-6"}, "classes cannot be known and novel at once: 4"),
        ({"known": "0-4", "novel": "8-12"}, "mnist5k has classes 0 to 9; novel asks for 12"),
        ({"known": "zero"}, "known must be class numbers like 0-4 or 0-2,7, got 'zero'"),
        ({"neighbours": 129}, r"neighbours must be in \[1, 128\], the length of the queue, got 129"),
        ({"queue": 20, "neighbours": 5}, r"queue must hold a batch's \d+ images, got 20"),
        ({"batch": 4000}, "batch must be at most 1500, the number of training images; got 4000"),
        ({"batch": 64, "unlabelled_batch": 64}, "a batch of 64 with 64 unlabelled images cannot be made of 900"),
        ({"clusters": 1}, "clusters must be at least 2, or 0 for the number of novel classes; got 1"),
        ({"encoder": "resnet18_cifar"}, "the artefact of supervise was made with encoder=small, this run has encoder="),
        ({"known": "0-3", "novel": "4-5"}, "the artefact of supervise was made with known=0-2, this run has known=0-3"),
        ({"dataset": "digits"}, "the artefact of supervise was made with dataset=mnist5k, this run has dataset=digits"),
        ({"statistics": "code"}, "statistics must be own, or code for images of 3 channels, got 'code'"),
        ({"dataset": "imagenet_A", "train_images": 100}, r"train_images must be 0 \(all\) for imagenet_A, got 100"),
        ({"hard_from_epoch": 0, "ncl_from_epoch": 0, "keep": 51}, r"keep must be in \[1, 2 \* rounds \* safe = 50\]"),
    ],
)
def test_a_bad_setting_gets_one_line(change: dict[str, Any], message: str, artefacts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        result("discover", dataclasses.replace(SMOKE.discover, **change), Handed(artefacts))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "config", "message"),
    [
        ("pretrain", Pretrain(**TASK, batch=1501), "batch must be 2 to 1500, the number of training images; got 1501"),
        ("estimate", Estimate(**TASK, probe=4), "probe at most 3, the number of known classes; got 2 and 4"),
        ("estimate", Estimate(**TASK, probe=2, anchors=2), "anchors must be below probe"),
        ("uno", Uno(**TASK, batch=1501), "batch must be at most 1500"),
    ],
)
def test_a_bad_setting_of_another_stage_gets_one_line(
    stage: str, config: Any, message: str, artefacts: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        result(stage, config, Handed(artefacts))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("known", "novel", "kind"), [("0-7", "8-9", "unlabelled"), ("0", "1-9", "labelled")])
def test_a_batch_without_one_of_the_two_kinds_gets_one_line(known: str, novel: str, kind: str) -> None:
    task = load_task(dataclasses.replace(SMOKE.discover, known=known, novel=novel), "cpu", Log())
    with pytest.raises(ValueError, match=f"batch [0-9]+ of epoch 0 has no {kind} image; a batch of 4 is too small"):
        mixed_batches(task, 4, 0, seed=0, epoch=0)
