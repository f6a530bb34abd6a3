"""How well a network finds the novel classes, the known ones, and both when nobody says which image is of which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.novel_class_discovery.config import SUBSETS, Mean
from benchmarks.novel_class_discovery.stages import Training
from benchmarks.novel_class_discovery.task import Task
from contrastbench.evaluation.clustering import (
    agreement,
    best_matching,
    contingency,
    effective_clusters,
    has_collapsed,
    kmeans,
)
from contrastbench.evaluation.maps import principal_map
from contrastbench.randomness import random_state
from contrastbench.runner import Checkpoint, Log

Heads = Callable[
    [Tensor], tuple[Tensor, Tensor]
]  # features [N, F] -> logits of known classes [N, C_l], clusters [N, K]


def outcome(training: Training, heads: Heads, k_means_seed: int | None = None) -> dict[str, float | list[float]]:
    """Metrics of the last epoch, in percent; ``train`` is the unlabelled training images, ``test`` the test images.

    Task-aware: images of novel classes are judged by the novel head alone, those of known classes by theirs.
    Task-agnostic: the greatest logit of both heads counts, and an image of a novel class that goes to a known one is
    wrong, as is the reverse. The clusters' matching with the novel classes is the best one for each split.

    Args:
        k_means_seed: k-means on the features is measured too, with starts of this seed.
    """
    seen, task = training.seen, training.seen.task
    with torch.no_grad():
        train_features = seen.all(training.network, task.train, task.labelled)
        features, others = (seen.all(training.network, part) for part in (task.test_novel, task.test_known))
        (_, train), (novel_known, novel), (known, known_novel) = map(heads, (train_features, features, others))
    clusters = train.argmax(dim=1).cpu()
    metrics = agreements(clusters, novel.argmax(dim=1).cpu(), task)
    metrics["test_known_accuracy_percent"] = _percent(known.argmax(dim=1).cpu() == task.test_known_labels)
    metrics |= agnostic(torch.cat([known, known_novel], 1), torch.cat([novel_known, novel], 1), task)
    if k_means_seed is not None:
        metrics |= by_k_means(train_features.cpu(), features.cpu(), task, k_means_seed, 10)[0]
    return {**metrics, **spread_and_map(clusters, features.cpu(), task)}


def by_k_means(
    train: Tensor, test: Tensor, task: Task, seed: int, starts: int, name: str = "kmeans_"
) -> tuple[dict[str, float], Tensor]:
    """How well k-means finds the novel classes, and the clusters of the training images.

    Args:
        train, test: [N, F] features of the unlabelled training images and of the novel test images, which go to the
            nearest centre.
        seed: of the run.
    """
    state = random_state(seed, "k-means")
    clusters, others = kmeans(train, task.novel, seed=state, starts=starts, others=(test,))
    return agreements(clusters, others, task, name), clusters


def agreements(train: Tensor, test: Tensor, task: Task, name: str = "") -> dict[str, float]:
    """How well clusters of the unlabelled training images and of the novel test images agree with their classes."""
    splits = {"train": (train, task.novel_labels_for_evaluation), "test": (test, task.test_novel_labels)}
    return {
        f"{split}_novel_{name}{measure}": value
        for split, pair in splits.items()
        for measure, value in agreement(*pair).items()
    }


def agnostic(known: Tensor, novel: Tensor, task: Task) -> dict[str, float]:
    """Accuracies on test images when a prediction is any known class or any cluster.

    Args:
        known, novel: [N, C_l + K] logits of the test images of known and of novel classes.
    """
    right_known = known.argmax(dim=1).cpu() == task.test_known_labels
    clusters = novel.argmax(dim=1).cpu() - task.known  # below 0: taken for a known class
    is_cluster, matched = clusters >= 0, 0
    if is_cluster.any():
        counts = contingency(clusters[is_cluster], task.test_novel_labels[is_cluster])
        matched = int(counts[best_matching(counts)].sum())
    both = int(right_known.sum()) + matched
    return {
        "test_agnostic_known_accuracy_percent": _percent(right_known),
        "test_agnostic_novel_accuracy_percent": 100 * matched / len(clusters),
        "test_agnostic_accuracy_percent": 100 * both / (len(right_known) + len(clusters)),
    }


def spread_and_map(clusters: Tensor, features: Tensor, task: Task) -> dict[str, Any]:
    """Into how many clusters the training images fell, and a map of some novel test images for the paper's figure."""
    return {
        "train_effective_clusters": effective_clusters(clusters),
        "collapsed_percent": 100.0 * has_collapsed(clusters, task.novel),
        **{f"map_{name}": values for name, values in principal_map(features, task.test_novel_labels).items()},
    }


def _percent(right: Tensor) -> float:
    return 100 * float(right.float().mean())


def mean(config: Mean, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Each metric's mean over the subsets' runs."""
    log.selected_by("nothing to select")
    rows = [checkpoint.needed_metrics(subset) for subset in SUBSETS]
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
