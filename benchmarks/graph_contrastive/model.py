"""What is trained and by which loss: InfoGraph and HCL's hard negatives, and GraphCL."""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.graph_contrastive.config import Config
from contrastbench.data.graph_batches import GraphBatch
from contrastbench.data.graph_views import KINDS, Plain, augmented
from contrastbench.data.graphs import GraphSet
from contrastbench.encoders.gin import GIN, Discriminator, ProjectedGIN, xavier
from contrastbench.losses.graph import graphcl, hard_jsd, hard_jsd_as_code, jsd
from contrastbench.losses.nce import info_nce
from contrastbench.randomness import generator, random_state
from contrastbench.training import TrainingStep

Objective = Callable[[Tensor, GraphBatch], Tensor]


class Infomax(nn.Module):
    """InfoGraph's model: an encoder, and two discriminators whose dot product scores a node against a graph."""

    def __init__(self, features: int, config: Config, rng: torch.Generator) -> None:
        super().__init__()
        self.encoder = GIN(features, hidden=config.hidden, layers=config.layers)
        self.of_graphs = Discriminator(self.encoder.dimensions)
        self.of_nodes = Discriminator(self.encoder.dimensions)
        xavier(self, rng)

    def forward(self, batch: GraphBatch) -> Tensor:
        """[U, G] scores of every distinct node of the batch against every graph."""
        graphs, nodes = self.encoder(batch)
        return self.of_nodes(nodes) @ self.of_graphs(graphs).T


def objective(config: Config) -> Objective:
    """The loss of a batch's scores that the config asks for."""
    loss: Callable[..., Tensor] = jsd
    if config.method == "hard":
        of_variant = {"as_paper": hard_jsd, "as_code": hard_jsd_as_code}[config.variant]
        loss = functools.partial(of_variant, beta=config.beta, tau_plus=config.tau_plus)
    return lambda scores, batch: loss(scores, batch.pair_graph, node=batch.pair_node, count=batch.pair_count)


@dataclass(frozen=True)
class Learner:
    """What is trained, on what and how; the loss of a step, and the inputs of an epoch's steps."""

    model: nn.Module
    loss_of: Callable[..., Tensor]
    inputs_of: Callable[[int], Iterable[dict[str, Any]]]  # epoch -> inputs of ``loss_of``
    fixed_shapes: bool = True  # a GPU can capture the step

    def step(self, config: Config, device: str) -> TrainingStep:
        parameters = self.model.parameters()
        optimizer = torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        return TrainingStep(self.loss_of, optimizer, modules=[self.model], device=device, capture=self.fixed_shapes)


def infomax(config: Config, graphs: GraphSet, fixed_batches: list[GraphBatch], seed: int, device: str) -> Learner:
    """InfoGraph's or HCL's learner: every batch once an epoch, in the same order, as the authors' loaders have it."""
    model = Infomax(graphs.features.shape[1], config, generator(seed, "weights")).to(device)
    on_device = [batch.to(device) for batch in fixed_batches]

    def loss_of(number: int) -> Tensor:  # an untrained encoder has no objective
        return objective(config)(model(on_device[number]), on_device[number])

    return Learner(model, loss_of, lambda epoch: [{"number": number} for number in range(len(fixed_batches))])


TWO_VIEWS = {"graphcl": graphcl, "graphcl_info_nce": info_nce}  # the second has the positive in the denominator


def graphcl_learner(
    config: Config, graphs: GraphSet, fixed_batches: list[GraphBatch], seed: int, device: str
) -> Learner:
    """GraphCL's learner: two views of each graph must find each other among the batch.

    The augmentations of an epoch, made on the CPU, depend on seed and epoch.
    """
    model = ProjectedGIN(
        graphs.features.shape[1], hidden=config.hidden, layers=config.layers, rng=generator(seed, "weights")
    ).to(device)
    plain = [Plain.of(graphs, batch.graphs.numpy()) for batch in fixed_batches]
    on_device = [batch.to(device) for batch in fixed_batches]

    def loss_of(number: int, **views: GraphBatch) -> Tensor:
        first, second = [*([on_device[number]] if config.augmented_views == 1 else []), *views.values()]
        return TWO_VIEWS[config.method](model(first), model(second), temperature=config.temperature)

    def inputs_of(epoch: int) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(random_state(seed, "augmentation", epoch))
        for number, members in enumerate(plain):
            views = [augmented(members, KINDS[config.augmentation], rng) for _ in range(config.augmented_views)]
            yield {"number": number, **{f"view_{place}": view for place, view in enumerate(views)}}

    return Learner(model, loss_of, inputs_of, fixed_shapes=False)  # each view has its own number of nodes


def train_epoch(learner: Learner, step: TrainingStep, epoch: int) -> float:
    """Every batch once; returns the mean loss."""
    learner.model.train()
    for inputs in learner.inputs_of(epoch):
        step(**inputs)
    return step.mean_loss(epoch)
