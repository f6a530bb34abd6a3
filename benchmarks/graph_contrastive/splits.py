"""What all methods of a seed share: the order of the graphs, the folds, and when a run is evaluated."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.graph_contrastive.config import Config
from contrastbench.data.graphs import GraphSet
from contrastbench.evaluation.svm import Fold, stratified_folds
from contrastbench.randomness import generator, random_state

FOLD_DRAWS = 10  # per embedding, in the stage that measures what the draw of the folds is worth


def shuffle(graphs: GraphSet, seed: int) -> np.ndarray:
    """The one order in which a run reads its graphs."""
    return torch.randperm(len(graphs), generator=generator(seed, "order")).numpy()


def folds_of(config: Config, graphs: GraphSet, seed: int, draw: int = 0) -> list[Fold]:
    """Outer folds of the shuffled graphs: the same for all methods of a seed.

    Args:
        draw: 0 for the folds of every run of the seed; further ones only measure what the draw is worth.
    """
    labels = graphs.labels.numpy()[shuffle(graphs, seed)]
    return stratified_folds(labels, config.folds, random_state(seed, "split", draw or None))


def evaluated_epochs(config: Config) -> list[int]:
    return sorted({epoch for epoch in config.evaluate_at if epoch <= config.epochs} | {config.epochs})
