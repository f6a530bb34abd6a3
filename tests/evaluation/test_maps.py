"""The map of a run's features: principal components of directions, some items of each class."""

import pytest
import torch

from contrastbench.evaluation.maps import principal_map


def test_two_opposite_classes_lie_apart_along_the_first_component():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    features = torch.randn(200, 8, generator=rng) * 0.1
    features[:, 3] += torch.where(labels == 0, -5.0, 5.0)
    made = principal_map(features, labels, per_class=30)
    assert len(made["x"]) == len(made["y"]) == len(made["label"]) == 60
    side = torch.tensor(made["x"]) > 0
    assert len({(bool(where), label) for where, label in zip(side, made["label"], strict=True)}) == 2
    assert made["explained"][0] > 0.95 > made["explained"][1]


def test_the_length_of_a_feature_does_not_matter():
    features, labels = torch.randn(30, 4, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 3
    longer = features * torch.arange(1, 31)[:, None]
    assert principal_map(features, labels) == principal_map(longer, labels)


def test_a_class_with_few_items_gives_what_it_has():
    labels = torch.tensor([0] * 5 + [7])
    made = principal_map(torch.eye(6), labels, per_class=3)
    assert made["label"] == [0, 0, 0, 7]


def test_two_items_are_no_map():
    with pytest.raises(ValueError, match="3 items of 2 features, got 2 of 4"):
        principal_map(torch.ones(2, 4), torch.arange(2))
