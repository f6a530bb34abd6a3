"""Ranks each user's held-out item: by an encoder, or by counts, which need no training."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from baselines.next_item import Transitions, popularity
from benchmarks.sequential_recommendation.batches import read_interactions
from benchmarks.sequential_recommendation.config import Count
from contrastbench.data.interactions import Split
from contrastbench.evaluation.ranking import ranking_metrics
from contrastbench.runner import Checkpoint, Log


def count(config: Count, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Ranks by counts over the sequences. Computed on the CPU."""
    data = read_interactions(config.dataset).first(config.users)
    log.data(config.dataset, data.sha256)
    log.selected_by("nothing to select")
    split = Split(data)
    histories, targets = split.questions("test")
    counted = {"training": split.training, "before_test": histories, "all": data.sequences}[config.actions]
    if config.method == "popularity":
        popular = popularity(counted, data.items)

        def scores_of(users: np.ndarray) -> Tensor:
            return popular.repeat(len(users), 1)
    else:
        after = Transitions(counted, data.items)

        def scores_of(users: np.ndarray) -> Tensor:
            return after.scores(np.array([histories[user][-1] for user in users]))

    ranks: dict[str, Tensor] = {}
    metrics = ranking_metrics(scores_of, histories, targets, ranks=ranks)
    checkpoint.keep(ranks=ranks)
    return metrics
