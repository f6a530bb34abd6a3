"""k-means on fixed features, and AutoNovel's estimate of the number of novel classes: k-means for many numbers.

N: images clustered; F: features; K: clusters; the first clusters are those of the anchors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from baselines.pixels import raw_pixels
from benchmarks.novel_class_discovery import config as settings
from benchmarks.novel_class_discovery.config import Cluster, Estimate
from benchmarks.novel_class_discovery.model import load_encoder
from benchmarks.novel_class_discovery.outcome import by_k_means, spread_and_map
from benchmarks.novel_class_discovery.stages import build_network
from benchmarks.novel_class_discovery.task import Task, chunks, load_task
from benchmarks.novel_class_discovery.views import Seen
from contrastbench.evaluation.clustering import clustering_accuracy_percent
from contrastbench.randomness import generator, random_state
from contrastbench.runner import Checkpoint, Log

STEPS = 100  # of Lloyd's at most, where anchors keep their clusters


def cluster(config: Cluster, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Clusters the unlabelled training images; test images go to the nearest centre."""
    task = load_task(config, device, log)
    log.selected_by("nothing to select")
    get = features_of(config, task, seed, device, checkpoint)
    train, test = get(task.train, task.labelled), get(task.test_novel)
    metrics, clusters = by_k_means(train, test, task, seed, config.starts, name="")
    log(0, **metrics)
    return {**metrics, **spread_and_map(clusters, test, task)}


def features_of(
    config: settings.Task, task: Task, seed: int, device: str, checkpoint: Checkpoint
) -> Callable[..., Tensor]:
    """What gives a source's images from ``first`` on as float32 [N, F] on the CPU.

    Features are of pixels, of an untrained encoder, or of the stage that the run needs as ``features``.
    """
    kind = getattr(config, "source", "stage")
    if kind == "pixels":
        return lambda source, first=0: torch.cat([raw_pixels(pixels).cpu() for pixels in chunks(source, first)])
    seen, model = Seen(config, task), build_network(config, task, {}, seed, device)
    if kind != "untrained":
        load_encoder(model, checkpoint.needed("features"), task.about, "features")
    return lambda source, first=0: seen.all(model, source, first).cpu()


# ------------------------------------------------------------------------------------------ the number of classes


