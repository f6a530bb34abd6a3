"""Every loss equals its printed formula, in plain loops, over sizes, temperatures and parameters."""

import math

import loss_loops as loops
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastbench import losses
from contrastbench.randomness import generator

SIZES = [(2, 1), (3, 2), (5, 4), (8, 3)]
rows, width, seed = st.integers(2, 7), st.integers(1, 6), st.integers(0, 2**31)
temperatures, priors, halves = st.floats(0.05, 5.0), st.floats(0.0, 0.95), st.floats(0.5, 0.99)
betas = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.floats(0.0, 5.0))
drawn = settings(max_examples=100, deadline=None, derandomize=True)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, f"test {shape}"), dtype=torch.float64)


def views(rows, width):
    return normal(rows, width, seed=1), 3 * normal(rows, width, seed=2)


def equal(ours, printed):
    assert ours.ndim == 0
    assert ours.item() == pytest.approx(printed, rel=1e-10, abs=1e-12)


def any_views(rows, width, seed):
    return torch.randn(2, rows, width, generator=generator(seed, "shapes"), dtype=torch.float64).unbind()


@drawn
@given(rows, width, seed, temperatures, priors, betas)
def test_nt_xent_dcl_and_hcl(rows, width, seed, temperature, tau_plus, beta):
    z = any_views(rows, width, seed)
    printed = [
        loops.hcl(*z, temperature, *prior_and_beta) for prior_and_beta in ((0, 0), (tau_plus, 0), (tau_plus, beta))
    ]
    ours = (
        losses.nt_xent(*z, temperature=temperature),
        losses.dcl(*z, temperature=temperature, tau_plus=tau_plus),
        losses.hcl(*z, temperature=temperature, tau_plus=tau_plus, beta=beta),
    )
    assert [each.item() for each in ours] == pytest.approx(printed, rel=1e-8, abs=1e-9)


