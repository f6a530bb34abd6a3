"""GraphCL: two views of each graph, at least one of them augmented, must find each other among the batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.graph_contrastive.config import Config
from benchmarks.graph_contrastive.model import Learner
from contrastbench.data.graph_batches import GraphBatch
from contrastbench.data.graph_views import KINDS, Plain, augmented
from contrastbench.data.graphs import GraphSet
from contrastbench.encoders.gin import ProjectedGIN
from contrastbench.losses.graph import graphcl
from contrastbench.losses.nce import info_nce
from contrastbench.randomness import generator, random_state

LOSSES = {"graphcl": graphcl, "graphcl_info_nce": info_nce}  # the second has the positive in the denominator


def learner(config: Config, graphs: GraphSet, fixed_batches: list[GraphBatch], seed: int, device: str) -> Learner:
    """GraphCL's learner; the augmentations of an epoch, made on the CPU, depend on seed and epoch."""
    if config.augmentation not in KINDS:
        raise ValueError(f"augmentation must be one of {', '.join(KINDS)}, got {config.augmentation!r}")
    if config.augmented_views not in (1, 2):
        raise ValueError(f"augmented_views must be 1 or 2, got {config.augmented_views}")
    model = ProjectedGIN(
        graphs.features.shape[1], hidden=config.hidden, layers=config.layers, rng=generator(seed, "weights")
    ).to(device)
    plain = [Plain.of(graphs, batch.graphs.numpy()) for batch in fixed_batches]
    on_device = [batch.to(device) for batch in fixed_batches]

    def loss_of(number: int, **views: GraphBatch) -> Tensor:
        first, second = [*([on_device[number]] if config.augmented_views == 1 else []), *views.values()]
        return LOSSES[config.method](model(first), model(second), temperature=config.temperature)

    def inputs_of(epoch: int) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(random_state(seed, "augmentation", epoch))
        for number, members in enumerate(plain):
            views = [augmented(members, KINDS[config.augmentation], rng) for _ in range(config.augmented_views)]
            yield {"number": number, **{f"view_{place}": view for place, view in enumerate(views)}}

    return Learner(model, loss_of, inputs_of, fixed_shapes=False)  # each view has its own number of nodes
