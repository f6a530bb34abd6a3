"""The statistics against scipy, closed forms and numbers computed by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from contrastbench.verdicts.gains import Gain, rank_correlation
from contrastbench.verdicts.statistics import (
    Interval,
    Printed,
    Summary,
    compare_pairs,
    difference,
    difference_interval,
    differs_among,
    equivalence_interval,
    gap_found,
    holm,
    seeds_range,
    seeds_to_decide,
    sign_flip_p,
    spread_ratio,
    summarise,
    t_interval,
)

HERE = [81.0, 82.5, 80.2, 81.9, 82.2]


def test_summary_is_mean_sd_n():
    assert summarise(HERE) == pytest.approx((5, np.mean(HERE), np.std(HERE, ddof=1)))
    assert math.isnan(summarise([1.0]).sd)
    assert math.isnan(summarise([]).mean)


def test_a_difference_that_is_clear_alone_may_not_be_among_many():
    values = [1.0, 2.0, 3.0, 4.0]
    assert differs_among(values, 1) and not differs_among(values, 10)
    assert not differs_among([1.0], 1)


def test_t_interval_is_scipys():
    summary = summarise(HERE)
    expected = stats.t.interval(0.95, 4, loc=summary.mean, scale=summary.sd / math.sqrt(5))
    assert t_interval(summary) == pytest.approx(expected)
    assert t_interval(summarise([1.0])) is None


def test_a_ratio_of_spreads_has_the_f_interval():
    one, other = Summary(10, 50.0, 3.0), Summary(6, 40.0, 2.0)
    ratio, interval = spread_ratio(one, other)
    expected = [math.sqrt(2.25 / stats.f.ppf(level, 9, 5)) for level in (0.975, 0.025)]
    assert ratio == 1.5 and tuple(interval) == pytest.approx(expected)
    back, swapped = spread_ratio(other, one)
    assert (back, *swapped) == pytest.approx((1 / 1.5, 1 / interval.high, 1 / interval.low))
    for bad in (Summary(1, 50.0, math.nan), Summary(5, 50.0, 0.0)):
        with pytest.raises(ValueError, match="a ratio of spreads needs two seeds a side and some spread"):
            spread_ratio(one, bad)


def test_interval_of_equal_counts_is_welchs():
    """Five against five with other spreads: scipy's ttest_ind_from_stats with equal_var=False."""
    here, published = summarise(HERE), Printed(80.0, 2.4, 5)
    interval = difference_interval(difference(here, published))
    test = stats.ttest_ind(HERE, [80 + 2.4 * x for x in stats.zscore([1, 2, 3, 4, 7], ddof=1)], equal_var=False)
    assert interval == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_interval_of_unequal_counts_is_cochran_and_coxs():
    here, published = Summary(3, 1.0, 2.0), Printed(0.0, 1.0, 10)
    ours, theirs = 4 / 3, 1 / 10
    quantile = (ours * stats.t.ppf(0.975, 2) + theirs * stats.t.ppf(0.975, 9)) / (ours + theirs)
    half = quantile * math.sqrt(ours + theirs)
    assert difference_interval(difference(here, published)) == pytest.approx((1 - half, 1 + half))


def test_one_number_gets_the_prediction_interval():
    here = summarise(HERE)
    half = stats.t.ppf(0.975, 4) * here.sd * math.sqrt(1 + 1 / 5)
    interval = difference_interval(difference(here, Printed(80.0)))
    assert interval == pytest.approx((here.mean - 80 - half, here.mean - 80 + half))


def test_equivalence_interval_is_ninety_percent():
    here = summarise(HERE)
    half = stats.t.ppf(0.95, 4) * here.sd * math.sqrt(1 + 1 / 5)
    interval = equivalence_interval(difference(here, Printed(here.mean)))
    assert interval == pytest.approx((-half, half))
    assert interval.within(half * 1.001)
    assert not interval.within(half * 0.999)


@pytest.mark.parametrize(
    "published", [Printed(80.0), Printed(80.0, 2.0), Printed(80.0, 1.0, 5), Printed(80.0, 0.6, 10)]
)
@pytest.mark.parametrize("distance", [0.0, 0.5, 3.0])
def test_seeds_to_decide_is_the_first_count_that_settles_it(published, distance):
    """Against a loop that builds the intervals for every count."""
    here, margin = Summary(3, 80.0 + distance, 1.0), 1.0

    def settled(n: int) -> bool:
        then = Summary(n, here.mean, here.sd)
        off = difference(then, published)
        return equivalence_interval(off).within(margin) or difference_interval(off).excludes_zero()

    expected = next((n for n in range(4, 1001) if settled(n)), None)
    assert seeds_to_decide(here, published, margin) == expected


