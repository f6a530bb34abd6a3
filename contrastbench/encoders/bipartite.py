"""Propagation over the graph of users and items (LightGCN), without autograd's bookkeeping.

Dimensions: U users, I items, N = U + I nodes (users first), n edges, D width, L layers.

    A = D^-1/2 (0 R; R' 0) D^-1/2,   E_{k+1} = A E_k

``embedding_bag`` sums weighted rows of a matrix: a product with a sparse matrix, 3 to 10 times as fast on a CPU as
torch's own, with the same bits. A is symmetric, so the gradient goes back through the same product.

Source: He et al. 2020, arXiv:2002.02126, eq. 7 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag


@dataclass(frozen=True)
class Adjacency:
    """A sparse matrix [N, N] by rows. ``transposed`` are the values of its transpose, in the same places."""

    columns: Tensor  # int64 [edges], of the entries, row by row
    starts: Tensor  # int64 [N], where each row's entries begin
    values: Tensor  # [edges]
    transposed: Tensor  # [edges]; the very same tensor where the matrix is symmetric

    def to(self, device: torch.device | str) -> Adjacency:
        return Adjacency(*(each.to(device) for each in (self.columns, self.starts, self.values, self.transposed)))

    def times(self, x: Tensor) -> Tensor:
        """The product with ``x`` [N, D]."""
        return embedding_bag(self.columns, x, self.starts, mode="sum", per_sample_weights=self.values)

    def transposed_times(self, x: Tensor) -> Tensor:
        return embedding_bag(self.columns, x, self.starts, mode="sum", per_sample_weights=self.transposed)


def adjacency_of(pairs: np.ndarray, users: int, items: int) -> Adjacency:
    """A of the graph whose edges are ``pairs`` [n, 2]; the rows of nodes without an edge are 0."""
    rows = np.concatenate([pairs[:, 0], pairs[:, 1] + users])
    columns = np.concatenate([pairs[:, 1] + users, pairs[:, 0]])
    degrees = np.bincount(rows, minlength=users + items)
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]
    values = torch.from_numpy((1 / np.sqrt(degrees[rows].astype(np.float64) * degrees[columns])).astype(np.float32))
    starts = degrees.cumsum() - degrees
    return Adjacency(torch.from_numpy(columns), torch.from_numpy(starts), values, values)


def reversal(adjacency: Adjacency) -> Tensor:
    """int64 [edges]: where the entry (j, i) of a symmetric pattern stands, for the entry (i, j) of each place."""
    counts = torch.diff(adjacency.starts, append=torch.tensor([len(adjacency.columns)]))
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    return torch.from_numpy(np.lexsort((rows.numpy(), adjacency.columns.numpy())))


def drop_edges(adjacency: Adjacency, reverse: Tensor, share: float, rng: torch.Generator) -> Adjacency:
    """A with each directed edge kept with probability ``share``, on its own; values stay as they are (SSLRec)."""
    kept = torch.rand(len(adjacency.values), generator=rng) < share
    values = adjacency.values * kept
    return Adjacency(adjacency.columns, adjacency.starts, values, values[reverse])


def edge_dropped(pairs: np.ndarray, users: int, items: int, share: float, rng: np.random.Generator) -> Adjacency:
    """A of the graph that keeps int((1 - share) n) edges, normalised by its own degrees (SGL's ED)."""
    kept = rng.permutation(len(pairs))[: int(len(pairs) * (1 - share))]
    return adjacency_of(_some_left(pairs[np.sort(kept)], share), users, items)


def node_dropped(pairs: np.ndarray, users: int, items: int, share: float, rng: np.random.Generator) -> Adjacency:
    """A of the graph without the edges of int(share U) users and int(share I) items (SGL's ND)."""
    kept_users, kept_items = np.ones(users, dtype=bool), np.ones(items, dtype=bool)
    kept_users[rng.permutation(users)[: int(share * users)]] = False
    kept_items[rng.permutation(items)[: int(share * items)]] = False
    return adjacency_of(_some_left(pairs[kept_users[pairs[:, 0]] & kept_items[pairs[:, 1]]], share), users, items)


def _some_left(pairs: np.ndarray, share: float) -> np.ndarray:
    if not len(pairs):
        raise ValueError(f"dropping a share of {share:g} leaves the graph no edge; choose a smaller one")
    return pairs


def noise(shape: Sequence[int], rng: np.random.Generator) -> Tensor:
    """[..., D]: uniform in [0, 1), each row brought to length 1 (SimGCL). NumPy draws them twice as fast as torch."""
    drawn = torch.from_numpy(rng.random(shape, dtype=np.float32))
    return drawn.div_(torch.linalg.vector_norm(drawn, dim=-1, keepdim=True))


class Layers(tuple[Adjacency, ...]):
    """The matrices of a pass, first to last."""

    def to(self, device: torch.device | str) -> Layers:
        return Layers(each.to(device) for each in self)


def propagate(
    ego: Tensor, layers: Layers, noises: Sequence[Tensor | None] = (None,), eps: float = 0.0
) -> list[list[Tensor]]:
    """E_0 to E_L of one or more passes over the same layers, each [N, D]. Once differentiable.

    Args:
        ego: E_0 [N, D].
        layers: the L matrices.
        noises: of each pass [L, N, D] rows of length 1, or None; sign(E_l) * eps * noise is added to E_l, and counts
            as a constant in the gradient.
    """
    if not layers:
        return [[ego] for _ in noises]
    made = _Propagation.apply(ego, layers, noises, eps)
    return [[ego, *made[start : start + len(layers)]] for start in range(0, len(made), len(layers))]


class _Propagation(torch.autograd.Function):
    """Keeps nothing: with g_l the gradient of E_l, the gradient of E_{l-1} is A' (g_l + what comes from above).

    Noise being constant, the passes' gradients are added up layer by layer, and go back together.
    """

    @staticmethod
    def forward(ctx, ego: Tensor, layers: Layers, noises: Sequence[Tensor | None], eps: float):
        ctx.layers = layers
        made = []
        for noise in noises:
            x = ego.detach()  # for embedding_bag a weight without a gradient is less work
            for number, layer in enumerate(layers):
                x = layer.times(x)
                if noise is not None:
                    x.addcmul_(x.sign(), noise[number], value=eps)
                made.append(x)
        return tuple(made)

    @staticmethod
    @once_differentiable
    def backward(ctx, *upstream: Tensor | None):
        layers, total, own = ctx.layers, None, False  # own: not a tensor of somebody else's
        for number in reversed(range(len(layers))):
            for gradient in upstream[number :: len(layers)]:
                if gradient is not None:
                    total, own = _sum(total, gradient, own), total is not None
            if total is not None:
                total, own = layers[number].transposed_times(total), True
        return total, None, None, None


def _sum(total: Tensor | None, more: Tensor, own: bool) -> Tensor:
    if total is None:
        return more
    return total.add_(more) if own else total + more
