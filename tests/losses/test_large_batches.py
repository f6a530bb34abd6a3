"""Two-view losses in blocks of rows, and BCL's ranks as a GPU finds them: the same values as over the whole matrix."""

import pytest
import torch

from contrastbench import losses
from contrastbench.losses import bayesian, two_views
from contrastbench.losses.bayesian import weights_by_rank, weights_by_search
from contrastbench.randomness import generator
from contrastbench.timing import peak_mb

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
    monkeypatch.setitem(two_views.BLOCK_ENTRIES, "cpu", 26 * rows)
    in_parts = LOSSES[name](*z)
    assert torch.allclose(in_parts, whole, rtol=1e-12)
    for ours, theirs in zip(torch.autograd.grad(in_parts, z), expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-14)


def test_ranks_by_search_are_ranks_by_sorting_with_ties_too() -> None:
    """And by counting, as the definition has it: how many of a row are at most as large."""
    rng = generator(1, "data")
    by_rank = torch.rand(40, generator=rng)
    for levels in (1, 3, 1000, 10**7):
        scores = (torch.randint(2 * levels, (50, 40), generator=rng) - levels) / levels
        scores[:, 5:7] = -torch.inf  # what is no negative
        scores[:, 9], scores[:, 11] = 0.0, -0.0
        weights = weights_by_rank(scores, by_rank)
        assert torch.equal(weights, weights_by_search(scores, by_rank))
        assert torch.equal(weights.double(), weights_by_rank(scores.double(), by_rank.double()))
        counted = (scores[:, None, :] <= scores[:, :, None]).sum(dim=2)
        assert torch.equal(weights, by_rank[counted - 1])


def test_ranks_do_not_hang_on_how_many_rows_are_sorted_at_a_time(monkeypatch) -> None:
    scores, by_rank = torch.randn(7, 30, generator=generator(2, "data")), torch.rand(30)
    whole = weights_by_rank(scores, by_rank)
    for entries in (1, 60, 90):
        monkeypatch.setattr(bayesian, "SORTED_ENTRIES", entries)
        assert torch.equal(weights_by_rank(scores, by_rank), whole)


def test_bcl_of_a_large_batch_takes_less_memory_than_hcl() -> None:
    """1,536 items: HCL has two matrices of 36 MB at a time, BCL blocks of 4 MB."""
    z = [part.float().detach().requires_grad_() for part in embeddings(1536)]
    peaks = [peak_mb(lambda name=name: LOSSES[name](*z).backward()) for name in ("hcl", "bcl")]
    assert peaks[1] < peaks[0] / 2, peaks
