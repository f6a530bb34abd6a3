"""Every loss: its gradient, three precisions, and the inputs and settings where formulas break when they are naive."""

import itertools

import pytest
import torch
from every_loss import LOSSES, NO_LOSS, WITH_TEMPERATURE, normal
from torch.autograd import gradcheck

from contrastbench import losses

every_loss = pytest.mark.parametrize("name", LOSSES)
PRECISIONS = (torch.float64, torch.float32, torch.bfloat16)
BY_RANK = ("bcl", "bcl, alpha 1")  # of scores that are equal but for their rounding any order is right
KEYS_DETACHED = ("infonce_queue", "proto_nce", "ncl", "ncl, hard negatives", "ncl, hard cosines", "scl")
SQUARED = ("drlim", "squared_hinge", "quick_thoughts", "quick_thoughts, as paper", "hard_quick_thoughts")
SQUARED += ("info_nce_of_scores",)  # squares or products of the inputs, which a float32 cannot hold for huge ones


def inputs(rows: int, width: int = 3) -> dict[str, torch.Tensor]:
    """[2, rows, width] in double precision."""
    z, ones = normal(2, rows, width), torch.ones(rows, width).double()
    one_zero = z.clone()
    one_zero[:, 0] = 0
    return {
        "random": z,
        "equal": torch.stack([ones, ones]),
        "opposite": torch.stack([ones, -ones]),
        "zero": torch.zeros_like(z),
        "one zero": one_zero,
        "huge": 1e30 * z,
        "tiny": 1e-20 * z,
    }


def value_and_gradients(name, z, temperature=0.5, autocast=False):
    a, b = (part.clone().requires_grad_() for part in z)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = LOSSES[name](a, b, temperature)
    value.backward()
    return value.detach(), torch.stack([torch.zeros_like(x) if x.grad is None else x.grad for x in (a, b)])


def test_every_loss_of_the_package_is_here():
    assert {name.split(",")[0] for name in LOSSES} >= set(losses.__all__) - NO_LOSS


@every_loss
def test_gradients_are_those_of_finite_differences(name):
    for temperature in (0.3, 0.02, 0.001)[: 3 if name in WITH_TEMPERATURE else 1]:
        z = normal(4, 3, seed=1).requires_grad_(), normal(4, 3, seed=2).requires_grad_(name not in KEYS_DETACHED)
        atol = 1e-6 / temperature
        assert gradcheck(lambda a, b, t=temperature: LOSSES[name](a, b, t), z, eps=1e-8, atol=atol, rtol=1e-4)


@every_loss
def test_a_loss_is_finite_where_its_formula_is_or_says_what_it_needs(name):
    temperatures = (1e-6, 0.02, 0.5)[0 if name in WITH_TEMPERATURE else 2 :]
    for rows, precision, temperature in itertools.product((1, 2, 8), PRECISIONS, temperatures):
        for case, z in inputs(rows).items():
            if case == "huge" and name in SQUARED and precision != torch.float64:
                continue
            try:
                value, gradients = value_and_gradients(name, z.to(precision), temperature)
            except ValueError as error:
                assert rows < 4 and "\n" not in str(error), (case, error)
                continue
            assert value.isfinite() and gradients.isfinite().all(), (rows, precision, temperature, case)


@every_loss
def test_single_precision_is_near_double(name):
    for case, z in inputs(8).items():
        if case != "random" and (name in BY_RANK or case == "huge" and name in SQUARED):
            continue
        for temperature, error in ((0.02, 1e-4), (0.5, 1e-5)):  # a cosine is good to 1e-7, a score to 1e-7 / t
            exact, exact_gradient = value_and_gradients(name, z.float().double(), temperature)
            value, gradient = value_and_gradients(name, z.float(), temperature)
            torch.testing.assert_close(value.double(), exact, rtol=error, atol=error)
            if case == "random":
                bound = 200 * error * exact_gradient.abs().max() + 1e-6
                assert (gradient.double() - exact_gradient).abs().max() < bound


@every_loss
def test_half_precision_and_autocast_are_computed_in_single_precision(name):
    single = inputs(8)["random"].float()
    for precision in (torch.bfloat16, torch.float16):
        half = single.to(precision)
        expected, _ = value_and_gradients(name, half.float(), 0.1)
        value, gradients = value_and_gradients(name, half, 0.1)
        assert value.dtype == torch.float32 and gradients.dtype == precision and gradients.isfinite().all()
        torch.testing.assert_close(value, expected)
    expected, gradients = value_and_gradients(name, single, 0.1)
    value, under = value_and_gradients(name, single, 0.1, autocast=True)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(under, gradients)


@every_loss
def test_a_nan_in_any_row_shows_in_the_loss(name):
    """A finite loss with gradients of NaN would spoil the weights unseen."""
    for view in (0, 1):
        for row in (0, 3, 7):
            z = inputs(8)["random"].float()
            z[view, row, 1] = torch.nan
            value, gradients = value_and_gradients(name, z)
            assert value.isnan() or gradients.isfinite().all(), (view, row)


@pytest.mark.parametrize("name", WITH_TEMPERATURE)
def test_a_temperature_that_nothing_can_be_divided_by_is_refused(name):
    a, b = inputs(8)["random"]
    for temperature in (0.0, -1.0, 1e-40, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"temperature must be in \[1e-06, 1e\+06\], got {temperature}"):
            WITH_TEMPERATURE[name](a, b, temperature)


def test_zero_rows_receive_a_gradient_of_ordinary_size():
    _, gradients = value_and_gradients("nt_xent", inputs(5)["one zero"])
    assert 0 < gradients[0, 0].abs().max() < 10


def test_gradients_reach_only_who_asks_for_them():
    a, b = normal(4, 3, seed=1).requires_grad_(), normal(4, 3, seed=2)
    losses.hcl(a, b, temperature=0.5, tau_plus=0.1, beta=1).backward()
    assert a.grad is not None and b.grad is None
    with torch.no_grad():
        assert not losses.hcl(a, b, temperature=0.5, tau_plus=0.1, beta=1).requires_grad


def test_backward_may_run_twice():
    a, b = normal(4, 3, seed=1).requires_grad_(), normal(4, 3, seed=2)
    for loss in (losses.nt_xent(a, b, temperature=0.5), losses.nt_xent(a, b, temperature=0.001)):
        (first,) = torch.autograd.grad(loss, a, retain_graph=True)
        (second,) = torch.autograd.grad(3 * loss, a)
        torch.testing.assert_close(3 * first, second)


def test_weights_are_not_detached():
    """HCL's gradient differs from the one with its weights held fixed."""
    gradients = []
    for detach in (False, True):
        scores = normal(1, 5).requires_grad_()
        weights = losses.hardness_weights(scores, 1.0)
        ((weights.detach() if detach else weights) * scores.exp()).mean().backward()
        gradients.append(scores.grad)
    assert (gradients[0] - gradients[1]).abs().max() > 0.01
