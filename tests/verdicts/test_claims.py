"""Each kind of claim on invented rows whose truth is known, and how often a claim errs."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contrastbench import papers
from contrastbench.evidence import gather
from contrastbench.runner.vocabulary import SCALES
from contrastbench.verdicts.cells import join
from contrastbench.verdicts.claims import Bound, Curve, Equal, Greater, Rate, named_after
from contrastbench.verdicts.judging import count_outcomes, judge, most_telling

METRIC = "test_top1_percent"
PLACE = {"where": "Table 1", "at": ("main/paper",), "metric": METRIC}


def tables(synthetic, values, *, scale="paper", deterministic=False, better="higher", **table):
    """One table. values: (method, data set) -> one value a seed."""
    cells, rows = [], []
    for (method, dataset), numbers in values.items():
        beta = float(method.partition("beta=")[2] or 0)
        cell = synthetic.cell(method, dataset, range(len(numbers)), beta=beta, scale=scale, better=better)
        cells.append(dataclasses.replace(cell, deterministic=deterministic))
        rows += [synthetic.row(run, float(value)) for run, value in zip(cell.runs, numbers, strict=True)]
    return join("toy", {"main": synthetic.table(**table)}, {"main": cells}, rows_shipped=rows)


def verdict(claim, joined):
    (judged,) = judge([claim], joined)
    return judged


def noisy(mean, seeds=5, sd=0.1, key=0):
    draws = np.random.default_rng(key).normal(size=seeds)
    return (mean + sd * (draws - draws.mean()) / draws.std(ddof=1)).tolist()


GAIN = Greater("gain", "HCL beats SimCLR.", matters=0.5, method="HCL", over="SimCLR", **PLACE)


@pytest.mark.parametrize(
    ("gain", "outcome"), [(2.0, "holds"), (-2.0, "fails"), (0.0, "fails"), (0.25, "fails"), (0.5, "holds")]
)
def test_greater_holds_above_zero_and_fails_below_what_matters(synthetic, gain, outcome):
    """A gain of 0.25 is there and is half of what would matter; 0.5 is not shown to be less than 0.5."""
    joined = tables(synthetic, {("SimCLR", "A"): noisy(80, sd=0.01), ("HCL", "A"): noisy(80 + gain, sd=0.02, key=1)})
    judged = verdict(GAIN, joined)
    assert judged.outcome == outcome and judged.test.effect == pytest.approx(gain)
    assert judged.test.pairs == {"A": 5}


def test_what_is_noisy_is_undecided_and_says_how_many_seeds_would_decide_it(synthetic):
    joined = tables(synthetic, {("SimCLR", "A"): noisy(80), ("HCL", "A"): noisy(80.4, sd=1.0, key=1)})
    judged = verdict(GAIN, joined)
    assert judged.outcome == "undecided" and "seeds would decide it" in judged.words
    assert (
        judged.words.startswith("? undecided: +0.40 [-0.89, +1.69], 5 seeds")
        and "at the published protocol, on A" in judged.words
    )


def test_where_lower_is_better_a_fall_is_the_gain(synthetic):
    values = {("SimCLR", "A"): noisy(5), ("HCL", "A"): noisy(3, key=1)}
    assert verdict(GAIN, tables(synthetic, values, better="lower")).outcome == "holds"


def test_without_rows_a_claim_is_not_run_and_takes_no_part_in_holms_correction(synthetic):
    joined = tables(synthetic, {("SimCLR", "A"): noisy(80), ("HCL", "A"): noisy(80.5, key=1)})
    other = dataclasses.replace(GAIN, at=("main/lite",))
    judged = judge([GAIN, other], joined)
    assert [each.outcome for each in judged] == ["holds", "not run"]
    assert judged[0].p == judged[0].p_holm and judged[1].words == "– not run"


def test_holm_is_over_all_claims_of_the_paper(synthetic):
    joined = tables(synthetic, {("SimCLR", "A"): noisy(80), ("HCL", "A"): noisy(80.5, sd=0.3, key=1)})
    alone = verdict(GAIN, joined)
    among = judge([GAIN] * 10, joined)[0]
    assert alone.outcome == "holds" and among.outcome == "undecided"
    assert among.p_holm == pytest.approx(10 * alone.p)


def test_only_seeds_that_the_table_declares_count(synthetic):
    """Somebody adds seeds until the claim looks right: they change nothing."""
    cells = [synthetic.cell(method, "A", range(3)) for method in ("SimCLR", "HCL")]
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    more = [synthetic.row(run, 99.0) for cell in cells for run in synthetic.cell(cell.method, "A", range(3, 9)).runs]
    found = [
        verdict(GAIN, join("toy", {"main": synthetic.table()}, {"main": cells}, rows_shipped=known)).test
        for known in (rows, rows + more)
    ]
    assert found[0] == found[1] and found[0].pairs == {"A": 3}


def test_rows_made_here_come_before_shipped_ones_and_are_never_mixed_with_them(synthetic):
    (table,) = tables(synthetic, {("SimCLR", "A"): noisy(80), ("HCL", "A"): noisy(82, key=1)})
    simclr, hcl = table.cells
    both = dataclasses.replace(
        table, cells=[dataclasses.replace(c, here=c.shipped, shipped=simclr.shipped) for c in (simclr, hcl)]
    )
    one = dataclasses.replace(table, cells=[dataclasses.replace(simclr, here=hcl.shipped), hcl])
    assert [verdict(GAIN, [each]).test.effect for each in (both, one)] == pytest.approx([2.0, 2.0])


def test_the_larger_scale_decides_where_it_has_rows(synthetic):
    quick = tables(synthetic, {("SimCLR", "A"): noisy(80), ("HCL", "A"): noisy(70, key=1)}, scale="quick")
    paper = tables(synthetic, {("SimCLR", "A"): noisy(80), ("HCL", "A"): noisy(90, key=1)})
    claim = dataclasses.replace(GAIN, at=("main/paper", "main/quick"))
    assert "at quick scale" in verdict(claim, quick).words
    assert verdict(claim, [*quick, *paper]).test.effect == pytest.approx(10.0)


def test_both_pooled_results_are_told_where_they_disagree(synthetic):
    """One data set carries the gain: on these three it is shown, on data sets like these it is not."""
    gains = {"A": 6.0, "B": 0.0, "C": 0.1}
    values = {("SimCLR", name): noisy(80) for name in gains}
    values |= {("HCL", name): noisy(80 + gain, key=1) for name, gain in gains.items()}
    judged = verdict(GAIN, tables(synthetic, values))
    assert judged.outcome == "holds" and judged.test.effect == pytest.approx(2.033, abs=0.01)
    assert "on data sets like these +2.03 [-6.5" in judged.remark and judged.remark.endswith("does not show it")


def test_what_has_nothing_random_is_exact(synthetic):
    values = {("SimCLR", "A"): [80.0], ("HCL", "A"): [80.6]}
    judged = verdict(GAIN, tables(synthetic, values, deterministic=True))
    assert (judged.outcome, judged.test.interval) == ("holds", None)
    assert verdict(GAIN, tables(synthetic, values)).outcome == "not run", "one seed that is random says nothing"


def test_equal_is_within_what_matters_either_way(synthetic):
    claim = Equal("equal", "They are alike.", matters=1.0, method="HCL", over="SimCLR", **PLACE)
    outcomes = [
        verdict(
            claim, tables(synthetic, {("SimCLR", "A"): noisy(80), ("HCL", "A"): noisy(80 + gap, sd=0.2, key=1)})
        ).outcome
        for gap in (0.3, -0.3, 1.0, 3.0, -3.0)
    ]
    assert outcomes == ["holds", "holds", "undecided", "fails", "fails"]
    value = Equal("value", "It is 80.", matters=1.0, terms=((1, "SimCLR", METRIC),), target=80.0, **PLACE)
    judged = verdict(value, tables(synthetic, {("SimCLR", "A"): noisy(80.2)}))
    assert judged.outcome == "holds" and judged.test.effect == pytest.approx(80.2)


def curve(synthetic, means):
    return tables(synthetic, {(f"HCL beta={x:g}", "A"): noisy(mean, key=int(10 * x)) for x, mean in means.items()})


@pytest.mark.parametrize(
    ("shape", "means", "outcome"),
    [
        ("interior", {0.0: 80, 1.0: 83, 2.0: 80}, "holds"),
        ("interior", {0.0: 80, 1.0: 83, 2.0: 84}, "fails"),
        ("interior", {0.0: 80, 1.0: 80, 2.0: 80}, "fails"),
        ("rises", {0.0: 80, 1.0: 81, 2.0: 84}, "holds"),
        ("rises", {0.0: 80, 1.0: 81, 2.0: 78}, "fails"),
        ("falls", {0.0: 80, 1.0: 81, 2.0: 78}, "holds"),
        ("flat", {0.0: 80, 1.0: 80.1, 2.0: 80}, "holds"),
        ("flat", {0.0: 80, 1.0: 83, 2.0: 80}, "fails"),
    ],
)
def test_a_curve_is_known_by_its_shape(synthetic, shape, means, outcome):
    claim = Curve("curve", "So it goes.", matters=0.5, x="beta", line="HCL", shape=shape, **PLACE)
    assert verdict(claim, curve(synthetic, means)).outcome == outcome


def test_a_claimed_best_is_tested_and_no_other_value(synthetic):
    claim = Curve("curve", "0.5 is best.", matters=0.5, x="beta", line="HCL", best=(0.5,), **PLACE)
    joined = curve(synthetic, {0.0: 80, 0.5: 80, 1.0: 90, 2.0: 80})
    assert verdict(claim, joined).outcome == "fails"
    assert verdict(dataclasses.replace(claim, best=()), joined).outcome == "holds"


def test_a_rate_is_the_slope_of_the_logarithms(synthetic):
    claim = Rate("rate", "It falls as 1/x.", matters=0.1, x="beta", line="NCE", slope=-1.0, **PLACE)
    for power, outcome in ((-1.0, "holds"), (-0.5, "fails")):
        means = {x: 50 * x**power for x in (1.0, 2.0, 4.0, 8.0)}
        values = {
            (f"NCE beta={x:g}", "A"): [mean * (1 + 0.01 * seed) for seed in range(5)] for x, mean in means.items()
        }
        judged = verdict(claim, tables(synthetic, values, better="lower"))
        assert (judged.outcome, judged.test.effect) == (outcome, pytest.approx(power))


def test_a_bound_holds_in_every_cell_or_fails(synthetic):
    claim = Bound(
        "bound", "Never above log N.", matters=0.05, at_most={"N = 4": math.log(4), "N = 16": math.log(16)}, **PLACE
    )
    for gap, outcome in ((0.3, "holds"), (-0.3, "fails")):
        values = {(f"N = {n}", "A"): noisy(math.log(n) - gap, sd=0.01, key=n) for n in (4, 16)}
        assert verdict(claim, tables(synthetic, values)).outcome == outcome


def test_a_claim_needs_the_smallest_effect_that_matters():
    assert dataclasses.replace(GAIN, matters=None, printed=-3.0).smallest == 1.5
    with pytest.raises(ValueError, match="claim gain says neither the printed effect nor the smallest"):
        dataclasses.replace(GAIN, matters=None).smallest  # noqa: B018


def test_outcomes_are_counted_and_failures_of_papers_are_told_first(synthetic):
    joined = tables(synthetic, {("SimCLR", "A"): noisy(80), ("HCL", "A"): noisy(82, key=1)})
    against = dataclasses.replace(GAIN, id="against", method="SimCLR", over="HCL")
    ours = dataclasses.replace(against, id="ours", ours=True)
    judged = judge([GAIN, ours, against], joined)
    assert count_outcomes(judged) == "1 of 3 claims holds, 2 fail, 0 are undecided"
    assert [each.claim.id for _, each in most_telling({"toy": judged}, 5)] == ["against", "gain", "ours"]
    assert [each.seen for each in named_after("c0ffee", [GAIN])] == ["c0ffee"]


def simulate(claim, truth, *, claims=10, seeds=5, replications=400):
    """How often such claims are decided wrongly, together: the share of papers with any wrong verdict, in percent.

    Args:
        truth: the true effect, in standard deviations of one run; of all claims.
    """
    from contrastbench.verdicts.claims import Strata, _test_of
    from contrastbench.verdicts.statistics import holm

    rng, wrong = np.random.default_rng(0), 0
    for _ in range(replications):
        differences = rng.normal(truth, math.sqrt(2), (claims, seeds)).tolist()
        tests = [
            _test_of(Strata({"A": values}), claim.smallest, equal=isinstance(claim, Equal)) for values in differences
        ]
        adjusted = holm([min(1.0, 2 * min(test.p_holds, test.p_fails)) for test in tests])
        holds = [p <= 0.05 and test.p_holds < test.p_fails for p, test in zip(adjusted, tests, strict=True)]
        fails = [p <= 0.05 and test.p_holds >= test.p_fails for p, test in zip(adjusted, tests, strict=True)]
        is_equal = isinstance(claim, Equal)
        true_to_claim = abs(truth) < claim.smallest if is_equal else truth >= claim.smallest
        false_to_claim = abs(truth) >= claim.smallest if is_equal else truth <= 0
        wrong += (true_to_claim and any(fails)) or (false_to_claim and any(holds))
    return 100 * wrong / replications


@pytest.mark.parametrize("truth", [-1.0, 0.0, 0.5, 1.0])
def test_a_paper_of_true_or_false_claims_is_wronged_in_one_of_twenty_cases_at_most(truth):
    """Over ten claims together; 400 simulated papers know a rate of 5 % to 2 points."""
    assert simulate(GAIN, truth) <= 7
    equal = Equal("equal", "They are alike.", matters=0.5, method="HCL", over="SimCLR", **PLACE)
    assert simulate(equal, truth) <= 7


@pytest.mark.parametrize(
    "name", [name for name in papers.names() if (papers.paper(name).folder / "claims.py").exists()]
)
def test_the_papers_claims_name_what_is_declared(name):
    paper = papers.paper(name)
    claims = paper.load("claims.CLAIMS")
    declared = {f"{table}/{scale}": paper.cells(table, scale) for table in paper.tables for scale in SCALES}
    for claim in claims:
        assert all(declared.get(place) for place in claim.at), claim.id
        cells, terms = [cell for place in claim.at for cell in declared[place]], getattr(claim, "terms", ())
        methods = {getattr(claim, "method", ""), getattr(claim, "over", ""), *(method for _, method, _ in terms)}
        methods |= {*getattr(claim, "methods", ()), *getattr(claim, "at_most", ())}
        assert methods - {""} <= {name for cell in cells for name in (cell.method, cell.label)}, claim.id
        assert ({metric for *_, metric in terms} or {claim.metric}) <= {cell.metric for cell in cells}, claim.id
        assert {*claim.datasets} <= {cell.dataset for cell in cells}, claim.id
    assert len({claim.id for claim in claims}) == len(claims) and all(claim.smallest > 0 for claim in claims)


def test_every_comparison_of_the_suite_is_what_scipy_finds_in_the_raw_rows():
    """A second computation, of the effect and its interval: raw rows by key, paired by seed, Welch over data sets."""
    compared = 0
    for name in papers.names():
        evidence = gather(papers.paper(name))
        rows = {row["key"]: row["metrics"] for row in evidence.shipped if row["status"] == "done"}
        for judged in evidence.claims:
            if isinstance(judged.claim, Greater) and not judged.claim.terms and judged.test and judged.test.interval:
                effect, low, high = by_scipy(judged, rows)
                found = (judged.test.effect, *judged.test.interval)
                assert found == pytest.approx((effect, low, high), abs=1e-9), f"{name}: {judged.claim.id}"
                compared += 1
    assert compared > 60


def by_scipy(judged, rows):
    differences = [differences_on(dataset, judged, rows) for dataset in judged.test.pairs]
    if max(map(len, differences)) == 1:  # one seed on each of several data sets: these are what varies
        differences = [pd.concat(differences)]
    variances = np.array([each.sem() ** 2 for each in differences]) / len(differences) ** 2
    degrees = variances.sum() ** 2 / sum(variances**2 / [len(each) - 1 for each in differences])
    effect = np.mean([each.mean() for each in differences])
    return effect, *stats.t.interval(0.95, degrees, effect, variances.sum() ** 0.5)


def differences_on(dataset, judged, rows):
    """By seed; what has nothing random is one number for all seeds of the other."""
    claim, sides = judged.claim, []
    own = [cell for cell in judged.table.cells if (cell.dataset, cell.metric) == (dataset, claim.metric)]
    for method in (claim.method, claim.over):
        cell = next((c for c in own if c.label == method), None) or next(c for c in own if c.method == method)
        values = {run.seed: rows[run.key][claim.metric] for run in cell.runs if run.key in rows}
        sides.append(values.popitem()[1] if cell.deterministic else pd.Series(values))
    return (sides[0] - sides[1]).dropna() * (-1 if cell.better == "lower" else 1)
