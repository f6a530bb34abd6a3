"""gradcheck of every loss in float64: the closed-form gradients of the two-view engine above all."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from contrastbench import losses
from contrastbench.randomness import generator

B, D = 4, 3


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, f"gradient {shape}"), dtype=torch.float64)


QUEUE, LABELS, DIFFERENT = normal(7, D), torch.tensor([0, 1, 0, 1]), torch.tensor([True, False, True, False])
CLUSTERINGS = [losses.Clustering(normal(2, D), torch.tensor([0.3, 0.5]).double(), LABELS)]
PARTNERS = losses.draw_partners(B, 5, safe=3, rounds=2, rng=generator(0, "partners"))


def mixed(z):
    return losses.hard_negative_cosines(z, QUEUE, normal(5, D), PARTNERS, keep=7)


MARGINS = {"positive_margin": 0.3, "negative_margin": 4.0}

PAIRS = {
    "nt_xent": lambda a, b: losses.nt_xent(a, b, temperature=0.3),
    "nt_xent cold": lambda a, b: losses.nt_xent(a, b, temperature=0.001),
    "dcl": lambda a, b: losses.dcl(a, b, temperature=0.3, tau_plus=0.2),
    "dcl clamped": lambda a, b: losses.dcl(a, b, temperature=0.3, tau_plus=0.8),
    "dcl many": lambda a, b: losses.dcl_many_positives(a, b, normal(2, B, D), temperature=0.3, tau_plus=0.1),
    "hcl half": lambda a, b: losses.hcl(a, b, temperature=0.3, tau_plus=0.1, beta=0.5),
    "hcl one": lambda a, b: losses.hcl(a, b, temperature=0.3, tau_plus=0.1, beta=1),
    "hcl": lambda a, b: losses.hcl(a, b, temperature=0.3, tau_plus=0.1, beta=3.3),
    "hcl cold": lambda a, b: losses.hcl(a, b, temperature=0.02, tau_plus=0.1, beta=20),
    "bcl": lambda a, b: losses.bcl(a, b, temperature=0.3, tau_plus=0.1, alpha=0.8, beta=0.7),
    "info_nce": lambda a, b: losses.info_nce(a, b, temperature=0.3),
    "info_nce explicit": lambda a, b: losses.info_nce(a, b, normal(B, 5, D), temperature=0.3),
    "alignment": lambda a, b: losses.alignment(a, b),
    "alignment 3": lambda a, b: losses.alignment(a, b, exponent=3.0),
    "drlim": lambda a, b: losses.drlim(a, b, DIFFERENT, margin=4.0),
    "squared_hinge": lambda a, b: losses.squared_hinge(a, b, DIFFERENT, **MARGINS),
    "margin_pairs": lambda a, b: losses.margin_pairs(a, b, DIFFERENT, **MARGINS),
    "quick_thoughts": lambda a, b: losses.quick_thoughts(a, b),
    "hard_quick_thoughts": lambda a, b: losses.hard_quick_thoughts(a, b, tau_plus=0.01, beta=0.7),
    "hard_simcse": lambda a, b: losses.hard_simcse(a, b, normal(B, D), temperature=0.3, tau_plus=0.01, beta=0.7),
    "quick_thoughts_as_paper": lambda a, b: losses.quick_thoughts(a, b, itself=False),
    "simcse": lambda a, b: losses.simcse_supervised(a, b, normal(B, D), temperature=0.3, hard_weight=2.0),
    "triplet": lambda a, b: losses.triplet(a, b, normal(B, D), margin=3.0),
    "nce": lambda a, b: losses.nce(a[:, 0], -b[:, 0].square(), a[:, 1:], -b[:, 1:].square()),
    "hard_info_nce": lambda a, b: losses.hard_info_nce(a[:, 0], b, tau_plus=0.01, beta=2.0, log_floor=-9.0),
}
SINGLE = {
    "sup_con": lambda z: losses.sup_con(z, LABELS, temperature=0.3),
    "uniformity": lambda z: losses.uniformity(z),
    "infonce_queue": lambda z: losses.infonce_queue(z, normal(B, D), QUEUE, temperature=0.3),
    "proto_nce": lambda z: losses.proto_nce(z, normal(B, D), QUEUE, clusterings=CLUSTERINGS, temperature=0.3),
    "ncl": lambda z: losses.ncl(z, normal(B, D), QUEUE, neighbours=2, temperature=0.3, hard_negatives=normal(B, 2, D)),
    "ncl hard": lambda z: losses.ncl(
        z, normal(B, D), QUEUE, neighbours=2, temperature=0.3, hard_cosines=mixed(z), counted=LABELS == 0
    ),
    "hard_negative_cosines": lambda z: mixed(z),
    "scl": lambda z: losses.scl(z, normal(B, D), LABELS, QUEUE, torch.arange(7) % 3, temperature=0.3),
    "info_nce_of_scores": lambda z: losses.info_nce_of_scores(z.T),
    "hardness_weights": lambda z: losses.hardness_weights(z, 2.0, keep=QUEUE[:B] > 0),
    **{
        f"batch_triplet {miner.__name__}": lambda z, miner=miner: losses.batch_triplet(
            z, LABELS, margin=1.0, miner=miner
        )
        for miner in (losses.mine_every, losses.mine_hard, losses.mine_semi_hard, losses.mine_easy)
    },
}


@pytest.mark.parametrize("loss", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("norm", [1.0, 100.0])
def test_gradient_of_pairs(loss, norm):
    a, b = normal(B, D, seed=1) * norm**0.25, normal(B, D, seed=2)
    assert gradcheck(loss, (a.requires_grad_(), b.requires_grad_()), eps=1e-7, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("loss", SINGLE.values(), ids=SINGLE)
def test_gradient_of_rows(loss):
    assert gradcheck(loss, (normal(B, D, seed=1).requires_grad_(),), eps=1e-7, atol=1e-5, rtol=1e-4)


def test_gradient_reaches_only_who_asks_for_it():
    a, b = normal(B, D, seed=1).requires_grad_(), normal(B, D, seed=2)
    losses.hcl(a, b, temperature=0.5, tau_plus=0.1, beta=1).backward()
    assert a.grad is not None and b.grad is None
    with torch.no_grad():
        assert not losses.hcl(a, b, temperature=0.5, tau_plus=0.1, beta=1).requires_grad


def test_backward_may_run_twice():
    a, b = normal(B, D, seed=1).requires_grad_(), normal(B, D, seed=2)
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
    assert math.isfinite(gradients[0].sum())
