"""Which rows meet in which cell, and what is said of a whole table."""

import dataclasses

import pytest

from contrastbench.report.layout import findings
from contrastbench.runner.vocabulary import seeded
from contrastbench.verdicts.cells import join
from contrastbench.verdicts.gains import gains, orders, pooled_gains
from contrastbench.verdicts.published import Published

METRIC = "test_top1_percent"


def number(method="SimCLR", value=80.0, dataset="Alpha", **fields):
    return Published("main", dataset, method, METRIC, value, **{"margin": 1.0, **fields})


def joined(synthetic, cells, here=(), shipped=(), published=(), **table):
    return join("toy", {"main": synthetic.table(**table)}, {"main": cells}, here, shipped, published)


def only(tables):
    (table,) = tables
    (cell,) = table.cells
    return cell


def test_here_and_shipped_stay_apart(synthetic):
    cell = synthetic.cell("SimCLR")
    here, shipped = synthetic.rows(cell, 81.0), synthetic.rows(cell, 79.0)[:2]
    found = only(joined(synthetic, [cell], here, shipped))
    assert (found.here.summary.mean, len(found.here.done)) == (pytest.approx(81.0), 5)
    assert (len(found.shipped.done), found.shipped.missing) == (2, 3)


def test_scales_never_meet(synthetic):
    """The same settings at two scales are two tables, and only the one at paper scale is judged."""
    cells = [synthetic.cell("SimCLR", scale=scale) for scale in ("quick", "paper")]
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0, 0.1)]
    quick, paper = joined(synthetic, cells, rows, published=[number()])
    assert (quick.scale, quick.cells[0].verdict.kind) == ("quick", "not comparable")
    assert quick.cells[0].verdict.reason == "quick scale is not the published protocol"
    assert (paper.scale, paper.cells[0].verdict.kind) == ("paper", "reproduced")
    assert {row["scale"] for row in quick.cells[0].here.done} == {"quick"}


def test_a_cell_of_two_scales_is_refused(synthetic):
    cell = synthetic.cell("SimCLR")
    mixed = dataclasses.replace(cell, runs=(*cell.runs, *synthetic.cell("SimCLR", scale="lite").runs))
    with pytest.raises(ValueError, match="mixes scales"):
        joined(synthetic, [mixed])


def test_variants_and_protocols_never_meet(synthetic):
    options = ({}, {"variant": "as_code"}, {"protocol": "clean"})
    cells = [synthetic.cell("SimCLR", **option) for option in options]
    rows = [row for cell, mean in zip(cells, (80, 70, 60), strict=True) for row in synthetic.rows(cell, mean, 0.1)]
    (table,) = joined(synthetic, cells, rows, published=[number()])
    assert [cell.here.summary.mean for cell in table.cells] == pytest.approx([80, 70, 60])
    assert [cell.label for cell in table.cells] == ["SimCLR", "SimCLR (as_code)", "SimCLR (clean)"]
    assert [cell.verdict.kind for cell in table.cells] == ["reproduced", "differs", "not comparable"]


def test_more_seeds_than_declared_are_used_all_of_them(synthetic):
    declared, run = synthetic.cell("SimCLR", seeds=range(3)), synthetic.cell("SimCLR", seeds=range(12))
    found = only(joined(synthetic, [declared], synthetic.rows(run, 80.0)))
    assert len(found.here.done) == 12
    assert found.here.missing == 0


def test_rows_of_another_config_do_not_count(synthetic):
    other = synthetic.cell("SimCLR", beta=1.0)
    assert not only(joined(synthetic, [synthetic.cell("SimCLR")], synthetic.rows(other, 80.0))).here


def test_one_run_of_what_has_nothing_random_is_judged(synthetic):
    one = synthetic.cell("SimCLR", seeds=range(1))
    rows = synthetic.rows(one, 80.4)
    verdicts = [
        only(joined(synthetic, [cell], rows, published=[number()])).verdict
        for cell in (one, dataclasses.replace(one, deterministic=True))
    ]
    assert [(said.kind, said.hint) for said in verdicts] == [
        ("undecided", "needs at least 3 seeds"),
        ("reproduced", "nothing random"),
    ]


def chained(synthetic, seeds, shared=(), **stage):
    """A cell of runs that need a first stage."""
    needs = {"stage": synthetic.run("Stage", **stage)}
    first = dataclasses.replace(synthetic.run("Probe"), needs=needs, shared=shared)
    return dataclasses.replace(synthetic.cell("Probe"), runs=seeded(first, seeds))