@drawn
@given(rows, width, seed, temperatures, priors, halves, halves)
def test_bcl(rows, width, seed, temperature, tau_plus, alpha, beta):
    chosen = {"temperature": temperature, "tau_plus": tau_plus, "alpha": alpha, "beta": beta}
    if abs((1 - 2 * alpha) * (1 - 2 * tau_plus) + 1e-3) < 1e-5:
        return  # the printed root divides by zero here
    z = any_views(rows, width, seed)
    assert losses.bcl(*z, **chosen).item() == pytest.approx(loops.bcl(*z, **chosen), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(("size", "temperature"), list(zip(SIZES, (0.5, 0.1, 0.5, 1.0), strict=True)))
class TestOfSizes:
    def test_dcl_with_many_positives(self, size, temperature):
        z, extra, known = views(*size), normal(3, *size), {"temperature": temperature, "tau_plus": 0.3}
        for more in (extra[:1], extra):
            equal(losses.dcl_many_positives(*z, more, **known), loops.hcl(*z, beta=0, more_positives=more, **known))

    def test_info_nce(self, size, temperature):
        z = views(*size)
        for negatives in (None, normal(6, size[1]), normal(size[0], 4, size[1])):
            ours = losses.info_nce(*z, negatives, temperature=temperature)
            equal(ours, loops.info_nce(*z, negatives, temperature))

    def test_queue_losses(self, size, temperature):
        z, queue, mixed = views(*size), normal(7, size[1]), normal(size[0], 3, size[1])
        equal(losses.infonce_queue(*z, queue, temperature=temperature), loops.info_nce(*z, queue, temperature))
        together = torch.cat([queue.expand(size[0], -1, -1), mixed], dim=1)
        ours = losses.infonce_queue(*z, queue, temperature=temperature, synthetic=mixed)
        equal(ours, loops.info_nce(*z, together, temperature))

    def test_sup_con(self, size, temperature):
        z, labels = torch.cat(views(*size)), torch.arange(2 * size[0]) % 3
        if size[0] > 2:
            labels[0] = 9  # a class of one: it has no positive
        equal(losses.sup_con(z, labels, temperature=temperature), loops.sup_con(z, labels, temperature))

    def test_proto_nce(self, size, temperature):
        z, queue = views(*size), normal(5, size[1])
        clusterings = [
            losses.Clustering(normal(count, size[1]), 0.2 + normal(count).abs(), torch.arange(size[0]) % count)
            for count in (2, 4)
        ]
        ours = losses.proto_nce(*z, queue, clusterings=clusterings, temperature=temperature)
        equal(ours, loops.proto_nce(*z, queue, clusterings, temperature))

    @pytest.mark.parametrize("variant", ["as_paper", "as_code"])
    @pytest.mark.parametrize("hard", [None, 4])
    def test_ncl_and_scl(self, size, temperature, variant, hard):
        z, queue = views(*size), normal(9, size[1])
        hard = None if hard is None else normal(size[0], hard, size[1])
        ours = losses.ncl(
            *z, queue, neighbours=4, temperature=temperature, positive_weight=0.3, hard_negatives=hard, variant=variant
        )
        equal(ours, loops.ncl(*z, queue, 4, temperature, 0.3, hard, variant))
        labels, queue_labels = torch.arange(size[0]) % 2, torch.arange(9) % 4 - 1
        ours = losses.scl(z[0], z[1], labels, queue, queue_labels, temperature=temperature)
        equal(ours, loops.scl(z[0], z[1], labels, queue, queue_labels, temperature))

    def test_supervised_simcse(self, size, temperature):
        z, hard = views(*size), normal(*size)
        for hard_weight in (0.3, 1.0, 2.0):
            ours = losses.simcse_supervised(*z, hard, temperature=temperature, hard_weight=hard_weight)
            equal(ours, loops.simcse_supervised(*z, hard, temperature, hard_weight))


@pytest.mark.parametrize("size", SIZES)
def test_pairs(size):
    x, different = views(*size), torch.arange(size[0]) % 2 == 0
    equal(losses.drlim(*x, different, margin=3.0), loops.drlim(*x, different, 3.0))
    for loss, power in ((losses.squared_hinge, 2), (losses.margin_pairs, 1)):
        ours = loss(*x, different, positive_margin=0.5, negative_margin=3.0)
        equal(ours, loops.two_margins(*x, different, 0.5, 3.0, power))


@pytest.mark.parametrize(("size", "margin"), [((4, 2), 0.05), ((9, 3), 0.2), ((12, 2), 1.0)])
@pytest.mark.parametrize("mining", ["every", "hard", "semi_hard", "easy"])
def test_mined_triplets(size, margin, mining):
    z, labels = normal(*size), torch.arange(size[0]) % 3
    ours = losses.batch_triplet(z, labels, margin=margin, miner=getattr(losses, f"mine_{mining}"))
    equal(ours, loops.batch_triplet(z, labels, margin, mining))


def test_triplet_is_the_mean_over_given_triplets():
    a, p, n = normal(5, 3, seed=1), normal(5, 3, seed=2), normal(5, 3, seed=3)
    printed = [
        max(0, loops.distance(x, y) ** 2 - loops.distance(x, w) ** 2 + 0.2)
        for x, y, w in zip(loops.units(a), loops.units(p), loops.units(n), strict=True)
    ]
    equal(losses.triplet(a, p, n, margin=0.2), sum(printed) / 5)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_nce(k):
    inputs = normal(4), -normal(4).abs(), normal(4, k), -normal(4, k).abs()
    equal(losses.nce(*inputs), loops.nce(*inputs))


@pytest.mark.parametrize("beta", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("log_floor", [-math.inf, -2.0])
def test_hard_info_nce(beta, log_floor):
    positive, negatives = normal(4), normal(4, 6)
    ours = losses.hard_info_nce(positive, negatives, tau_plus=0.05, beta=beta, log_floor=log_floor)
    equal(ours, loops.hard_info_nce(positive, negatives, 0.05, beta, log_floor))


def test_hard_info_nce_leaves_out_what_is_no_negative():
    positive, negatives, settings = normal(4), normal(4, 6), {"tau_plus": 0.05, "beta": 2.0}
    keep = torch.arange(6).expand(4, 6) < 4
    ours = losses.hard_info_nce(positive, negatives, keep=keep, **settings)
    equal(ours, loops.hard_info_nce(positive, negatives[:, :4], log_floor=-math.inf, **settings))


@pytest.mark.parametrize("size", SIZES)
def test_alignment_and_uniformity(size):
    z = views(*size)
    for exponent in (1.0, 2.0, 3.0):
        equal(losses.alignment(*z, exponent=exponent), loops.alignment(*z, exponent))
    for t in (0.5, 2.0):
        equal(losses.uniformity(z[0], t=t), loops.uniformity(z[0], t))


@pytest.mark.parametrize(("context", "itself"), [(1, True), (1, False), (2, True), (2, False)])
def test_quick_thoughts(context, itself):
    f, g = views(6, 3)
    equal(
        losses.quick_thoughts(f, g, context=context, itself=itself), loops.quick_thoughts(f, g, context, itself=itself)
    )


@pytest.mark.parametrize(("beta", "tau_plus"), [(0.0, 0.0), (1.0, 0.0), (0.5, 0.01), (0.0, 0.1)])
@pytest.mark.parametrize("hard_weight", [None, 0.5, 1.0, 3.0])
def test_hard_simcse_is_hcl_over_the_other_positives_and_all_contradictions(beta, tau_plus, hard_weight):
    (h, plus), minus, t = views(5, 3), normal(5, 3, seed=3), 0.3
    cosine = torch.nn.functional.cosine_similarity
    total = 0.0
    for i in range(5):
        scores = [cosine(h[i], plus[j], dim=0) / t for j in range(5)]
        negatives = [scores[j] for j in range(5) if j != i]
        if hard_weight is not None:
            hard = [cosine(h[i], minus[j], dim=0) / t for j in range(5)]
            hard[i] = hard[i] + math.log(hard_weight)
            negatives += hard
        total += loops.hard_info_nce(scores[i][None], torch.stack(negatives)[None], tau_plus, beta, -1 / t)
    hard = {} if hard_weight is None else {"hard_negative": minus, "hard_weight": hard_weight}
    equal(losses.hard_simcse(h, plus, temperature=t, tau_plus=tau_plus, beta=beta, **hard), total / 5)


def test_hard_simcse_without_hardness_and_debiasing_is_simcse():
    (h, plus), minus = views(5, 3), normal(5, 3, seed=3)
    plain = {"temperature": 0.2, "tau_plus": 0.0, "beta": 0.0}
    equal(losses.hard_simcse(h, plus, **plain), losses.info_nce(h, plus, temperature=0.2).item())
    equal(
        losses.hard_simcse(h, plus, minus, hard_weight=2.0, **plain),
        losses.simcse_supervised(h, plus, minus, temperature=0.2, hard_weight=2.0).item(),
    )


@pytest.mark.parametrize(("beta", "tau_plus"), [(0.0, 0.0), (1.0, 0.0), (0.5, 0.01)])
def test_hard_quick_thoughts_is_hcl_over_the_sentences_that_are_no_neighbours(beta, tau_plus):
    f, g = views(6, 3)
    scores = f @ g.T
    total, pairs = 0.0, 0
    for i in range(6):
        negatives = torch.stack([scores[i, j] for j in range(6) if abs(i - j) > 1])[None]
        for j in (i - 1, i + 1):
            if 0 <= j < 6:
                total += loops.hard_info_nce(scores[i, j][None], negatives, tau_plus, beta, -math.inf)
                pairs += 1
    equal(losses.hard_quick_thoughts(f, g, tau_plus=tau_plus, beta=beta), total / pairs)


@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.5, 20.0])
def test_hardness_weights(beta):
    scores = normal(3, 5)
    keep = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0]]).bool()
    weights = losses.hardness_weights(scores, beta, keep=keep)
    for i in range(3):
        kept = [j for j in range(5) if keep[i, j]]
        mean = sum(math.exp(beta * scores[i, j]) for j in kept) / max(len(kept), 1)
        printed = [math.exp(beta * scores[i, j]) / mean if j in kept else 0.0 for j in range(5)]
        assert weights[i].tolist() == pytest.approx(printed, rel=1e-10)
    across = losses.hardness_weights(scores.T, beta, keep=keep.T, dim=0)
    torch.testing.assert_close(across, weights.T)


