"""InfoGraph's model, and one epoch of its training under each loss."""

from __future__ import annotations

from collections.abc import Callable

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


def train_epoch(model: Infomax, optimizer, fixed_batches: list[GraphBatch], loss_of: Objective, epoch: int) -> float:
    """One pass over the batches, in the same order every time, as the authors' loaders do. Returns the mean loss."""
    model.train()
    total = torch.zeros(())
    for batch in fixed_batches:
        loss = loss_of(model(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach().cpu()
    if not total.isfinite():
        raise FloatingPointError(f"loss became {total.item()} in epoch {epoch}")
    return total.item() / len(fixed_batches)