def test_more_seeds_of_runs_with_needs_are_used_too(synthetic):
    """Their stage has their seed; rows on a shared stage, or on another, are not the same runs."""
    rows = [
        *synthetic.rows(chained(synthetic, range(12)), 80.0),
        *synthetic.rows(chained(synthetic, range(1, 12), shared=("stage",)), 10.0),
        *synthetic.rows(chained(synthetic, range(12), beta=1.0), 10.0),
        *synthetic.rows(synthetic.cell("Probe"), 10.0),  # needs nothing
    ]
    found = only(joined(synthetic, [chained(synthetic, range(3))], rows))
    assert found.here.summary[:2] == pytest.approx((12, 80.0))
    found = only(joined(synthetic, [chained(synthetic, range(3), shared=("stage",))], rows[:1] + rows[12:]))
    assert len(found.here.done) == 12, "seed 0 and eleven more on the stage of seed 0"


def test_rows_that_need_other_runs_are_matched_by_key(synthetic):
    """The same config on top of another first stage is another run."""
    first, second = synthetic.run("Stage A"), synthetic.run("Stage B")
    probe = synthetic.cell("Probe")
    on_first, on_second = (
        dataclasses.replace(probe, runs=tuple(dataclasses.replace(r, needs={"stage": stage}) for r in probe.runs))
        for stage in (first, second)
    )
    found = only(joined(synthetic, [on_first], synthetic.rows(on_second, 10.0) + synthetic.rows(on_first, 80.0)))
    assert found.here.summary == pytest.approx((5, 80.0, 1.0))


def test_a_cell_declared_at_two_scales_but_run_at_one_is_one_cell(synthetic):
    few, all_ = synthetic.cell("SimCLR", seeds=range(3)), synthetic.cell("SimCLR", seeds=range(10))
    found = only(joined(synthetic, [few, all_]))
    assert found.here.expected == 10


def test_failed_runs_are_seen(synthetic):
    cell = synthetic.cell("SimCLR")
    rows = synthetic.rows(cell, 80.0)[:3] + [synthetic.failure(cell.runs[3])]
    found = only(joined(synthetic, [cell], rows))
    assert (len(found.here.done), len(found.here.failed), found.here.missing) == (3, 1, 1)
    nothing = only(joined(synthetic, [cell], [synthetic.failure(run, "out_of_memory") for run in cell.runs]))
    assert nothing.verdict.kind == "not run"
    assert nothing.verdict.reason == "5 run(s) ended without the metric: out_of_memory"


def test_a_finished_run_without_the_metric_does_not_count(synthetic):
    cell = synthetic.cell("SimCLR", seeds=range(2))
    rows = [synthetic.row(cell.runs[0], 80.0), synthetic.row(cell.runs[1], 80.0, metric="another_percent")]
    found = only(joined(synthetic, [cell], rows))
    assert (found.here.values, len(found.here.failed)) == ([80.0], 1)


def test_one_published_number_is_not_shared_by_cells_that_differ(synthetic):
    cells = [synthetic.cell("HCL", beta=beta) for beta in (0.5, 1.0)]
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0, 0.1)]
    (table,) = joined(synthetic, cells, rows, published=[number("HCL")])
    assert {cell.verdict.kind for cell in table.cells} == {"not comparable"}
    assert "differ in beta" in table.cells[0].verdict.reason


def test_the_first_confirmed_number_is_judged_and_all_are_kept(synthetic):
    cell = synthetic.cell("SimCLR")
    numbers = [number(value=50.0, confirmed=False), number(value=80.0), number(value=60.0)]
    found = only(joined(synthetic, [cell], synthetic.rows(cell, 80.0, 0.1), published=numbers))
    assert (found.judged, found.verdict.kind) == (numbers[1], "reproduced")
    assert [(n.value, v.kind) for n, v in found.others] == [(50.0, "not comparable"), (60.0, "differs")]


