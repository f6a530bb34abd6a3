"""The inputs of a step: pairs with negatives, the nodes of the batch, noise and dropped graphs, drawn on the CPU.

Dimensions: U users, I items, N = U + I nodes, n training pairs, B pairs of a batch, L layers.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from benchmarks.graph_recommendation.config import Count, Train
from benchmarks.graph_recommendation.counted import chosen_matrix
from benchmarks.graph_recommendation.model import Recommender
from benchmarks.graph_recommendation.prototypes import clustered
from contrastbench.data.pairs import Pairs, load_pairs
from contrastbench.encoders.bipartite import (
    Adjacency,
    Layers,
    adjacency_of,
    drop_edges,
    edge_dropped,
    node_dropped,
    noise,
    reversal,
)
from contrastbench.losses import concentrations
from contrastbench.randomness import generator, random_state

read_pairs = functools.lru_cache(maxsize=2)(load_pairs)  # a worker does many runs on the same data
MINED = (100, 500)  # EBR's hard negatives stand at the ranks 101 to 500 of the current model
NOISY_PASSES = {"simgcl": (False, True, True), "xsimgcl": (True,), "integrated": (True, True)}


@dataclass(frozen=True)
class Task:
    """A data set, split and ready to train on."""

    config: Train
    data: Pairs
    seed: int

    @functools.cached_property
    def graph(self) -> Adjacency:
        return adjacency_of(self.data.train, self.data.users, self.data.items)

    @functools.cached_property
    def _reverse(self) -> Tensor:
        return reversal(self.graph)

    @functools.cached_property
    def _matrix(self) -> csr_matrix:
        return chosen_matrix(self.data)

    @functools.cached_property
    def known(self) -> Tensor:
        """The training pairs as sorted numbers user * I + item."""
        pairs = torch.from_numpy(self.data.train)
        return pairs[:, 0] * self.data.items + pairs[:, 1]

    def epoch(self, epoch: int, model: Recommender) -> Iterator[dict[str, Any]]:
        """The inputs of each step; ``model`` is asked at the beginning for clusters or mined negatives."""
        config = self.config
        rng, order = generator(self.seed, "augmentation", epoch), generator(self.seed, "order", epoch)
        pairs = self.drawn_pairs(order)
        negatives = self.negatives(pairs[:, 0], epoch, model, generator(self.seed, "negatives", epoch))
        lasting = self.prototypes(epoch, model) if config.method == "ncl" and epoch >= config.warm_up else {}
        if config.method == "sgl" and config.redrawn == "epoch":
            lasting |= self.two_graphs(epoch)
        for number, some in enumerate(torch.arange(len(pairs)).split(config.batch)):
            step = epoch * len(pairs) + number
            yield self.inputs(pairs[some], negatives[some], rng) | lasting | self.drawn_each_step(step, rng)

    def drawn_pairs(self, rng: torch.Generator) -> Tensor:
        """int64 [n, 2]: every training pair once in random order; or as many drawn by user, then item."""
        pairs = torch.from_numpy(self.data.train)
        if self.config.drawn == "pairs":
            return pairs[torch.randperm(len(pairs), generator=rng)]
        counts = torch.bincount(pairs[:, 0], minlength=self.data.users)
        some = counts.nonzero().squeeze(1)
        users = some[torch.randint(len(some), (len(pairs),), generator=rng)]
        place = (torch.rand(len(pairs), generator=rng, dtype=torch.float64) * counts[users]).long()
        return pairs[(counts.cumsum(0) - counts)[users] + place]

    def inputs(self, pairs: Tensor, negatives: Tensor, rng: torch.Generator) -> dict[str, Any]:
        config, made = self.config, {"users": pairs[:, 0], "items": pairs[:, 1], "negatives": negatives}
        if config.method != "lightgcn":
            for side in ("users", "items", "negatives") if config.third_view else ("users", "items"):
                counts = torch.bincount(made[side])
                nodes = counts.nonzero().squeeze(1)
                made |= {f"{side}_once": nodes, f"{side}_share": counts[nodes] / len(pairs)}
        if config.negatives == "batch":
            rows = self._matrix[pairs[:, 0].numpy()].toarray()
            made["allowed"] = torch.from_numpy(rows[:, pairs[:, 1].numpy()] == 0)
        return made

    def drawn_each_step(self, step: int, rng: torch.Generator) -> dict[str, Any]:
        config, made = self.config, {}
        if config.keep < 1:
            made["graph"] = Layers([drop_edges(self.graph, self._reverse, config.keep, rng)] * config.layers)
        if config.method == "sgl" and config.redrawn == "step":
            if config.keep < 1:  # SSLRec's views are thinned graphs too, and its main pass has the whole one
                graphs = (drop_edges(self.graph, self._reverse, config.keep, rng) for _ in range(2))
                return {name: Layers([graph] * config.layers) for name, graph in zip("ab", graphs, strict=True)}
            return made | self.two_graphs(step)
        if config.method in NOISY_PASSES and config.layers:
            shape = (config.layers, self.data.users + self.data.items, config.width)
            passes = enumerate(NOISY_PASSES[config.method])
            draws = np.random.default_rng(random_state(self.seed, "noise", step))
            made |= {f"noise{number}": noise(shape, draws) for number, noisy in passes if noisy}
        return made

    def two_graphs(self, number: int) -> dict[str, Layers]:
        """SGL's two views, "a" and "b": one dropped graph each, or one for each layer."""
        rng = np.random.default_rng(random_state(self.seed, "views", number))
        drop = {"edge": edge_dropped, "walk": edge_dropped, "node": node_dropped}.get(self.config.operator)
        layers, sizes = self.config.layers, (self.data.users, self.data.items)

        def view() -> Layers:
            if drop is None:
                return Layers([self.graph] * layers)
            if self.config.operator == "walk":
                return Layers([drop(self.data.train, *sizes, self.config.drop, rng) for _ in range(layers)])
            return Layers([drop(self.data.train, *sizes, self.config.drop, rng)] * layers)

        return {"a": view(), "b": view()}

    def prototypes(self, epoch: int, model: Recommender) -> dict[str, Tensor]:
        """The k-means centres of users and of items, their temperatures, and the cluster of each node."""
        config, rng, made = self.config, generator(self.seed, "clusters", epoch), {}
        for side, x in zip(("users", "items"), model.sides(model.ego.detach().cpu()), strict=True):
            centres, cluster = clustered(x, config.clusters, rng)
            temperature = torch.full((len(centres),), config.temperature)
            if config.concentration == "pcl":
                temperature = concentrations(x, centres, cluster, temperature=config.temperature)
            made |= {f"{side}_centres": centres, f"{side}_cluster": cluster, f"{side}_temperature": temperature}
        return made

    # ------------------------------------------------------------------------------------------------------ negatives

    def negatives(self, users: Tensor, epoch: int, model: Recommender, rng: torch.Generator) -> Tensor:
        """int64 [n]: for each user an item that it does not have in training; random ones, or mined ones among them."""
        config, half = self.config, self.config.epochs // 2
        mined = {"ranked": True, "random_first": epoch >= half, "ranked_first": epoch < half}.get(config.negatives)
        drawn = self.random_negatives(users, rng)
        if config.negatives == "blend":
            hard = torch.rand(len(users), generator=rng) * (1 + config.easy) < 1
        elif mined:
            hard = torch.ones(len(users), dtype=torch.bool)
        else:
            return drawn
        ranked = self.mined(model)
        place = torch.randint(ranked.shape[1], (len(users),), generator=rng)
        return torch.where(hard, ranked[users, place], drawn)

    def random_negatives(self, users: Tensor, rng: torch.Generator) -> Tensor:
        drawn = torch.randint(self.data.items, (len(users),), generator=rng)
        again = self.is_known(users, drawn).nonzero().squeeze(1)
        while len(again):
            drawn[again] = torch.randint(self.data.items, (len(again),), generator=rng)
            again = again[self.is_known(users[again], drawn[again])]
        return drawn

    def is_known(self, users: Tensor, items: Tensor) -> Tensor:
        """Which of the pairs are training pairs."""
        numbers = users * self.data.items + items
        place = torch.searchsorted(self.known, numbers).clamp(max=len(self.known) - 1)
        return self.known[place] == numbers

    @torch.no_grad()
    def mined(self, model: Recommender) -> Tensor:
        """int64 [U, up to 400]: the items at the ranks 101 to 500 of each user, none of them from training."""
        most = int(np.bincount(self.data.train[:, 0]).max())
        last = min(MINED[1], self.data.items - most)
        first = min(MINED[0], last - 1)
        rows = []
        for users in torch.arange(self.data.users).split(1024):
            scores = model.scores(users).cpu()
            pairs = self.data.train[np.searchsorted(self.data.train[:, 0], users[0]) :]
            pairs = pairs[: np.searchsorted(pairs[:, 0], users[-1], side="right")]
            scores[pairs[:, 0] - int(users[0]), pairs[:, 1]] = -torch.inf
            rows.append(scores.topk(last, dim=1).indices[:, first:])
        return torch.cat(rows)


def split_pairs(config: Train | Count, seed: int) -> Pairs:
    """The config's data, split by the seed where its files do not."""
    data = read_pairs(config.dataset, least_rating=config.least_rating)
    return data.split(np.random.default_rng(random_state(seed, "split")))


def load_task(config: Train, seed: int) -> Task:
    """
    Raises:
        ValueError: the settings ask for what the data do not have.
    """
    data = split_pairs(config, seed)
    if np.bincount(data.train[:, 0]).max() >= data.items:
        raise ValueError(f"{config.dataset} has a user with all {data.items} items, so that no negative is left")
    if config.selection in ("ndcg20", "ndcg10", "recall10") and not len(data.validation):
        raise ValueError(f"{config.dataset} has an empty validation part: choose selection=last")
    if config.method == "ncl" and config.clusters > min(data.users, data.items):
        sizes = f"{data.users} users and {data.items} items"
        raise ValueError(f"clusters must be at most the nodes of each side, {sizes}; got {config.clusters}")
    if config.method == "xsimgcl" and config.contrast_layer > config.layers:
        raise ValueError(f"contrast_layer must be at most layers, {config.layers}; got {config.contrast_layer}")
    return Task(config, data, seed)