def test_mixed_negatives_are_shares_of_the_hardest():
    query, queue = views(4, 3)[0], normal(20, 3)
    mixed = losses.mochi(query, queue, hardest=2, mixed=50, mixed_with_query=50, rng=generator(0, "mixing"))
    q, n = loops.units(query), loops.units(queue)
    assert mixed.shape == (4, 100, 3)
    for i in range(4):
        first, second = sorted(range(20), key=lambda j: -loops.dot(q[i], n[j]))[:2]
        pairs = torch.tensor([n[first], n[second]], dtype=torch.float64)
        for x in mixed[i, :50]:  # in the plane of the two, between them
            shares = torch.linalg.lstsq(pairs.T, x[:, None]).solution.squeeze(1)
            torch.testing.assert_close(shares @ pairs, x)
            assert (shares >= -1e-9).all()
        for x in mixed[i, 50:]:  # between the query and one of the two, and nearer to the negative's end
            ends = [torch.tensor([q[i], n[j]], dtype=torch.float64) for j in (first, second)]
            shares = [torch.linalg.lstsq(end.T, x[:, None]).solution.squeeze(1) for end in ends]
            assert any(
                torch.allclose(s @ end, x) and -1e-9 <= s[0] <= s[1] + 1e-9 for s, end in zip(shares, ends, strict=True)
            )