def test_a_number_of_another_protocol_is_shown_and_not_compared(synthetic):
    """The second number has the cell's own settings, so it is the one that is judged."""
    cell = synthetic.cell("HCL", beta=1.0)
    numbers = [number("HCL", 90.0, protocol={"beta": "2", "selection": "best epoch on test data"}, rerun="somebody")]
    found = only(joined(synthetic, [cell], synthetic.rows(cell, 80.0, 0.1), published=numbers))
    assert found.verdict.kind == "not comparable"
    assert found.verdict.reason == (
        "print has beta 2, selection best epoch on test data; ours beta 1, selection last epoch"
    )
    numbers.append(number("HCL", 80.0, protocol={"beta": "1"}))
    found = only(joined(synthetic, [cell], synthetic.rows(cell, 80.0, 0.1), published=numbers))
    assert (found.judged, found.verdict.kind) == (numbers[1], "reproduced")
    assert [v.kind for _, v in found.others] == ["not comparable"]


def test_a_number_at_second_hand_is_not_compared(synthetic):
    cell = synthetic.cell("WL kernel")
    numbers = [number("WL kernel", 90.0, protocol={"known": "no"})]
    found = only(joined(synthetic, [cell], synthetic.rows(cell, 80.0, 0.1), published=numbers))
    assert (found.verdict.kind, "at second hand" in found.verdict.reason) == ("not comparable", True)


def test_a_metric_can_name_its_epoch_and_its_selection(synthetic):
    for metric, protocol in (
        ("test_epoch_20_percent", {"epochs": "20"}),
        ("test_best_epoch_on_test_folds_percent", {"selection": "best epoch on test data"}),
    ):
        cell = synthetic.cell("HCL", metric=metric)
        printed = dataclasses.replace(number("HCL"), metric=metric, protocol=protocol)
        found = only(joined(synthetic, [cell], synthetic.rows(cell, 80.0, 0.1), published=[printed]))
        assert found.verdict.kind == "reproduced"


def test_the_claimed_gain_is_that_of_one_source(synthetic):
    cells = [synthetic.cell(method) for method in ("SimCLR", "HCL")]
    numbers = [
        number("HCL", 84.0, where="Table 1"),
        number("SimCLR", 70.0, where="another paper"),
        number("SimCLR", 80.0, where="Table 1"),
    ]
    (table,) = joined(synthetic, cells, published=numbers)
    assert [cell.claimed for cell in table.cells] == [None, 4.0]


def test_published_numbers_without_a_cell_are_carried(synthetic):
    (table,) = joined(synthetic, [synthetic.cell("SimCLR")], published=[number(), number("MoCo")])
    assert [n.method for n in table.unmatched] == ["MoCo"]


def measured(synthetic, means, better="higher", seeds=range(10)):
    cells = [synthetic.cell(method, better=better, seeds=seeds) for method in means]
    rows = [row for cell in cells for row in synthetic.rows(cell, means[cell.method], 0.2)]
    return cells, rows


def test_order_gain_and_paired_test_of_a_table(synthetic):
    cells, rows = measured(synthetic, {"SimCLR": 80.0, "DCL": 81.0, "HCL": 84.0})
    numbers = [number("SimCLR", 80.0), number("DCL", 82.0), number("HCL", 85.0)]
    (table,) = joined(synthetic, cells, rows, published=numbers)
    assert [(order.tau, order.methods) for order in orders(table)] == [(1.0, 3)]
    assert [gain.share_kept for gain in gains(table)] == pytest.approx([0.5, 0.8])
    said = findings(table)
    assert "2 of 2 published differences to the baseline have the published sign." in said
    assert any("Gain of HCL over SimCLR, Alpha: published +5; measured +4 [" in sentence for sentence in said)


def test_where_lower_is_better_a_fall_is_a_gain(synthetic):
    cells, rows = measured(synthetic, {"SimCLR": 2.0, "DCL": 1.5}, better="lower")
    (table,) = joined(synthetic, cells, rows, published=[number("SimCLR", 2.0), number("DCL", 1.0)])
    (gain,) = gains(table)
    assert (gain.published, gain.paired.mean) == pytest.approx((1.0, 0.5))


def test_pairs_are_made_by_seed(synthetic):
    cells = [synthetic.cell(method, seeds=seeds) for method, seeds in (("SimCLR", (2, 1, 0)), ("DCL", (0, 1, 7)))]
    values = {"SimCLR": {0: 1.5, 1: 1.0, 2: 0.0}, "DCL": {0: 2.0, 1: 3.0, 7: 9.0}}
    rows = [synthetic.row(run, values[cell.method][run.seed]) for cell in cells for run in cell.runs]
    (table,) = joined(synthetic, cells, rows)
    (gain,) = gains(table)
    assert (gain.paired.n, gain.paired.mean) == (2, pytest.approx(1.25))


