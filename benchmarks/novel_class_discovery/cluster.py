"""k-means on features that are not trained for it: how far each stage carries alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from baselines.pixels import raw_pixels
from benchmarks.novel_class_discovery import config as settings
from benchmarks.novel_class_discovery.config import Cluster
from benchmarks.novel_class_discovery.model import load_encoder
from benchmarks.novel_class_discovery.outcome import mapped
from benchmarks.novel_class_discovery.pictures import InMemory, Pictures
from benchmarks.novel_class_discovery.stages import Seen, built
from benchmarks.novel_class_discovery.task import Task, chunks, load_task
from contrastbench.evaluation.clustering import agreement, collapsed, effective_clusters, kmeans
from contrastbench.randomness import random_state
from contrastbench.runner import Checkpoint, Log


def cluster(config: Cluster, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Clusters the unlabelled training images; test images go to the nearest centre."""
    task = load_task(config, device, log)
    log.selected_by("nothing to select")
    get = Features(config, task, seed, device, checkpoint)
    train, test = get(task.train, task.labelled, len(task.train)), get(task.test_novel, 0, len(task.test_novel))
    starts, state = config.starts, random_state(seed, "k-means")
    clusters, test_clusters = kmeans(train, task.novel, seed=state, starts=starts, others=(test,))
    found = agreement(clusters, task.novel_labels_for_evaluation)
    log(0, **found)
    return {
        **{f"train_novel_{name}": value for name, value in found.items()},
        **{f"test_novel_{name}": value for name, value in agreement(test_clusters, task.test_novel_labels).items()},
        "train_effective_clusters": effective_clusters(clusters),
        "collapsed_percent": 100.0 * collapsed(clusters, task.novel),
        **mapped(test, task),
    }


class Features:
    """Features of pixels, of an untrained encoder, or of the stage that the run needs as ``features``."""

    def __init__(self, config: settings.Task, task: Task, seed: int, device: str, checkpoint: Checkpoint) -> None:
        self.source = getattr(config, "source", "stage")
        if self.source not in ("stage", "untrained", "pixels"):
            raise ValueError(f"unknown source {self.source!r}; novel_class_discovery has: stage, untrained, pixels")
        if self.source != "pixels":
            self.seen, self.model = Seen(config, task), built(config, task, {}, seed, device)
        if self.source == "stage":
            load_encoder(self.model, checkpoint.needed("features"), task.about, "features")

    def __call__(self, source: InMemory | Pictures, first: int, last: int) -> Tensor:
        """float32 [last - first, F] on the CPU."""
        if self.source == "pixels":
            return torch.cat([raw_pixels(pixels).cpu() for pixels in chunks(source, first, last)])
        return torch.cat(self.seen.all(self.model, source, first, last)).cpu()
