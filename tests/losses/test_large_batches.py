"""Two-view losses in blocks of rows, and BCL's ranks as a GPU finds them: the same values as over the whole matrix."""

import pytest
import torch

from contrastbench import losses
from contrastbench.losses import bayesian, in_blocks, two_views
from contrastbench.losses.bayesian import weights_by_rank, weights_by_search
from contrastbench.randomness import generator

LOSSES = {
    "nt_xent": lambda z_a, z_b: losses.nt_xent(z_a, z_b, temperature=0.5),
    "dcl": lambda z_a, z_b: losses.dcl(z_a, z_b, temperature=0.5, tau_plus=0.1),
    "hcl": lambda z_a, z_b: losses.hcl(z_a, z_b, temperature=0.4, tau_plus=0.2, beta=1.5),
    "bcl": lambda z_a, z_b: losses.bcl(z_a, z_b, temperature=0.5, tau_plus=0.1, alpha=0.9, beta=0.8),
}


def embeddings(items: int) -> list[torch.Tensor]:
    rng = generator(0, "data")
    return [torch.randn(items, 7, generator=rng, dtype=torch.float64, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rows", [1, 5, 26])
def test_a_loss_in_blocks_has_the_value_and_gradient_of_the_whole_matrix(name, rows, monkeypatch) -> None:
    z = embeddings(13)
    whole = LOSSES[name](*z)
    expected = torch.autograd.grad(whole, z)
    monkeypatch.setattr(bayesian, "WHOLE_MATRIX_VIEWS", 0)
    monkeypatch.setattr(two_views, "WHOLE_MATRIX_VIEWS", 0)
    monkeypatch.setattr(in_blocks, "ENTRIES", 26 * rows)
    in_parts = LOSSES[name](*z)
    assert torch.allclose(in_parts, whole, rtol=1e-12)
    for ours, theirs in zip(torch.autograd.grad(in_parts, z), expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-14)


def test_ranks_by_search_are_ranks_by_sorting_with_ties_too() -> None:
    rng = generator(1, "data")
    by_rank = torch.rand(40, generator=rng)
    for levels in (3, 1000, 10**7):
        scores = torch.randint(levels, (50, 40), generator=rng) / levels
        scores[:, 5] = torch.inf  # what is no negative
        assert torch.equal(weights_by_rank(scores, by_rank)[:, :5], weights_by_search(scores, by_rank)[:, :5])