def estimate(
    config: Estimate, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> dict[str, float | list[float]]:
    """Estimates the number of novel classes.

    One number of clusters finds hidden known classes best, one has the best silhouette. The estimate is their mean,
    less the clusters that stay tiny.

    Source: Han et al. 2019, arXiv:1908.09884, section 3.3 (there for DTC); AutoNovel uses the same.
    """
    task = load_task(config, device, log)
    if not 1 <= config.anchors < config.probe <= task.known:
        raise ValueError(
            f"anchors must be below probe and probe at most {task.known}, the number of known classes; "
            f"got {config.anchors} and {config.probe}"
        )
    most = min(config.most, task.unlabelled // 2)
    log.selected_by("mean of the best number by hidden known classes and by silhouette")
    log.total(most - 1, unit="numbers of classes")
    features, labels = gather(config, task, seed, device, checkpoint)
    unlabelled = labels < 0
    found: dict[int, tuple[float, float]] = {}
    for number in range(2, most + 1):
        clusters = cluster_with_anchors(config, features, labels, number, seed)
        hidden = (labels >= config.anchors) & ~unlabelled
        accuracy = clustering_accuracy_percent(clusters[hidden], labels[hidden] - config.anchors)
        found[number] = accuracy, silhouette(config, features[unlabelled], clusters[unlabelled], seed)
        log(number - 2, accuracy=accuracy, silhouette=found[number][1])
    by_accuracy, by_silhouette = (max(found, key=lambda n, place=place: found[n][place]) for place in range(2))
    number = round((by_accuracy + by_silhouette) / 2)
    kept = novel_clusters(config, cluster_with_anchors(config, features, labels, number, seed), unlabelled)
    return {
        "estimated_classes": float(kept),
        "estimate_error_classes": float(kept - task.novel),
        "absolute_error_classes": float(abs(kept - task.novel)),
        "by_hidden_classes": float(by_accuracy),
        "by_silhouette": float(by_silhouette),
        "numbers": [float(number) for number in found],
        "hidden_accuracy_percent": [accuracy for accuracy, _ in found.values()],
        "silhouette": [value for _, value in found.values()],
    }


def novel_clusters(config: Estimate, clusters: Tensor, unlabelled: Tensor) -> int:
    """How many clusters are novel classes: those with more unlabelled images than others, and not tiny."""
    most = int(clusters.max()) + 1
    inside, others = (torch.bincount(clusters[part], minlength=most) for part in (unlabelled, ~unlabelled))
    return int(((inside > others) & (inside >= config.least_share * inside.max())).sum())


def gather(config: Estimate, task: Task, seed: int, device: str, checkpoint: Checkpoint) -> tuple[Tensor, Tensor]:
    """Features of the probe classes' images and of the unlabelled ones, and labels: -1 where there is none.

    The probe classes are the last known ones, numbered from 0 on.
    """
    get = features_of(config, task, seed, device, checkpoint)
    everything = get(task.train)
    chosen = []
    for place in range(task.known - config.probe, task.known):
        members = (task.labels == place).nonzero().squeeze(1)
        order = torch.randperm(len(members), generator=generator(seed, "probe", place))
        chosen.append(members[order[: config.images_per_class or len(members)]])
    index = torch.cat(chosen)
    probe = task.labels[index] - (task.known - config.probe)
    features = torch.cat([everything[index], everything[task.labelled :]])
    return features.double(), torch.cat([probe, torch.full((task.unlabelled,), -1)])


def cluster_with_anchors(config: Estimate, features: Tensor, labels: Tensor, number: int, seed: int) -> Tensor:
    """k-means in which the anchors' images keep their clusters: as many as probe classes and ``number`` more.

    Returns:
        int64 [N] clusters of the tightest of several starts.
    """
    clusters = config.probe + number
    anchored = (labels >= 0) & (labels < config.anchors)
    rng = generator(random_state(seed, "k-means"), "starts", number)
    best, least = torch.zeros(0), float("inf")
    for _ in range(config.starts):
        centres = _first_centres(features, labels, config.anchors, clusters, rng)
        assigned, tightness = _lloyd(features, labels, anchored, centres)
        if tightness < least:
            best, least = assigned, tightness
    return best


def _first_centres(features: Tensor, labels: Tensor, anchors: int, clusters: int, rng: torch.Generator) -> Tensor:
    """The anchors' means, then images far from all centres so far, at random by squared distance (k-means++)."""
    centres = [features[labels == anchor].mean(dim=0) for anchor in range(anchors)]
    distance = torch.cdist(features, torch.stack(centres)).amin(dim=1).square()
    for _ in range(clusters - anchors):
        place = torch.multinomial(distance.clamp_min(1e-12), 1, generator=rng).squeeze()
        centres.append(features[place])
        distance = torch.minimum(distance, (features - centres[-1]).square().sum(dim=1))
    return torch.stack(centres)


def _lloyd(features: Tensor, labels: Tensor, anchored: Tensor, centres: Tensor) -> tuple[Tensor, float]:
    """Assigns and averages until nothing changes; returns the clusters and the sum of squared distances."""
    assigned = torch.full((len(features),), -1)
    for _ in range(STEPS):
        distance = torch.cdist(features, centres)
        nearest = torch.where(anchored, labels, distance.argmin(dim=1))
        if torch.equal(nearest, assigned):
            break
        assigned = nearest
        members = torch.nn.functional.one_hot(assigned, len(centres)).to(features)
        sizes = members.sum(dim=0)
        centres = torch.where((sizes > 0)[:, None], members.T @ features / sizes.clamp_min(1)[:, None], centres)
    return assigned, float(torch.cdist(features, centres).gather(1, assigned[:, None]).square().sum())


def silhouette(config: Estimate, features: Tensor, clusters: Tensor, seed: int) -> float:
    """Mean silhouette of some unlabelled images; -1 where they fell into one cluster."""
    from sklearn.metrics import silhouette_score

    chosen = torch.randperm(len(features), generator=generator(seed, "silhouette"))[: config.silhouette_images]
    if len(clusters[chosen].unique()) < 2:
        return -1.0
    return float(silhouette_score(features[chosen].numpy(), clusters[chosen].numpy()))
