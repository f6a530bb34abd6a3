"""Special cases, invariances and values known in closed form."""

import math

import pytest
import torch

from contrastbench import losses
from contrastbench.losses import parts, two_views
from contrastbench.randomness import generator

TWO_VIEWS = {
    "nt_xent": lambda a, b: losses.nt_xent(a, b, temperature=0.5),
    "dcl": lambda a, b: losses.dcl(a, b, temperature=0.5, tau_plus=0.1),
    "hcl": lambda a, b: losses.hcl(a, b, temperature=0.5, tau_plus=0.1, beta=1.0),
    "hcl cold": lambda a, b: losses.hcl(a, b, temperature=0.02, tau_plus=0.1, beta=20.0),
    "bcl": lambda a, b: losses.bcl(a, b, temperature=0.5, tau_plus=0.1, alpha=0.9, beta=0.7),
}
every_two_view_loss = pytest.mark.parametrize("loss", TWO_VIEWS.values(), ids=TWO_VIEWS)


def views(rows=6, width=4, seed=0):
    rng = generator(seed, "test")
    return torch.randn(2, rows, width, generator=rng, dtype=torch.float64).unbind()


def number(x):
    return torch.tensor(x, dtype=torch.float64)


def same(x, y, **tolerance):
    torch.testing.assert_close(x, y, **({"rtol": 1e-10, "atol": 1e-12} | tolerance))


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_debiased_with_zero_prior_is_nt_xent(temperature):
    a, b = views()
    same(losses.dcl(a, b, temperature=temperature, tau_plus=0), losses.nt_xent(a, b, temperature=temperature))


@pytest.mark.parametrize("temperature", [0.02, 0.05, 0.5])
def test_hard_with_zero_beta_is_debiased(temperature):
    a, b = views()
    ours = losses.hcl(a, b, temperature=temperature, tau_plus=0.2, beta=0)
    same(ours, losses.dcl(a, b, temperature=temperature, tau_plus=0.2))


def test_hard_with_tiny_beta_is_nearly_debiased():
    a, b = views()
    ours = losses.hcl(a, b, temperature=0.5, tau_plus=0.2, beta=1e-9)
    same(ours, losses.dcl(a, b, temperature=0.5, tau_plus=0.2), atol=1e-7)


def test_sup_con_without_labels_is_nt_xent():
    a, b = views()
    ours = losses.sup_con(torch.cat([a, b]), torch.arange(6).repeat(2), temperature=0.5)
    same(ours, losses.nt_xent(a, b, temperature=0.5))


def test_bayesian_at_one_half_is_nearly_nt_xent():
    a, b = views(20)
    ours = losses.bcl(a, b, temperature=0.5, tau_plus=0.1, alpha=0.5, beta=0.5)
    plain = losses.nt_xent(a, b, temperature=0.5)
    assert 0 < (plain - ours) / plain < 0.002
    omega = losses.bayesian_weights(torch.linspace(0, 1, 50), tau_plus=0.1, alpha=0.5, beta=0.5)
    torch.testing.assert_close(omega, torch.full_like(omega, 0.998), atol=1e-3, rtol=0)


def test_bayesian_at_the_authors_default_weighs_by_twice_the_rank():
    u = torch.arange(1, 511, dtype=torch.float64) / 510
    omega = losses.bayesian_weights(u, tau_plus=0.1, alpha=0.5, beta=1.0)
    same(omega, 2 * u, atol=0.01, rtol=0)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.7, 0.5), (0.8, 0.9), (0.9, 0.9), (1.0, 0.5)])
def test_bayesian_weights_have_mean_one(alpha, beta):
    u = torch.arange(1, 511, dtype=torch.float64) / 510
    mean = losses.bayesian_weights(u, tau_plus=0.1, alpha=alpha, beta=beta).mean().item()
    assert mean == pytest.approx(0.997, abs=0.003)