def test_generated_negatives_are_the_hardest_of_all_mixes():
    query, unlabelled, labelled = normal(3, 4), normal(8, 4, seed=5), normal(5, 4, seed=6)
    settings = {"safe": 5, "rounds": 1, "rng": generator(0, "mixing")}  # safe = the whole labelled queue
    kept = losses.hard_negative_generation(query, unlabelled, labelled, keep=10, **settings)
    q, u, known = loops.units(query), loops.units(unlabelled), loops.units(labelled)
    assert kept.shape == (3, 10, 4)
    for i in range(3):
        far = sorted(range(8), key=lambda j: loops.dot(q[i], u[j]))[:5]
        mixes = [
            loops.unit([(a * x + (3 - a) * y) / 3 for x, y in zip(u[j], row, strict=True)])
            for j in far
            for row in known
            for a in (1, 2)
        ]
        for x in kept[i].tolist():
            assert min(loops.distance(x, mix) for mix in mixes) < 1e-9
        similarity = [loops.dot(q[i], x) for x in kept[i].tolist()]
        assert similarity == sorted(similarity, reverse=True)
    settings["rng"] = generator(0, "mixing")
    fewer = losses.hard_negative_generation(query, unlabelled, labelled, keep=4, **settings)
    torch.testing.assert_close(fewer, kept[:, :4])


@pytest.mark.parametrize(("safe", "rounds", "keep"), [(5, 1, 10), (3, 4, 7), (2, 3, 1), (5, 2, 13)])
@pytest.mark.parametrize("sampled_cost", [0, 10**9])  # all pairs of the queues, or the drawn ones alone
def test_cosines_of_hard_negatives_are_those_of_the_vectors(safe, rounds, keep, sampled_cost, monkeypatch):
    monkeypatch.setattr("contrastbench.losses.mixing.SAMPLED_COST", sampled_cost)
    monkeypatch.setattr("contrastbench.losses.mixing.CHUNK_NUMBERS", {"cpu": 2 * safe * rounds * 4})  # two at a time
    query, unlabelled, labelled = normal(3, 4), normal(8, 4, seed=5), normal(6, 4, seed=6)
    sizes = {"safe": safe, "rounds": rounds}
    vectors = losses.hard_negative_generation(
        query, unlabelled, labelled, **sizes, keep=keep, rng=generator(0, "mixing")
    )
    partners = losses.draw_partners(3, 6, **sizes, rng=generator(0, "mixing"))
    cosines = losses.hard_negative_cosines(query, unlabelled, labelled, partners, keep=keep)
    expected = torch.nn.functional.cosine_similarity(query[:, None], vectors, dim=2)
    torch.testing.assert_close(cosines, expected)
    key, queue = normal(3, 4, seed=7), normal(9, 4, seed=8)
    by_vectors = losses.ncl(query, key, queue, neighbours=4, hard_negatives=vectors)
    torch.testing.assert_close(losses.ncl(query, key, queue, neighbours=4, hard_cosines=cosines), by_vectors)


def test_partners_are_drawn_without_repetition_from_the_whole_queue():
    partners = losses.draw_partners(50, 6, safe=4, rounds=3, rng=generator(0, "mixing"))
    assert partners.shape == (50, 3, 4) and sorted(partners.unique().tolist()) == list(range(6))
    assert all(len(set(drawn)) == 4 for each in partners.tolist() for drawn in each)


@pytest.mark.parametrize("hard", [False, True])
def test_queries_that_do_not_count_change_nothing(hard):
    query, key, queue = normal(6, 4).requires_grad_(), normal(6, 4, seed=5), normal(9, 4, seed=6)
    counted = torch.tensor([True, False, True, True, False, False])
    cosines = torch.rand(6, 3, dtype=torch.float64, generator=generator(0, "hard")) if hard else None
    labels, queue_labels = torch.arange(6) % 2, torch.arange(9) % 4 - 1

    def both(rows, counted):
        own = cosines[rows] if hard else None
        ncl = losses.ncl(query[rows], key[rows], queue, neighbours=3, hard_cosines=own, counted=counted)
        return ncl + losses.scl(query[rows], key[rows], labels[rows], queue, queue_labels, counted=counted)

    some, masked = both(counted, None), both(slice(None), counted)
    torch.testing.assert_close(masked, some)
    gradients = [torch.autograd.grad(loss, query)[0] for loss in (some, masked)]
    torch.testing.assert_close(*gradients)
    assert both(slice(None), torch.zeros_like(counted)) == 0
