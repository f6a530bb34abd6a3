"""Any shape, any setting: the two-view losses equal their printed formulas and keep their bounds."""

import math

import loss_loops as loops
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastbench import losses
from contrastbench.randomness import generator

rows, width, seed = st.integers(2, 7), st.integers(1, 6), st.integers(0, 2**31)
temperatures, priors = st.floats(0.05, 5.0), st.floats(0.0, 0.95)
halves = st.floats(0.5, 0.99)
quick = settings(max_examples=60, deadline=None, derandomize=True)


def views(rows, width, seed):
    z = torch.randn(2, rows, width, generator=generator(seed, "shapes"), dtype=torch.float64)
    return z.unbind()


@quick
@given(rows, width, seed, temperatures, priors, st.floats(0.0, 3.0))
def test_hcl_is_its_printed_formula(rows, width, seed, temperature, tau_plus, beta):
    z, chosen = views(rows, width, seed), {"temperature": temperature, "tau_plus": tau_plus, "beta": beta}
    assert losses.hcl(*z, **chosen).item() == pytest.approx(loops.hcl(*z, **chosen), rel=1e-8, abs=1e-9)


@quick
@given(rows, width, seed, temperatures, priors, halves, halves)
def test_bcl_is_its_printed_formula(rows, width, seed, temperature, tau_plus, alpha, beta):
    z, chosen = (
        views(rows, width, seed),
        {"temperature": temperature, "tau_plus": tau_plus, "alpha": alpha, "beta": beta},
    )
    if abs((1 - 2 * alpha) * (1 - 2 * tau_plus) + 1e-3) < 1e-5:
        return  # the printed root divides by zero here
    assert losses.bcl(*z, **chosen).item() == pytest.approx(loops.bcl(*z, **chosen), rel=1e-8, abs=1e-9)


@quick
@given(rows, width, seed, temperatures)
def test_nt_xent_keeps_its_bounds(rows, width, seed, temperature):
    loss = losses.nt_xent(*views(rows, width, seed), temperature=temperature).item()
    lowest = math.log1p((2 * rows - 2) * math.exp(-2 / temperature))
    highest = math.log1p((2 * rows - 2) * math.exp(2 / temperature))
    assert lowest - 1e-9 <= loss <= highest + 1e-9


@quick
@given(rows, width, seed, st.floats(0.01, 1.0), priors, st.floats(0.0, 30.0))
def test_harder_negatives_never_cost_less(rows, width, seed, temperature, tau_plus, beta):
    z, chosen = [part.float() for part in views(rows, width, seed)], {"temperature": temperature, "tau_plus": tau_plus}
    plain, hard = losses.dcl(*z, **chosen).item(), losses.hcl(*z, **chosen, beta=beta).item()
    assert math.isfinite(hard) and hard >= plain - 1e-4 * (1 + abs(plain))
