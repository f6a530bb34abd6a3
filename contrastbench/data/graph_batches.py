"""Batches of graphs in which every distinct neighbourhood is stored once.

A GIN of L layers cannot tell two nodes apart whose features and neighbourhoods up to L steps are alike (the colours of
Weisfeiler and Leman), and the graphs of the TU sets are full of such nodes: 3,371 of MUTAG have 572 colours, 19,773 of
IMDB-BINARY 3,595. A batch keeps one node a colour with its count, so that the encoder computes each distinct node once.
The results are those of the whole graphs, up to the order in which floats are added.

Dimensions: N nodes of the batch's graphs, U of them distinct, P distinct (node, graph) pairs, G graphs, F features.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from contrastbench.data.graphs import GraphSet


class Rows(NamedTuple):
    """A sparse matrix on a GPU: where each row's entries begin (and the last ones end), their columns, their values.

    torch's own sparse tensors there cannot be captured in a CUDA graph or tried on the device "meta".
    """

    first: Tensor
    columns: Tensor
    values: Tensor

    def __matmul__(self, x: Tensor) -> Tensor:
        parts = x.index_select(0, self.columns) * self.values[:, None]
        return torch.segment_reduce(parts, "sum", offsets=self.first, axis=0, unsafe=True)  # unsafe: asks nothing

    @staticmethod
    def of(matrix: Tensor, device: str | torch.device) -> Rows:
        return Rows(*(part.to(device) for part in (matrix.crow_indices(), matrix.col_indices(), matrix.values())))


@dataclass(frozen=True)
class Linear:
    """A constant sparse matrix and its transpose, both in CSR: multiplies forward and backward."""

    matrix: Tensor | Rows
    transpose: Tensor | Rows

    def __matmul__(self, x: Tensor) -> Tensor:
        return _SparseProduct.apply(self, x)

    def to(self, device: str | torch.device) -> Linear:
        if not isinstance(self.matrix, Tensor) or not isinstance(self.transpose, Tensor):
            raise ValueError("a batch of graphs moves from the CPU only")
        if torch.device(device).type == "cpu":
            return self
        return Linear(Rows.of(self.matrix, device), Rows.of(self.transpose, device))


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, linear: Linear, x: Tensor) -> Tensor:
        ctx.transpose = linear.transpose
        return linear.matrix @ x

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return None, ctx.transpose @ gradient


@dataclass(frozen=True)
class GraphBatch:
    """G graphs as their U distinct nodes.

    Attributes:
        graphs: [G] their numbers in the set.
        summed_features: [U, F] each node's features plus those of its neighbours (the first GIN layer's input).
        adjacency: [U, U] with the diagonal 1: row u sums node u and its neighbours.
        count: [U] how many nodes of the batch are this one.
        pool: [G, U] how often each node is in each graph.
        pair_node, pair_graph, pair_count: [P] the entries of ``pool``.
    """

    graphs: Tensor
    summed_features: Tensor
    adjacency: Linear
    count: Tensor
    pool: Linear
    pair_node: Tensor
    pair_graph: Tensor
    pair_count: Tensor

    def __len__(self) -> int:
        return len(self.graphs)

    def to(self, device: str | torch.device) -> GraphBatch:
        return GraphBatch(**{name: value.to(device) for name, value in vars(self).items()})


def colours(graphs: GraphSet, depth: int) -> np.ndarray:
    """[N] int64: nodes with one colour are alike to every message passing network of ``depth`` layers.

    Weisfeiler-Leman refinement over the features. Multisets of neighbours are compared by sums of 64-bit hashes, which
    a million nodes confuse with a probability of about 1e-7; feature rows by a random projection in float64.
    """
    source, target = graphs.edges.numpy()
    values = graphs.features.numpy().astype(np.float64)
    projected = values @ np.random.default_rng(0).standard_normal(values.shape[1])
    colour = np.unique(projected, return_inverse=True)[1].ravel()
    first_edge = np.searchsorted(target, np.arange(len(colour) + 1))
    for step in range(depth):
        hashes = np.random.default_rng(step).integers(0, 2**64, size=colour.max() + 1, dtype=np.uint64)
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes[colour[source]], dtype=np.uint64)])
        seen = np.diff(running[first_edge])  # sums modulo 2**64, so differences of running sums are exact
        mixed = hashes[colour] * np.uint64(0x9E3779B97F4A7C15) + seen
        colour = np.unique(mixed, return_inverse=True)[1].ravel()
    return colour


def batches(graphs: GraphSet, order: Sequence[int] | np.ndarray, size: int, *, depth: int | None) -> list[GraphBatch]:
    """The graphs of ``order``, ``size`` at a time.

    Args:
        depth: layers of the network that will read them; None stores every node on its own.

    A last batch of one graph, which has no negatives, joins the batch before it.
    """
    colour = np.arange(len(graphs.features)) if depth is None else colours(graphs, depth)
    order = np.asarray(order)
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return [
        _batch(graphs, order[start:end], colour) for start, end in zip(starts, [*starts[1:], len(order)], strict=True)
    ]


def _batch(graphs: GraphSet, members: np.ndarray, colour: np.ndarray) -> GraphBatch:
    from scipy import sparse

    first_node = graphs.first_node.numpy()
    sizes = first_node[members + 1] - first_node[members]
    nodes = _ranges(first_node[members], sizes)
    seen, example, node_of, count = np.unique(colour[nodes], return_index=True, return_inverse=True, return_counts=True)
    example = nodes[example]  # one node of the set for each of the U distinct ones
    source, target = graphs.edges.numpy()
    first_edge, last_edge = np.searchsorted(target, [example, example + 1])
    degree = last_edge - first_edge
    neighbour = np.searchsorted(seen, colour[source[_ranges(first_edge, degree)]])
    row = np.repeat(np.arange(len(seen)), degree)
    ones = np.ones(len(row), dtype=np.float32)
    adjacency = sparse.csr_matrix((ones, (row, neighbour)), shape=(len(seen), len(seen)))
    adjacency = (adjacency + sparse.identity(len(seen), dtype=np.float32)).tocsr()
    graph_of = np.repeat(np.arange(len(members)), sizes)
    ones = np.ones(len(nodes), dtype=np.float32)
    pool = sparse.csr_matrix((ones, (graph_of, node_of.ravel())), shape=(len(members), len(seen)))
    pairs = pool.tocoo()
    return GraphBatch(
        graphs=torch.from_numpy(members),
        summed_features=torch.from_numpy(adjacency @ graphs.features.numpy()[example]),
        adjacency=_linear(adjacency),
        count=torch.from_numpy(count).float(),
        pool=_linear(pool),
        pair_node=torch.from_numpy(pairs.col).long(),
        pair_graph=torch.from_numpy(pairs.row).long(),
        pair_count=torch.from_numpy(pairs.data),
    )


def whole_batch(features: Tensor, edges: np.ndarray, graph_of_node: np.ndarray, graphs: int) -> GraphBatch:
    """A batch that stores every node on its own: for graphs that change at every step, as augmented ones do.

    Args:
        features: [N, F].
        edges: [2, E] source and target, each edge once.
        graph_of_node: [N] numbers below ``graphs``.
    """
    from scipy import sparse

    nodes = len(features)
    ones = np.ones(edges.shape[1] + nodes, dtype=np.float32)
    rows, columns = (np.concatenate([ends, np.arange(nodes)]) for ends in (edges[1], edges[0]))
    adjacency = sparse.csr_matrix((ones, (rows, columns)), shape=(nodes, nodes))
    pool = sparse.csr_matrix((ones[:nodes], (graph_of_node, np.arange(nodes))), shape=(graphs, nodes))
    return GraphBatch(
        graphs=torch.arange(graphs),
        summed_features=torch.from_numpy(adjacency @ features.numpy()),
        adjacency=_linear(adjacency),
        count=torch.ones(nodes),
        pool=_linear(pool),
        pair_node=torch.arange(nodes),
        pair_graph=torch.from_numpy(graph_of_node).long(),
        pair_count=torch.ones(nodes),
    )


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """``starts[0], starts[0] + 1, ...`` (``lengths[0]`` numbers), then the same from ``starts[1]``, and so on."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)


def _linear(matrix) -> Linear:
    return Linear(_csr(matrix), _csr(matrix.T.tocsr()))


def _csr(matrix) -> Tensor:
    matrix.sort_indices()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse (CSR|invariant)")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr).long(),
            torch.from_numpy(matrix.indices).long(),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            check_invariants=False,
        )
