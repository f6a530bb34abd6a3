"""The graph losses against their printed formulas in loops, their special cases, and each other."""

import itertools
import math

import pytest
import torch

from contrastbench.losses.graph import graphcl, hard_jsd, hard_jsd_as_code, jsd, softplus
from contrastbench.losses.parts import hardness_weights

SIZES = [(5, 2), (7, 4), (12, 3)]
BETAS = (0.0, 1.0, 2.0, 10.0, -2.0)


def sp(x) -> float:
    x = float(x)
    return math.log1p(math.exp(-abs(x))) + max(x, 0.0)


def drawn(nodes: int, graphs: int, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(nodes * graphs)
    scores = scale * torch.randn(nodes, graphs, generator=rng, dtype=torch.float64)
    return scores, torch.arange(nodes) % graphs


def jsd_in_loops(scores, own) -> float:
    nodes, graphs = scores.shape
    positive = sum(sp(-scores[i, own[i]]) for i in range(nodes)) / nodes
    negative = sum(sp(scores[i, g]) for i in range(nodes) for g in range(graphs) if g != own[i])
    return positive + negative / (nodes * (graphs - 1)) - 2 * math.log(2)


def hard_in_loops(scores, own, beta, tau_plus) -> float:
    nodes, graphs = scores.shape
    largest = max(abs(float(scores[i, g])) for i in range(nodes) for g in range(graphs) if g != own[i])
    total = 0.0
    for i in range(nodes):
        others = [g for g in range(graphs) if g != own[i]]
        weights = {g: math.exp(beta * 2 * float(scores[i, g]) / largest) for g in others}
        mean_weight = sum(weights.values()) / len(others)
        negative = sum(weights[g] / mean_weight * sp(scores[i, g]) for g in others) / len(others)
        positive = scores[i, own[i]]
        total += sp(-positive) + max(0.0, negative - tau_plus * sp(positive)) / (1 - tau_plus)
    return float(total) / nodes - 2 * math.log(2)


def authors_code(scores, own, beta, tau_plus=0.5) -> torch.Tensor:
    """HCL's computation, step by step and with its masks, from the description of its source."""
    nodes, graphs = scores.shape
    mask = torch.zeros_like(scores)
    mask[torch.arange(nodes), own] = 1.0
    p, q = scores * mask, scores * (1 - mask)
    log_2, plus = math.log(2), torch.nn.functional.softplus
    expected_positive = log_2 - plus(-p) - tau_plus / (1 - tau_plus) * (plus(-p) + p)
    if beta == 0:
        expected_negative = (plus(-q) + q - log_2) / (1 - tau_plus)
    else:
        reweight = torch.exp(beta * -2 * q / max(q.max(), q.min().abs()))
        reweight = reweight / reweight.mean(dim=1, keepdim=True)
        expected_negative = reweight * (plus(-q) + q) / (1 - tau_plus) - log_2
    return expected_negative.sum() / (nodes * (graphs - 1)) - expected_positive.sum() / nodes


@pytest.mark.parametrize("size", SIZES)
def test_jsd_is_its_printed_formula(size):
    scores, own = drawn(*size)
    assert jsd(scores, own).item() == pytest.approx(jsd_in_loops(scores, own), abs=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_hard_jsd_is_its_printed_formula(size):
    scores, own = drawn(*size)
    for beta, tau_plus in itertools.product(BETAS, (0.0, 0.1, 0.5)):
        ours = hard_jsd(scores, own, beta=beta, tau_plus=tau_plus).item()
        assert ours == pytest.approx(hard_in_loops(scores, own, beta, tau_plus), abs=1e-12)


@pytest.mark.parametrize(
    ("size", "beta", "tau_plus"),
    [(SIZES[0], 0.0, 0.0), (SIZES[1], 0.0, 0.5), (SIZES[1], 1.0, 0.5), (SIZES[2], 10.0, 0.0)],
)
def test_the_code_variant_equals_the_authors_computation_with_its_gradient(size, beta, tau_plus):
    scores, own = drawn(*size)
    values, gradients = [], []
    for loss in (
        lambda s: hard_jsd_as_code(s, own, beta=beta, tau_plus=tau_plus),
        lambda s: authors_code(s, own, beta, tau_plus),
    ):
        leaf = scores.clone().requires_grad_()
        value = loss(leaf)
        value.backward()
        values.append(value.detach())
        gradients.append(leaf.grad)
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


def test_hard_without_hardness_and_debiasing_is_jsd():
    scores, own = drawn(9, 3)
    torch.testing.assert_close(hard_jsd(scores, own, beta=0.0, tau_plus=0.0), jsd(scores, own))


def test_the_code_variant_at_beta_0_is_not_jsd():
    """Item 16: its gradient is that of another loss, even without the debiasing term."""
    scores, own = drawn(9, 3)
    gradients = []
    for loss in (jsd, lambda s, o: hard_jsd_as_code(s, o, beta=0.0)):
        leaf = scores.clone().requires_grad_()
        loss(leaf, own).backward()
        gradients.append(leaf.grad)
    assert (gradients[0] - gradients[1]).abs().max() > 0.01


def test_the_code_variant_at_tau_one_half_pulls_positive_scores_to_zero():
    """Item 14: sp(T) + sp(-T) is least at T = 0, where InfoGraph's is not."""
    positive = torch.tensor([[3.0, 0.0], [0.0, 3.0]], dtype=torch.float64, requires_grad=True)
    hard_jsd_as_code(positive, torch.tensor([0, 1]), beta=0.0).backward()
    assert positive.grad.diagonal().min() > 0
    positive.grad = None
    jsd(positive, torch.tensor([0, 1])).backward()
    assert positive.grad.diagonal().max() < 0


def test_the_signs_weigh_opposite_ends():
    """Item 13: the paper's weights rise with the score, the code's fall."""
    scores = torch.tensor([[0.0, -3.0, -1.0, 1.0, 3.0]], dtype=torch.float64).repeat(2, 1)
    for loss, rises in ((hard_jsd, True), (hard_jsd_as_code, False)):
        easy, hard = scores.clone(), scores.clone()
        easy[:, 1] += 0.1
        hard[:, 3] += 0.1
        own = torch.tensor([0, 0])
        change = [
            (loss(s, own, beta=2.0, tau_plus=0.0) - loss(scores, own, beta=2.0, tau_plus=0.0)) for s in (easy, hard)
        ]
        assert (change[1].abs() > change[0].abs()) == rises


def test_weights_are_those_of_the_other_hard_losses():
    scores, own = drawn(8, 4)
    keep = own[:, None] != torch.arange(4)
    largest = scores.masked_fill(~keep, 0).abs().max()
    weights = hardness_weights(2 * scores / largest, 1.5, keep=keep)
    positive = scores[torch.arange(8), own]
    by_hand = (weights * softplus(scores)).sum(1) / 3 + softplus(-positive) - 2 * math.log(2)
    torch.testing.assert_close(hard_jsd(scores, own, beta=1.5), by_hand.mean())


@pytest.mark.parametrize(
    "loss",
    [
        jsd,
        lambda *a, **k: hard_jsd(*a, beta=2.0, tau_plus=0.1, **k),
        lambda *a, **k: hard_jsd_as_code(*a, beta=2.0, **k),
    ],
)
def test_shared_rows_and_counts_are_repetitions(loss):
    scores, _ = drawn(4, 3)
    node, own = torch.tensor([0, 1, 1, 3, 2, 0]), torch.tensor([0, 1, 2, 0, 1, 2])
    count = torch.tensor([2.0, 1.0, 3.0, 1.0, 2.0, 1.0])
    repeats = count.long()
    repeated = loss(scores[node].repeat_interleave(repeats, 0), own.repeat_interleave(repeats))
    torch.testing.assert_close(loss(scores, own, node=node, count=count), repeated)


def test_softplus_is_torchs_within_float32():
    x = torch.linspace(-120, 120, 10001)
    torch.testing.assert_close(softplus(x), torch.nn.functional.softplus(x), rtol=1e-6, atol=1.2e-7)


def test_one_graph_has_no_negatives():
    with pytest.raises(ValueError, match="a batch of one graph has no negatives; at least 2 graphs are needed"):
        jsd(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))


def test_tau_plus_must_be_below_1():
    scores, own = drawn(6, 3)
    with pytest.raises(ValueError, match=r"tau_plus must be in \[0, 1\), got 1"):
        hard_jsd(scores, own, beta=1.0, tau_plus=1.0)


# ---------------------------------------------------------------------------------------------------------- GraphCL


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_graphcl_is_the_authors_formula(temperature):
    z_a, z_b = (torch.randn(6, 5, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in (0, 1))
    similarity = torch.exp(torch.cosine_similarity(z_a[:, None], z_b[None], dim=2) / temperature)
    total = 0.0
    for i in range(6):
        total -= math.log(similarity[i, i] / sum(similarity[i, k] for k in range(6) if k != i))
    assert graphcl(z_a, z_b, temperature=temperature).item() == pytest.approx(total / 6, abs=1e-12)


def test_graphcl_of_equal_views_is_below_0():
    """With the positive outside the denominator nothing keeps the loss above 0."""
    views = torch.eye(3)
    assert graphcl(views, views, temperature=0.2).item() == pytest.approx(math.log(2) - 5, abs=1e-5)
