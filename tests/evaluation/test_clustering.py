"""Clusters against classes: the best matching is the best of all, and the collapse rule needs no labels."""

import itertools

import pytest
import torch

from contrastbench.evaluation.clustering import (
    agreement,
    clustering_accuracy_percent,
    contingency,
    effective_clusters,
    has_collapsed,
    kmeans,
)
from contrastbench.randomness import generator


def drawn(count, clusters, classes, seed):
    rng = generator(seed, "clusters")
    return torch.randint(clusters, (count,), generator=rng), torch.randint(classes, (count,), generator=rng)


@pytest.mark.parametrize(("clusters", "classes"), [(4, 4), (3, 5), (5, 3), (1, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_accuracy_is_the_best_of_all_matchings(clusters, classes, seed):
    found, truth = drawn(30, clusters, classes, seed)
    many = max(clusters, classes)
    best = max(
        sum(order[c] == t for c, t in zip(found.tolist(), truth.tolist(), strict=True))
        for order in itertools.permutations(range(many))
    )
    assert clustering_accuracy_percent(found, truth) == pytest.approx(100 * best / 30)


def test_numbering_of_the_clusters_does_not_matter():
    found, truth = drawn(50, 4, 4, 0)
    renamed = torch.tensor([2, 0, 3, 1])[found]
    assert agreement(found, truth) == pytest.approx(agreement(renamed, truth))
    assert agreement(torch.tensor([3, 1, 0, 2])[truth], truth) == pytest.approx(
        {"accuracy_percent": 100.0, "nmi_percent": 100.0, "ari_percent": 100.0}
    )


def test_contingency_counts_pairs():
    counts = contingency(torch.tensor([0, 2, 2, 0]), torch.tensor([1, 0, 0, 0]))
    assert counts.tolist() == [[1, 1], [0, 0], [2, 0]]


def test_effective_clusters_and_collapse():
    assert effective_clusters(torch.arange(20) % 5) == pytest.approx(5.0)
    assert effective_clusters(torch.zeros(9, dtype=torch.long)) == pytest.approx(1.0)
    assert not has_collapsed(torch.arange(20) % 3, wanted=5)
    assert has_collapsed(torch.arange(20) % 2, wanted=5)
    mostly_one = torch.cat([torch.zeros(96, dtype=torch.long), torch.arange(1, 5)])
    assert has_collapsed(mostly_one, wanted=5)


def test_kmeans_finds_what_is_apart_and_places_other_features_at_the_nearest_centre():
    rng = generator(0, "blobs")
    truth = torch.arange(90) % 3
    features = 10 * torch.eye(3)[truth] + torch.randn(90, 3, generator=rng)
    clusters, others = kmeans(features, 3, seed=0, starts=2, others=(10 * torch.eye(3),))
    assert clustering_accuracy_percent(clusters, truth) == 100.0
    assert others.tolist() == [int(clusters[truth == number][0]) for number in range(3)]
    assert torch.equal(kmeans(features, 3, seed=0, starts=2)[0], clusters)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: contingency(torch.zeros(3).long(), torch.zeros(2).long()), r"of one length, got \[3\] and \[2\]"),
        (lambda: contingency(torch.zeros(0).long(), torch.zeros(0).long()), r"got \[0\] and \[0\]"),
        (lambda: contingency(torch.tensor([-1]), torch.tensor([0])), "numbered from 0 on"),
        (lambda: kmeans(torch.ones(3, 2), 4, seed=0), r"clusters must be in \[1, 3\]"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="not finite"):
        kmeans(torch.tensor([[1.0], [float("nan")]]), 1, seed=0)
