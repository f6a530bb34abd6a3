"""InfoGraph's model, and one epoch of its training under each loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.graph_contrastive.config import Config
from contrastbench.data.graph_batches import GraphBatch
from contrastbench.encoders.graphs import GIN, Discriminator, xavier
from contrastbench.losses.graph import hard_jsd, hard_jsd_as_code, jsd

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
    losses = {
        ("infograph", "as_paper"): lambda *pairs, **rows: jsd(*pairs, **rows),
        ("hard", "as_paper"): lambda *pairs, **rows: hard_jsd(
            *pairs, beta=config.beta, tau_plus=config.tau_plus, **rows
        ),
        ("hard", "as_code"): lambda *pairs, **rows: hard_jsd_as_code(
            *pairs, beta=config.beta, tau_plus=config.tau_plus, **rows
        ),
    }
    loss = losses[config.method, config.variant]
    return lambda scores, batch: loss(scores, batch.pair_graph, node=batch.pair_node, count=batch.pair_count)


def losses(model: Infomax, fixed_batches: list[GraphBatch], config: Config) -> Iterator[Tensor]:
    """The loss of every batch, in the same order every epoch, as the authors' loaders have it."""
    loss_of = objective(config)
    for batch in fixed_batches:
        yield loss_of(model(batch), batch)


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, losses: Iterator[Tensor], epoch: int) -> float:
    """A step for every loss, each computed after the step before it. Returns their mean."""
    model.train()
    done = []
    for loss in losses:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done.append(loss.detach())
    mean = torch.stack(done).mean().item()
    if not math.isfinite(mean):
        raise FloatingPointError(f"loss became {mean} in epoch {epoch}")
    return mean