def test_what_has_nothing_random_is_compared_with_every_seed(synthetic):
    """A random one would be paired by the one seed that both have."""
    counted = dataclasses.replace(synthetic.cell("Counted", seeds=range(1)), deterministic=True)
    random = synthetic.cell("SimCLR", seeds=range(3))
    rows = synthetic.rows(counted, 3.0) + [
        synthetic.row(run, value) for run, value in zip(random.runs, (1, 2, 4), strict=True)
    ]
    for baseline, sign in (("SimCLR", 1), ("Counted", -1)):
        (table,) = joined(synthetic, [random, counted], rows, baseline=baseline)
        (gain,) = gains(table)
        assert (gain.paired.n, gain.paired.mean) == (3, pytest.approx(sign * 2 / 3))
    (table,) = joined(synthetic, [random, dataclasses.replace(counted, deterministic=False)], rows)
    assert gains(table)[0].paired.n == 1


def test_a_claim_is_tested_once_over_all_data_sets(synthetic):
    sets = ("Alpha", "Beta", "Gamma")
    cells = [synthetic.cell(method, dataset) for dataset in sets for method in ("SimCLR", "DCL", "HCL")]
    gains = {"SimCLR": 0.0, "DCL": 0.0, "HCL": 3.0}
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0 + gains[cell.method], 0.5)]
    table = dataclasses.replace(synthetic.table(), claims=(("HCL", "DCL"),))
    (joined_table,) = join("toy", {"main": table}, {"main": cells}, rows)
    pooled = {(claim.method, claim.other): claim for claim in pooled_gains(joined_table)}
    assert list(pooled) == [("DCL", "SimCLR"), ("HCL", "SimCLR"), ("HCL", "DCL")]
    best = pooled["HCL", "SimCLR"]
    assert best.mean == pytest.approx(3.0) and best.pairs == dict.fromkeys(sets, 5)
    assert best.p < 0.001 and best.p_holm == pytest.approx(3 * min(claim.p for claim in pooled.values()))
    assert pooled["DCL", "SimCLR"].p_holm > 0.05
    assert any(
        sentence.startswith("Over all data sets: HCL minus SimCLR +3.00 [") for sentence in findings(joined_table)
    )


def test_cells_of_one_method_and_seed_count_once(synthetic):
    """Two settings of HCL share weights, order and splits under a seed: their mean is one pair."""
    sets = ("Alpha", "Beta")
    cells = [synthetic.cell("SimCLR", dataset) for dataset in sets]
    cells += [synthetic.cell("HCL", dataset, beta=beta) for dataset in sets for beta in (0.5, 1.0)]
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    (table,) = joined(synthetic, cells, rows)
    (claim,) = pooled_gains(table)
    assert claim.pairs == {"Alpha": 5, "Beta": 5}


def test_a_cell_can_name_its_own_baseline(synthetic):
    """As a clean cell does: it is compared with the published one of its method, which is of another protocol."""
    published, other = synthetic.cell("SimCLR, published"), synthetic.cell("HCL, published")
    clean = dataclasses.replace(synthetic.cell("HCL, clean", protocol="clean"), baseline="HCL, published")
    cells, means = (published, other, clean), (80.0, 84.0, 83.0)
    rows = [row for cell, mean in zip(cells, means, strict=True) for row in synthetic.rows(cell, mean, 0.0)]
    (table,) = joined(synthetic, cells, shipped=rows, baseline="SimCLR, published")
    assert {(c.cell.method, c.baseline.method): c.paired.mean for c in gains(table)} == {
        ("HCL, published", "SimCLR, published"): pytest.approx(4.0),
        ("HCL, clean", "HCL, published"): pytest.approx(-1.0),
    }


def test_a_baseline_of_the_cells_own_protocol_comes_first(synthetic):
    cells = [synthetic.cell(m, protocol=p) for p in ("published", "clean") for m in ("SimCLR", "HCL")]
    rows = [
        row for cell, mean in zip(cells, (80.0, 84.0, 70.0, 71.0), strict=True) for row in synthetic.rows(cell, mean)
    ]
    (table,) = joined(synthetic, cells, shipped=rows, baseline="SimCLR")
    assert [round(c.paired.mean, 6) for c in gains(table)] == [4.0, 1.0]
