"""Propagation over the graph of users and items: its product, its gradient, its views and its noise."""

import numpy as np
import pytest
import torch

from contrastbench.encoders.bipartite import (
    Layers,
    adjacency_of,
    drop_edges,
    edge_dropped,
    node_dropped,
    noise,
    propagate,
    reversal,
)
from contrastbench.randomness import generator

USERS, ITEMS, WIDTH = 5, 7, 4
PAIRS = np.array([(0, 0), (0, 3), (1, 0), (1, 1), (1, 6), (2, 3), (3, 2), (3, 3), (3, 4), (4, 6)])  # item 5 has no edge


def dense(pairs: np.ndarray) -> torch.Tensor:
    """D^-1/2 (0 R; R' 0) D^-1/2, entry by entry."""
    matrix = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    degree = [0] * (USERS + ITEMS)
    for user, item in pairs:
        degree[user] += 1
        degree[USERS + item] += 1
    for user, item in pairs:
        value = 1 / (degree[user] * degree[USERS + item]) ** 0.5
        matrix[user, USERS + item] = matrix[USERS + item, user] = value
    return matrix


def as_dense(adjacency) -> torch.Tensor:
    return adjacency.times(torch.eye(USERS + ITEMS, dtype=adjacency.values.dtype))


def in_float64(adjacency):
    values, transposed = adjacency.values.double(), adjacency.transposed.double()
    return type(adjacency)(adjacency.columns, adjacency.starts, values, transposed)


def test_the_product_is_the_formulas():
    assert torch.allclose(as_dense(adjacency_of(PAIRS, USERS, ITEMS)).double(), dense(PAIRS), atol=1e-7)


def test_a_thinned_graph_is_neither_symmetric_nor_normalised_anew_and_its_transpose_is_right():
    whole = adjacency_of(PAIRS, USERS, ITEMS)
    some = drop_edges(whole, reversal(whole), 0.5, generator(0, "graph"))
    matrix = as_dense(some)
    kept = matrix != 0
    assert 0 < kept.sum() < 2 * len(PAIRS) and not torch.equal(matrix, matrix.T)
    assert torch.equal(matrix[kept], as_dense(whole)[kept])
    assert torch.equal(some.transposed_times(torch.eye(USERS + ITEMS)), matrix.T)


@pytest.mark.parametrize("noisy", [(False,), (True,), (False, True, True)])
def test_outputs_and_gradients_equal_dense_autograd(noisy):
    rng = generator(0, "test")
    whole = adjacency_of(PAIRS, USERS, ITEMS)
    layers = Layers(in_float64(drop_edges(whole, reversal(whole), 0.7, rng)) for _ in range(3))
    ego = torch.randn(USERS + ITEMS, WIDTH, generator=rng, dtype=torch.float64, requires_grad=True)
    noises = [noise((3, USERS + ITEMS, WIDTH), np.random.default_rng(1)).double() if each else None for each in noisy]
    passes = propagate(ego, layers, noises, eps=0.1)
    weights = [torch.randn(USERS + ITEMS, WIDTH, generator=rng, dtype=torch.float64) for _ in range(4 * len(noisy))]
    (gradient,) = torch.autograd.grad(
        sum((out * w).sum() for out, w in zip([e for p in passes for e in p], weights, strict=True)), ego
    )
    expected = []
    for drawn in noises:
        x = ego
        expected.append(x)
        for number, layer in enumerate(layers):
            x = as_dense(layer) @ x
            if drawn is not None:
                x = x + x.detach().sign() * drawn[number] * 0.1
            expected.append(x)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip([e for p in passes for e in p], expected, strict=True))
    (reference,) = torch.autograd.grad(sum((out * w).sum() for out, w in zip(expected, weights, strict=True)), ego)
    assert torch.allclose(gradient, reference, atol=1e-12)


def test_the_gradient_of_one_layer_alone_is_right_too():
    layers = Layers([in_float64(adjacency_of(PAIRS, USERS, ITEMS))] * 3)
    ego = torch.randn(USERS + ITEMS, WIDTH, dtype=torch.float64, requires_grad=True)
    ((_, first, _, _),) = propagate(ego, layers)
    (gradient,) = torch.autograd.grad(first.square().sum(), ego)
    assert torch.allclose(gradient, 2 * dense(PAIRS).T @ dense(PAIRS) @ ego.detach(), atol=1e-6)


def test_noise_has_length_one_and_keeps_signs():
    drawn = noise((2, USERS + ITEMS, WIDTH), np.random.default_rng(0))
    assert torch.allclose(drawn.norm(dim=-1), torch.ones(2, USERS + ITEMS)) and (drawn >= 0).all()
    layers = Layers([adjacency_of(PAIRS, USERS, ITEMS)] * 2)
    ego = torch.randn(USERS + ITEMS, WIDTH, generator=generator(0, "test"))
    clean, noisy = propagate(ego, layers, [None, drawn], eps=0.3)
    moved = (noisy[1] - clean[1]).norm(dim=1)
    connected = clean[1].abs().sum(dim=1) > 0
    assert torch.allclose(moved[connected], torch.full((int(connected.sum()),), 0.3), atol=1e-6)
    assert torch.equal(noisy[1].sign(), clean[1].sign())


def test_edge_dropout_keeps_the_exact_count_and_node_dropout_whole_nodes():
    rng = np.random.default_rng(0)
    edges = as_dense(edge_dropped(PAIRS, USERS, ITEMS, 0.25, rng))
    assert int((edges != 0).sum()) == 2 * int(0.75 * len(PAIRS))
    kept = edges[:USERS, USERS:].nonzero().numpy()
    assert torch.allclose(edges.double(), dense(kept), atol=1e-7)  # normalised by its own degrees
    nodes = as_dense(node_dropped(PAIRS, USERS, ITEMS, 0.4, rng))[:USERS, USERS:] != 0
    before = as_dense(adjacency_of(PAIRS, USERS, ITEMS))[:USERS, USERS:] != 0
    lost_users = [u for u in range(USERS) if not nodes[u].any()]
    lost_items = [i for i in range(ITEMS) if not nodes[:, i].any()]
    for user in set(range(USERS)) - set(lost_users):
        for item in set(range(ITEMS)) - set(lost_items):
            assert nodes[user, item] == before[user, item]
    assert len(lost_users) >= int(0.4 * USERS)


def test_a_graph_that_falls_apart_has_zeros_and_one_without_edges_is_refused():
    rng = np.random.default_rng(0)
    some = edge_dropped(PAIRS, USERS, ITEMS, 0.85, rng)
    out = propagate(torch.randn(USERS + ITEMS, WIDTH), Layers([some]))[0][1]
    assert out.isfinite().all() and (out == 0).all(dim=1).any()
    with pytest.raises(ValueError, match="dropping a share of 0.95 leaves the graph no edge; choose a smaller one"):
        edge_dropped(PAIRS, USERS, ITEMS, 0.95, rng)