def test_the_range_of_seeds_takes_the_80_percent_interval_of_the_sd():
    here, printed = Summary(6, 80.0, 0.9), Printed(80.0, 0.5, 10)
    low, high = (0.9 * math.sqrt(5 / stats.chi2.ppf(quantile, 5)) for quantile in (0.9, 0.1))
    expected = tuple(seeds_to_decide(here._replace(sd=sd), printed, 1.0) for sd in (low, high))
    assert seeds_range(here, printed, 1.0) == expected
    assert seeds_range(Summary(6, 80.0, 3.0), Printed(80.0), 1.0) is None


def test_a_gap_that_would_show_shows_in_four_of_five_reruns():
    rng, gap = np.random.default_rng(0), gap_found(difference(Summary(5, 0.0, 1.0), Printed(0.0)))
    assert gap == pytest.approx((stats.t.ppf(0.975, 4) + stats.t.ppf(0.8, 4)) * math.sqrt(1.2))
    ours, printed = rng.normal(gap, 1.0, (4000, 5)), rng.normal(0.0, 1.0, 4000)
    off = (difference(summarise(x.tolist()), Printed(float(y))) for x, y in zip(ours, printed, strict=True))
    assert np.mean([difference_interval(each).excludes_zero() for each in off]) == pytest.approx(0.8, abs=0.05)


def test_interval_words():
    assert Interval(0.1, 2.0).excludes_zero()
    assert Interval(-2.0, -0.1).excludes_zero()
    assert not Interval(-0.1, 2.0).excludes_zero()
    assert Interval(0.1, 2.0).widen(0.2) == pytest.approx((-0.1, 2.2))


@pytest.mark.parametrize(
    ("ours", "published"), [([1, 2, 3, 4], [1, 3, 2, 4]), ([1, 1, 2, 3], [4, 3, 2, 2]), ([3, 1, 2], [3, 1, 2])]
)
def test_rank_correlation_is_kendalls_tau_b(ours, published):
    assert rank_correlation(ours, published) == pytest.approx(stats.kendalltau(ours, published).statistic)


def test_rank_correlation_of_ties_is_unknown():
    assert math.isnan(rank_correlation([1, 1], [1, 2]))


@pytest.mark.parametrize("differences", [(0.9, 1.4, -0.2, 0.7, 0.3), (1.0, -1.0), (2.0,) * 8, (0.0, 0.0, 0.0)])
def test_sign_flip_test_is_scipys_permutation_test(differences):
    expected = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(differences) == pytest.approx(expected.pvalue)


def test_many_pairs_are_sampled_near_the_exact_p():
    differences = tuple(np.random.default_rng(0).normal(0.4, 1.0, 20))
    t_test = stats.ttest_1samp(differences, 0.0).pvalue
    assert sign_flip_p(differences) == pytest.approx(t_test, abs=0.02)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, math.nan, 0.4])[0] == pytest.approx(0.8)
    assert math.isnan(holm([0.5, math.nan])[1])


def test_a_pooled_claim_weighs_every_data_set_alike():
    """Against loops: every pattern of signs of two data sets with 4 and 3 pairs."""
    strata = [[1.0, 2.0, 0.5, 1.5], [-0.3, 0.9, 0.6]]
    _, mean, interval, p = compare_pairs(*(dict(enumerate(values)) for values in strata))
    assert mean == pytest.approx((1.25 + 0.4) / 2)
    means = []
    for signs in itertools.product((1, -1), repeat=7):
        flipped = [sign * d for sign, d in zip(signs, strata[0] + strata[1], strict=True)]
        means.append((sum(flipped[:4]) / 4 + sum(flipped[4:]) / 3) / 2)
    assert p == pytest.approx(np.mean([abs(m) >= abs(mean) - 1e-9 for m in means]))
    sum_of_means = stats.ttest_ind(strata[0], [-d for d in strata[1]], equal_var=False).confidence_interval(0.95)
    assert interval == pytest.approx((sum_of_means.low / 2, sum_of_means.high / 2))


def test_a_claim_keeps_sign_and_share():
    ours = {
        published: Gain(None, None, published, compare_pairs({0: 1.0})).share_kept for published in (2.0, -2.0, None)
    }
    assert ours == {2.0: 0.5, -2.0: -0.5, None: None}
