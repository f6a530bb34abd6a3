"""How well a network finds the novel classes, the known ones, and both when nobody says which image is of which.

And k-means on fixed features, and AutoNovel's estimate of the number of novel classes: k-means for many numbers.

N: images; F: features; K: clusters; where there are anchors, the first clusters are theirs.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from baselines.pixels import raw_pixels
from benchmarks.novel_class_discovery import config as settings
from benchmarks.novel_class_discovery.config import SUBSETS, Cluster, Estimate, Mean
from benchmarks.novel_class_discovery.model import load_encoder
from benchmarks.novel_class_discovery.stages import Training, build_network
from benchmarks.novel_class_discovery.task import Task, chunks, load_task
from benchmarks.novel_class_discovery.views import Seen
from contrastbench.evaluation.clustering import (
    agreement,
    best_matching,
    clustering_accuracy_percent,
    contingency,
    effective_clusters,
    has_collapsed,
    kmeans,
)
from contrastbench.evaluation.maps import principal_map
from contrastbench.randomness import generator, random_state
from contrastbench.runner import Checkpoint, Log

Heads = Callable[[Tensor], tuple[Tensor, Tensor]]  # features [N, F] -> logits of known classes and of clusters
STEPS = 100  # of Lloyd's at most, where anchors keep their clusters


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


# ----------------------------------------------------------------------------------------- k-means on fixed features


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
