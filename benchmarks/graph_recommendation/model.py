"""The recommender: an embedding of each user and item, propagated over their graph.

Dimensions: U users, I items, N = U + I nodes (users first), D width, b users of a batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmarks.graph_recommendation.config import Train
from contrastbench.data.pairs import Pairs
from contrastbench.encoders.bipartite import Adjacency, Layers, propagate
from contrastbench.losses.parts import unit


class Recommender(nn.Module):
    """``ego`` [N, D] is E_0. The graph is no part of the state."""

    def __init__(self, config: Train, data: Pairs, graph: Adjacency, rng: torch.Generator) -> None:
        super().__init__()
        self.config, self.users, self.items = config, data.users, data.items
        self.embeddings = nn.Parameter(first_embeddings(config, data, rng), requires_grad=config.trained != "map")
        if config.trained == "map":
            self.map = nn.Parameter(torch.eye(config.width))
        self.layers = Layers([graph] * self.depth)

    @property
    def depth(self) -> int:
        return max(self.config.layers, self.config.structure_layer if self.config.method == "ncl" else 0)

    def to(self, *arguments, **options) -> Recommender:
        moved = super().to(*arguments, **options)
        moved.layers = self.layers.to(self.embeddings.device)
        return moved

    @property
    def ego(self) -> Tensor:
        return self.embeddings @ self.map if self.config.trained == "map" else self.embeddings

    def sides(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """The users' rows and the items'."""
        return nodes[: self.users], nodes[self.users :]

    def readout(self, outputs: list[Tensor]) -> Tensor:
        """z [N, D] from E_0 to E_L."""
        outputs = outputs[: self.config.layers + 1]
        if self.config.readout == "no_ego":
            outputs = outputs[1:] or outputs
        if len(outputs) == 1:
            return outputs[0]
        total = outputs[0] + outputs[1]
        for output in outputs[2:]:
            total += output  # in place: new memory would cost more than the sum
        if self.config.readout != "sum":
            total /= len(outputs)
        return total

    @torch.no_grad()
    def final(self) -> tuple[Tensor, Tensor]:
        """What the test ranks by: no noise, the whole graph."""
        (outputs,) = propagate(self.ego, self.layers)
        z = self.readout(outputs)
        return self.sides(unit(z) if self.config.similarity == "cosine" else z)

    def scores(self, users: Tensor) -> Tensor:
        """[b, I]."""
        ours, theirs = self.final()
        return ours[users.to(ours.device)] @ theirs.T


def first_embeddings(config: Train, data: Pairs, rng: torch.Generator) -> Tensor:
    """Xavier's uniform, users and items each as a table of their own; or normal with standard deviation 0.1."""
    tables = []
    for rows in (data.users, data.items):
        if config.start == "normal":
            tables.append(0.1 * torch.randn(rows, config.width, generator=rng))
        else:
            bound = math.sqrt(6 / (rows + config.width))
            tables.append((2 * torch.rand(rows, config.width, generator=rng) - 1) * bound)
    return torch.cat(tables)
