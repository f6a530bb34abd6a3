"""One verdict per situation, each with the reason a reader sees."""

from __future__ import annotations

import pytest

from contrastbench.report.published import Published
from contrastbench.report.simulation import PAPERS, SEEDS, Paper, naive_rates, rates
from contrastbench.report.verdict import verdict

CLOSE = [80.0, 80.2, 79.8, 80.1, 79.9]


def published(value: float = 80.0, **fields) -> Published:
    return Published("main", "A", "B", "test_percent", value, **{"margin": 1.0, **fields})


def test_equal_within_the_margin_is_reproduced():
    said = verdict(CLOSE, published())
    assert said.kind == "reproduced"
    assert "equal within 1" in said.reason


def test_a_significant_but_negligible_difference_is_reproduced():
    """Off by 0.5 with a spread of 0.01: the interval excludes zero, and lies inside the margin."""
    said = verdict([80.5 + 0.01 * i for i in range(-2, 3)], published())
    assert said.interval is not None and said.interval.excludes_zero()
    assert said.kind == "reproduced"


def test_far_off_differs():
    said = verdict(CLOSE, published(70.0, spread=0.3, spread_kind="seeds", n=5))
    assert said.kind == "differs"
    assert said.difference == pytest.approx(10.0)
    assert "+10" in said.reason


def test_wide_is_undecided_and_says_how_many_seeds_are_needed():
    said = verdict([79.0, 81.0, 80.5], published(spread=1.0, spread_kind="seeds", n=10))
    assert said.kind == "undecided"
    assert said.seeds_needed is not None and said.seeds_needed > 3
    assert f"about {said.seeds_needed} more seeds" in said.reason


def test_one_published_number_can_stay_undecided_for_ever():
    said = verdict([77.0, 83.0, 80.5], published())
    assert (said.kind, said.seeds_needed) == ("undecided", None)
    assert "single one" in said.reason


def test_one_seed_is_undecided():
    said = verdict([80.0], published())
    assert (said.kind, said.seeds_needed, said.interval) == ("undecided", 2, None)


@pytest.mark.parametrize(
    ("kind", "n", "why"),
    [("folds", 10, "over folds"), ("unknown", 5, "of unknown kind"), ("seeds", None, "has no number of seeds")],
)
def test_kinds_of_spread_are_never_mixed(kind, n, why):
    """A spread over folds, however small, changes nothing: the number counts as a single one."""
    said = verdict(CLOSE, published(85.0, spread=1e-6, spread_kind=kind, n=n))
    single = verdict(CLOSE, published(85.0))
    assert (said.kind, said.interval) == (single.kind, single.interval)
    assert why in said.reason


def test_a_number_is_known_to_its_last_digit_only():
    """Runs without any spread, published as 80.1: 80.14 may be what was rounded; 79.5 is not."""
    exact = [80.14] * 5
    assert verdict(exact, published(80.1, value_text="80.1", margin=0.01)).kind == "undecided"
    assert verdict([79.5] * 5, published(80.1, value_text="80.1", margin=0.01)).kind == "differs"


def test_unconfirmed_missing_and_other_scale_are_not_comparable():
    assert verdict(CLOSE, published(confirmed=False)).reason == "the published number is unconfirmed"
    assert verdict(CLOSE, None).reason == "no published number"
    assert verdict(CLOSE, published(), not_comparable="quick scale").kind == "not comparable"
    assert verdict(CLOSE, published(margin=None)).reason == "no equivalence margin was fixed"


def test_nothing_run_is_not_run():
    assert verdict([], published()).kind == "not run"


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_a_perfect_rerun_rarely_differs(seeds: int, paper: Paper):
    """At most 6 % in truth; 1,000 draws of a true 5 % stay below 7.1 % in 998 of 1,000 simulations."""
    found = rates(seeds, paper, replications=1000)
    assert found.false_differs <= 7.1
    assert found.false_reproduced <= 7.1


def test_there_is_power_to_find_what_is_there():
    ten = rates(10, Paper(10, spread=True), replications=300)
    assert ten.power_differs >= 99
    assert ten.power_reproduced >= 99


def test_usual_rules_err_as_often_as_said():
    one_sample, outside = naive_rates(3, Paper(3, spread=True), 20_000)
    assert outside == pytest.approx(34, abs=2)
    assert one_sample == pytest.approx(10, abs=1.5)
    assert naive_rates(3, Paper(1, spread=False), 20_000)[0] == pytest.approx(17, abs=1.5)