def test_bayesian_weights_of_tied_scores_are_those_of_the_last_rank():
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    ours = losses.bcl(a, a, temperature=1.0, tau_plus=0.1, alpha=0.8, beta=0.6)
    top = losses.bayesian_weights(torch.ones(1, dtype=torch.float64), tau_plus=0.1, alpha=0.8, beta=0.6)
    low = losses.bayesian_weights(torch.full((1,), 2 / 6, dtype=torch.float64), tau_plus=0.1, alpha=0.8, beta=0.6)
    first = torch.log1p(6 * top / math.e)  # all six negatives at cosine 0: all of rank 1
    other = torch.log1p((2 * low + 4 * top * math.e) / math.e)  # two at cosine 0, four at cosine 1
    same(ours, ((first + 3 * other) / 4).squeeze())


def test_dcl_with_no_further_positives_is_dcl():
    a, b = views()
    ours = losses.dcl_many_positives(a, b, a.new_zeros(0, 6, 4), temperature=0.5, tau_plus=0.3)
    same(ours, losses.dcl(a, b, temperature=0.5, tau_plus=0.3))


def test_squared_hinge_from_zero_is_twice_drlim():
    a, b = views()
    different = torch.arange(6) % 2 == 0
    ours = losses.squared_hinge(a, b, different, positive_margin=0.0, negative_margin=2.0)
    same(ours, 2 * losses.drlim(a, b, different, margin=2.0))


def test_hard_info_nce_on_cosines_is_hcl():
    a, b = views()
    u = torch.nn.functional.normalize(torch.cat([a, b]), dim=1)
    scores, partner = u @ u.T / 0.5, torch.arange(12).roll(6)
    keep = ~torch.eye(12, dtype=torch.bool)
    keep[torch.arange(12), partner] = False
    settings = {"tau_plus": 0.1, "beta": 1.5}
    ours = losses.hard_info_nce(scores[torch.arange(12), partner], scores, log_floor=-2.0, keep=keep, **settings)
    same(ours, losses.hcl(a, b, temperature=0.5, **settings))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.3, 2.0, 4.0])
@pytest.mark.parametrize("tau_plus", [0.0, 0.2, 0.6])
def test_the_fast_engine_is_the_general_one(beta, tau_plus):
    """In value and gradient: exponentials with a symmetric gradient against hardness_weights in log space."""
    gradients, values = [], []
    for general in (False, True):
        a, b = (z.clone().requires_grad_() for z in views(7, 3))
        if general:
            u, log_positive = two_views.views(a, b, 0.4)
            weigh = (lambda s: parts.hardness_weights(s, beta, count=12)) if beta else None
            log_mean = two_views.log_mean_negatives(u, 0.4, weigh, slope=beta)
            log_mean = parts.log_debiased(log_mean, log_positive, tau_plus, -1 / 0.4)
            value = two_views.pick_positive(log_positive, log_mean + math.log(12))
        else:
            value = losses.hcl(a, b, temperature=0.4, tau_plus=tau_plus, beta=beta)
        value.backward()
        values.append(value.detach())
        gradients.append(torch.cat([a.grad, b.grad]))
    same(values[0], values[1])
    same(gradients[0], gradients[1])


@every_two_view_loss
def test_the_length_of_embeddings_does_not_matter(loss):
    a, b = views()
    scale = torch.logspace(-6, 6, 6, dtype=torch.float64)[:, None]
    same(loss(a * scale, b / scale), loss(a, b))


@every_two_view_loss
def test_the_order_of_views_does_not_matter(loss):
    a, b = views()
    same(loss(a, b), loss(b, a))
    swapped = torch.arange(6)[:, None] % 2 == 0  # item by item
    same(loss(torch.where(swapped, a, b), torch.where(swapped, b, a)), loss(a, b))


@every_two_view_loss
def test_the_order_of_items_does_not_matter(loss):
    a, b = views()
    order = torch.randperm(6, generator=generator(0, "test"))
    same(loss(a[order], b[order]), loss(a, b))


@every_two_view_loss
def test_rotating_the_sphere_does_not_matter(loss):
    a, b = views()
    rotation = torch.linalg.qr(views(4, 4, seed=3)[0]).Q
    same(loss(a @ rotation, b @ rotation), loss(a, b))


