"""float32 and bfloat16 against float64 where it hurts: temperature 0.02, beta 20, two items, equal or zero rows."""

import pytest
import torch

from contrastbench import losses
from contrastbench.randomness import generator

LOSSES = {
    "nt_xent": lambda a, b, t: losses.nt_xent(a, b, temperature=t),
    "dcl": lambda a, b, t: losses.dcl(a, b, temperature=t, tau_plus=0.1),
    "hcl": lambda a, b, t: losses.hcl(a, b, temperature=t, tau_plus=0.1, beta=20.0),
    "hcl 1": lambda a, b, t: losses.hcl(a, b, temperature=t, tau_plus=0.1, beta=1.0),
    "bcl": lambda a, b, t: losses.bcl(a, b, temperature=t, tau_plus=0.1, alpha=0.9, beta=0.9),
    "bcl sure": lambda a, b, t: losses.bcl(a, b, temperature=t, tau_plus=0.1, alpha=1.0, beta=0.5),
    "info_nce": lambda a, b, t: losses.info_nce(a, b, temperature=t),
    "sup_con": lambda a, b, t: losses.sup_con(torch.cat([a, b]), torch.arange(len(a)).repeat(2) // 2, temperature=t),
    "queue": lambda a, b, t: losses.infonce_queue(a, b, b.flip(0), temperature=t),
    "simcse": lambda a, b, t: losses.simcse_supervised(a, b, b.flip(0), temperature=t),
    "ncl": lambda a, b, t: losses.ncl(a, b, b.flip(0), neighbours=1, temperature=t),
}
INPUTS = {
    "random": lambda rows, width: torch.randn(2, rows, width, generator=generator(0, "hard"), dtype=torch.float64),
    "equal": lambda rows, width: torch.ones(2, rows, width, dtype=torch.float64),
    "opposite": lambda rows, width: torch.stack([torch.ones(rows, width), -torch.ones(rows, width)]).double(),
    "zero rows": lambda rows, width: torch.cat(
        [torch.zeros(2, 1, width), torch.randn(2, rows - 1, width, generator=generator(1, "hard"))], dim=1
    ).double(),
    "all zero": lambda rows, width: torch.zeros(2, rows, width, dtype=torch.float64),
    "huge": lambda rows, width: 1e30 * torch.randn(2, rows, width, generator=generator(2, "hard"), dtype=torch.float64),
}


def value_and_gradient(loss, z, temperature):
    a, b = (part.clone().requires_grad_() for part in z)
    value = loss(a, b, temperature)
    value.backward()
    return value.detach(), a.grad


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("rows", [2, 17])
@pytest.mark.parametrize("temperature", [0.02, 0.5])
def test_single_precision_is_finite_and_near_double(loss, make, rows, temperature):
    z = make(rows, 5)
    exact, exact_gradient = value_and_gradient(loss, z.float().double(), temperature)
    value, gradient = value_and_gradient(loss, z.float(), temperature)
    assert value.isfinite() and gradient.isfinite().all()
    assert exact.isfinite() and exact_gradient.isfinite().all()
    error = 1e-4 if temperature == 0.02 else 1e-5  # a cosine is good to 1e-7, a score to 1e-7 / t
    if loss not in (LOSSES["bcl"], LOSSES["bcl sure"]) or make in (INPUTS["random"], INPUTS["huge"]):
        # BCL goes by rank: where scores are equal but for their rounding, so is any order of them right.
        torch.testing.assert_close(value.double(), exact, rtol=error, atol=error)
    if make is INPUTS["random"]:
        scale = exact_gradient.abs().max()
        assert (gradient.double() - exact_gradient).abs().max() < 200 * error * scale + 1e-6


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_computed_in_single_precision(loss, dtype):
    z = INPUTS["random"](9, 5).to(dtype)
    exact, _ = value_and_gradient(loss, z.float(), 0.02)
    value, gradient = value_and_gradient(loss, z, 0.02)
    assert value.dtype == torch.float32 and gradient.dtype == dtype
    assert gradient.isfinite().all()
    torch.testing.assert_close(value, exact)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_autocast_changes_nothing(loss):
    z = INPUTS["random"](9, 5).float()
    value, gradient = value_and_gradient(loss, z, 0.02)
    a, b = (part.clone().requires_grad_() for part in z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = loss(a, b, 0.02)
    under.backward()
    torch.testing.assert_close(under.detach(), value)
    torch.testing.assert_close(a.grad, gradient)


def test_zero_rows_receive_a_gradient_of_ordinary_size():
    z = INPUTS["zero rows"](5, 3)
    _, gradient = value_and_gradient(LOSSES["nt_xent"], z, 0.5)
    assert 0 < gradient[0].abs().max() < 10
