"""GraphCL's random views of graphs, for a whole batch at once: each graph draws one of the kinds that are allowed.

The augmentations are those of Shen-Lab/GraphCL unsupervised_TU/aug.py at b4d7501.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from contrastbench.data.graph_batches import GraphBatch, whole_batch
from contrastbench.data.graphs import GraphSet

KINDS = {
    "random2": ("drop_nodes", "subgraph"),
    "random3": ("drop_nodes", "subgraph", "drop_edges"),
    "random4": ("drop_nodes", "subgraph", "drop_edges", "mask_nodes"),
}
CHANGED = 10  # one in so many nodes or edges is dropped or masked
SUBGRAPH = 0.2  # neighbours of the subgraph's first node that stay, as a share of the graph's nodes


@dataclass(frozen=True)
class Plain:
    """A batch's graphs as arrays: N nodes, E directed edges, G graphs."""

    features: np.ndarray  # [N, F]
    edges: np.ndarray  # [2, E] source and target
    graph_of_node: np.ndarray  # [N]
    graphs: int

    @staticmethod
    def of(graphs: GraphSet, members: np.ndarray) -> Plain:
        """The set's graphs ``members``, nodes numbered anew in their order."""
        first_node = graphs.first_node.numpy()
        sizes = first_node[members + 1] - first_node[members]
        nodes = np.concatenate([np.arange(first_node[g], first_node[g + 1]) for g in members])
        new = np.full(first_node[-1], -1)
        new[nodes] = np.arange(len(nodes))
        edges = new[graphs.edges.numpy()]
        return Plain(
            features=graphs.features.numpy()[nodes],
            edges=edges[:, (edges >= 0).all(axis=0)],
            graph_of_node=np.repeat(np.arange(len(members)), sizes),
            graphs=len(members),
        )


def augmented(plain: Plain, kinds: tuple[str, ...], rng: np.random.Generator) -> GraphBatch:
    """One random view of every graph, each by one of ``kinds``; nodes are removed, features masked, edges dropped."""
    kind = rng.integers(len(kinds), size=plain.graphs)
    of_node, of_edge = plain.graph_of_node, plain.graph_of_node[plain.edges[1]]
    nodes, edges = np.bincount(of_node, minlength=plain.graphs), np.bincount(of_edge, minlength=plain.graphs)
    rank = random_rank(of_node, rng)
    few = rank < (nodes // CHANGED)[of_node]
    does = {name: kind == number for number, name in enumerate(kinds)}
    never = np.zeros(plain.graphs, dtype=bool)
    drops, cuts, masks, thins = (
        does.get(name, never) for name in ("drop_nodes", "subgraph", "mask_nodes", "drop_edges")
    )
    kept = ~(few & drops[of_node]) & (~cuts[of_node] | near_first(plain, rank, nodes, rng))
    thinned = thins[of_edge] & (random_rank(of_edge, rng) < (edges // CHANGED)[of_edge])
    features = plain.features.copy()
    masked = few & masks[of_node]
    features[masked] = rng.normal(0.5, 0.5, size=(masked.sum(), features.shape[1]))
    new = np.cumsum(kept) - 1
    stays = kept[plain.edges].all(axis=0) & ~thinned
    return whole_batch(torch.from_numpy(features[kept]), new[plain.edges[:, stays]], of_node[kept], plain.graphs)


def near_first(plain: Plain, rank: np.ndarray, nodes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[N] whether a node is its graph's first by ``rank``, or among that node's neighbours up to a fifth of the graph.

    The paper walks on from there; the authors' code never does (aug.py#L371 drops the union that it computes).
    """
    first = rank == 0
    neighbour = np.zeros(len(rank), dtype=bool)
    neighbour[plain.edges[1][first[plain.edges[0]]]] = True
    key = np.where(neighbour, rng.random(len(rank)), 2.0)  # neighbours before all others
    order = np.lexsort((key, plain.graph_of_node))
    place = np.empty(len(rank), dtype=np.int64)
    place[order] = np.arange(len(rank)) - (np.cumsum(nodes) - nodes)[plain.graph_of_node[order]]
    return first | (neighbour & (place < (SUBGRAPH * nodes).astype(np.int64)[plain.graph_of_node]))


def random_rank(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each item's place, from 0, in a random order of its group."""
    order = np.lexsort((rng.random(len(group)), group))
    sizes = np.bincount(group)
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - (np.cumsum(sizes) - sizes)[group[order]]
    return rank
