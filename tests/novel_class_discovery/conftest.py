"""Fixtures of the tests of novel class discovery."""

import dataclasses
from typing import Any

import pytest
import torch
from discovery_stages import Handed, result

from benchmarks.novel_class_discovery import task
from benchmarks.novel_class_discovery.protocols import SMOKE
from contrastbench.data.images import Split, load_images


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """60 training digits of each class instead of 300: an epoch is four steps, and goes the same ways."""
    monkeypatch.setattr(task, "load_images", _few)


def _few(name: str) -> Any:
    images = load_images(name)
    return dataclasses.replace(images, train=_first(images.train, 60), test=_first(images.test, 20))


def _first(split: Split, count: int) -> Split:
    """The first images of each class."""
    index = torch.cat([(split.labels == label).nonzero().squeeze(1)[:count] for label in split.labels.unique()])
    return Split(split.images[index], split.labels[index])


@pytest.fixture(scope="session")
def artefacts() -> dict[str, Any]:
    """What stages 1 and 2 keep at smoke scale, trained on few digits."""
    first, second = Handed(), Handed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "load_images", _few)
        result("pretrain", SMOKE.pretrain, first)
        second.needs = {"pretrain": first.kept}
        result("supervise", SMOKE.supervise, second)
    return {"pretrain": first.kept, "supervise": second.kept}