@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize("temperature", [0.02, 0.5])
def test_equal_items_give_log_of_the_number_of_choices(batch, temperature):
    z = torch.ones(batch, 3, dtype=torch.float64)
    expected = number(2 * batch - 1.0).log()
    same(losses.nt_xent(z, z, temperature=temperature), expected)
    same(losses.dcl(z, z, temperature=temperature, tau_plus=0.3), expected)
    same(losses.hcl(z, z, temperature=temperature, tau_plus=0.3, beta=3.0), expected)
    same(losses.info_nce(z, z, temperature=temperature), number(float(batch)).log())


def test_the_clamp_holds_where_negatives_are_few_and_the_prior_is_large():
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = losses.dcl(a, a, temperature=0.5, tau_plus=0.5)  # (e^-2 - 0.5 e^2) / 0.5 < e^-2
    same(loss, torch.log1p(2 * torch.exp(number(-4.0))))
    loss.backward()
    assert a.grad.abs().max() < 1e-12  # the positives are at their best, and no gradient passes the clamp


def test_alignment_and_uniformity_of_the_square():
    square = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float64)
    same(losses.alignment(square, square), number(0.0))
    same(losses.alignment(square, -square), number(4.0))
    expected = math.log((2 * math.exp(-2 * 2) + math.exp(-2 * 4)) / 3)
    same(losses.uniformity(square), number(expected))
    same(losses.uniformity(torch.ones(5, 2, dtype=torch.float64)), number(0.0))


def test_nce_of_the_true_model_is_the_entropy_of_guessing():
    """Where model and noise agree, each of k + 1 samples is the datum with probability 1 / (k + 1)."""
    log_p, k = torch.full((3,), -1.0).double(), 4
    ours = losses.nce(log_p, log_p, log_p[:, None].expand(3, k), log_p[:, None].expand(3, k))
    expected = math.log(k + 1) + k * math.log((k + 1) / k)
    same(ours, number(expected))


def test_semi_hard_pairs_without_a_negative_do_not_count():
    z = torch.tensor([[1.0, 0], [1, 0.01], [-1, 0], [-1, 0.01]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    assert losses.batch_triplet(z, labels, margin=0.2, miner=losses.mine_semi_hard) == 0


def test_collapse_costs_the_margin_and_has_no_gradient():
    z = torch.ones(4, 2, dtype=torch.float64, requires_grad=True)
    loss = losses.batch_triplet(z, torch.tensor([0, 0, 1, 1]), margin=0.2, miner=losses.mine_hard)
    loss.backward()
    same(loss, number(0.2))
    assert z.grad.abs().max() < 1e-12


def test_concentrations_have_the_temperature_as_their_mean():
    z, centres = views(30, 3)[0], views(4, 3, seed=1)[0]
    phi = losses.concentrations(z, centres, torch.arange(30) % 4, temperature=0.2)
    same(phi.mean(), number(0.2))
    assert (phi > 0).all()


def test_queue_and_key_get_no_gradient():
    query, key = (z.clone().requires_grad_() for z in views())
    queue = views(9, 4)[0].clone().requires_grad_()
    losses.infonce_queue(query, key, queue, temperature=0.2).backward()
    assert query.grad is not None and key.grad is None and queue.grad is None


def test_nt_xent_is_between_its_value_for_the_best_and_for_the_worst_embeddings():
    z = torch.randn(200, 2, 3, 5, generator=generator(0, "test"), dtype=torch.float64)
    for (a, b), temperature in zip(z, torch.logspace(-1.3, 0.7, 200).tolist(), strict=True):
        low, high = (math.log1p(4 * math.exp(sign * 2 / temperature)) for sign in (-1, 1))
        assert low - 1e-9 <= losses.nt_xent(a, b, temperature=temperature).item() <= high + 1e-9


def test_harder_negatives_never_cost_less():
    a, b = (z.float() for z in views())
    for temperature in (0.01, 0.1, 1.0):
        costs = [losses.hcl(a, b, temperature=temperature, tau_plus=0.3, beta=beta).item() for beta in (0, 0.5, 2, 30)]
        assert costs == sorted(costs)
