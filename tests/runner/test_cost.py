"""What a plan says that runs will cost: from rows of the same device, in device hours and in wall time."""

import dataclasses

import pytest

from contrastbench.cli import planning
from contrastbench.cli.plan import cost_of, priced_by
from contrastbench.runner.plan import Estimator, Price, Slots, lower_quartile, plan
from contrastbench.runner.vocabulary import duration
from contrastbench.selection import select


def row(run, seconds, *, device="cpu (A)", resumes=0, status="done"):
    labels = {"dataset": run.dataset, "method": run.method}
    return {**run.identity, **labels, "status": status, "device": device, "resumes": resumes, "seconds": seconds}


def seconds_of(rows, run, *devices):
    price = Estimator(rows).price(run, devices or ["cpu (A)"])
    return price and price.seconds


@pytest.fixture
def runs():
    return [run for _, cell in select("toy/main", "quick").cells() for run in cell.runs]


def test_a_crowded_machine_does_not_raise_the_price(runs):
    """Three of five equal runs were ten times as slow as they need be."""
    run = runs[0]
    assert seconds_of([row(run, seconds) for seconds in (30.0, 3.0, 29.0, 3.1, 28.0)], run) == 3.1
    assert lower_quartile([5.0]) == 5.0 and lower_quartile([9.0, 4.0, 8.0, 7.0]) == 4.0
    assert lower_quartile([float(n) for n in range(9)]) == 2.0


def test_over_several_configs_the_median_counts_and_not_the_shortest(runs):
    """A method nothing is known of is priced by those of its data set, long ones among them."""
    plain = runs[0]
    others = [plain.with_config(gain=float(gain)) for gain in (2, 3, 4)]
    rows = [row(run, seconds) for run, few in zip(others, ((1, 50), (6, 7), (9, 9)), strict=True) for seconds in few]
    assert seconds_of(rows, dataclasses.replace(plain, method="new")) == 6


def test_the_runs_most_like_it_count(runs):
    plain = [run for run in runs if (run.dataset, run.method) == ("Noise8", "Plain")]
    better = next(run for run in runs if (run.dataset, run.method) == ("Noise8", "Better"))
    elsewhere = next(run for run in runs if run.dataset == "Noise16")
    rows = [row(run, seconds) for run, seconds in zip(plain, (1.0, 2.0, 9.0), strict=True)]
    assert seconds_of(rows, plain[0]) == 1.0
    assert seconds_of(rows, better) == 1.0  # the same dataset
    assert seconds_of(rows, elsewhere) is None
    assert seconds_of(rows, dataclasses.replace(better, protocol="clean")) is None  # an encoder a fold
    assert seconds_of(rows, dataclasses.replace(better, stage="other")) is None


def test_the_same_config_counts_before_the_same_method_and_more_epochs_are_other_work(runs):
    plain = runs[0]
    wide, long = plain.with_config(size=99), plain.with_config(epochs=99)
    relabelled = dataclasses.replace(wide, method=plain.method)
    rows = [row(plain, 1.0), row(relabelled, 7.0), row(relabelled, 7.0)]
    assert seconds_of(rows, plain) == 1.0
    assert seconds_of(rows, dataclasses.replace(plain, method="named anew")) == 1.0
    assert seconds_of(rows, long) is None


def test_rows_of_other_devices_of_resumed_and_of_failed_runs_do_not_count(runs):
    run = runs[0]
    others = [row(run, 5.0, device="NVIDIA B"), row(run, 6.0, resumes=1), row(run, 7.0, status="failed")]
    assert seconds_of(others, run) is None
    assert seconds_of([*others, row(run, 1.0)], run) == 1.0


def test_each_model_of_gpu_has_its_own_prices_and_the_price_says_which(runs):
    first, *_, elsewhere = runs
    rows = [row(first, 5.0, device="GPU B"), row(first, 3.0, device="GPU A"), row(elsewhere, 9.0, device="GPU B")]
    estimator = Estimator(rows)
    assert estimator.devices == ["GPU B", "GPU A"]
    assert estimator.price(first, estimator.devices) == (5.0, "GPU B")
    assert estimator.price(first, ["GPU A", "GPU B"]) == (3.0, "GPU A")
    assert estimator.price(elsewhere, ["GPU A", "GPU B"]) == (9.0, "GPU B"), "only that one was measured"
    prices = [estimator.price(run, ["GPU A", "GPU B"]) for run in (first, first, elsewhere)]
    assert priced_by(prices) == "2 runs are priced by rows from GPU A; 1 run is priced by rows from GPU B"
    assert priced_by([None]) == ""


def test_rows_of_another_cpu_price_runs_where_this_one_has_none(runs, tmp_path, monkeypatch):
    """As on every machine but the one that made the shipped rows. Rows of a GPU still say nothing of a CPU."""
    monkeypatch.setattr(planning, "device_kind", lambda device: "cpu (mine)")
    first, *_, elsewhere = runs
    rows = [
        row(elsewhere, 9.0, device="cpu (B)"),
        row(first, 1.0, device="NVIDIA A"),
        row(first, 5.0, device="cpu (A)"),
    ]
    monkeypatch.setattr(planning, "rows_shipped", lambda results, name: rows)
    planned = plan([("main", cell) for _, cell in select("toy/main", "quick").cells()], tmp_path)
    prices = planning.prices(planned, "cpu", tmp_path)
    assert prices[first.key] == (5.0, "cpu (A)") and prices[elsewhere.key] == (9.0, "cpu (B)")
    other = dataclasses.replace(first.with_config(size=99), method="another")
    rows.append(row(other, 7.0, device="cpu (mine)"))
    assert planning.prices(planned, "cpu", tmp_path)[first.key] == (5.0, "cpu (A)"), "another method tells less"
    rows.append(row(first, 2.0, device="cpu (mine)"))
    assert planning.prices(planned, "cpu", tmp_path)[first.key] == (2.0, "cpu (mine)")


def test_each_stage_is_priced_by_the_device_that_does_it(monkeypatch, tmp_path):
    """On a GPU a WL kernel still computes on the CPU; InfoGraph does so too unless it is told otherwise."""
    monkeypatch.setattr(planning, "gpu_count", lambda: 0)
    monkeypatch.setattr(planning, "device_kind", lambda device: "cpu (A)")
    cells = [("main", cell) for _, cell in select("graph_contrastive/main/MUTAG", "paper", [0]).cells()]
    planned = plan(cells, tmp_path)
    rows = [
        row(each.run, seconds, device=kind) for each in planned for kind, seconds in (("GPU B", 5.0), ("cpu (A)", 9.0))
    ]
    monkeypatch.setattr(planning, "rows_shipped", lambda results, name: rows)
    found = planning.prices(planned, "cuda", tmp_path)
    by_method = {each.run.method: found[each.run.key] for each in planned}
    assert by_method["WL kernel"] == (9.0, "cpu (A)") and by_method["InfoGraph"] == (5.0, "GPU B")
    assert planning.prices(planned, "auto", tmp_path) == dict.fromkeys(found, (9.0, "cpu (A)"))


def test_rows_made_here_price_runs_before_shipped_ones(bench, runs, monkeypatch):
    """The shipped rows were made on a busy machine; one row made here tells more."""
    bench.run_inline("toy/main/Noise8/Plain", seeds=[0])
    busy = [row(run, 1000.0, device=planning.device_kind("cpu")) for run in runs]
    monkeypatch.setattr(planning, "rows_shipped", lambda *given: busy)
    prices = planning.prices(bench.plan("toy/main", [0, 1]), "cpu", bench.folder)
    told = {
        (run.dataset, run.seed): prices[run.key].seconds for run in runs if run.key in prices and run.method == "Plain"
    }
    assert told["Noise8", 1] < 100 and told["Noise16", 1] == 1000.0


@pytest.mark.parametrize(
    ("slots", "device_hours", "wall_hours"),
    [
        (Slots(1, "CPU", 1), 5, 5),
        (Slots(2, "CPU", 1), 5, 3),  # 1 then 3 on one slot would be 4: the third run goes where room is first
        (Slots(2, "CPU", 4), 20, 3),
        (Slots(4, "GPU", 1 / 4), 1.25, 2),
    ],
)
def test_device_hours_and_wall_time_of_runs_over_slots(slots, device_hours, wall_hours):
    seconds = [3600.0, 7200.0, 3600.0, 3600.0]
    assert slots.device_hours(seconds) == device_hours
    assert slots.wall_hours(seconds) == wall_hours


def test_a_plan_says_where_a_cost_is_unknown(runs, tmp_path):
    planned = plan([("main", cell) for _, cell in select("toy/main", "quick").cells()], tmp_path)
    slots = Slots(2, "CPU", 1)
    costs = {each.run.key: Price(60.0, "cpu (A)") for each in planned}
    assert cost_of(planned, costs, slots) == ("0.20", "6 min")
    assert cost_of(planned, {**costs, planned[0].run.key: None}, slots) == ("0.18 + ?", "6 min + ?")
    assert cost_of(planned, {}, slots) == ("?", "?")
    assert cost_of([], costs, slots) == ("", "")


def test_a_cluster_profile_gives_the_slots_and_the_unit(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text(
        "runs_per_gpu = 4\n[sbatch]\ntime = 60\ngpus_per_node = 2\ncpus_per_task = 8\narray_parallelism = 3\n"
    )
    assert planning.slots_for("cpu", str(site)) == Slots(24, "GPU", 1 / 4)


@pytest.mark.parametrize(("gpus", "priced_by"), [(0, "NVIDIA B"), (1, "NVIDIA C")])
def test_gpu_hours_are_of_the_gpu_that_is_here_else_of_the_one_that_most_rows_name(
    runs, tmp_path, monkeypatch, gpus, priced_by
):
    """Where none is here, as on a login node, one GPU is assumed."""
    monkeypatch.setattr(planning, "gpu_count", lambda: gpus)
    monkeypatch.setattr(planning, "device_kind", lambda device: "NVIDIA C" if device == "cuda" else "cpu (A)")
    rows = [row(run, 5.0, device=kind) for kind in ("NVIDIA B", "NVIDIA B", "NVIDIA C", "cpu (A)") for run in runs]
    monkeypatch.setattr(planning, "rows_shipped", lambda results, name: rows)
    planned = plan([("main", cell) for _, cell in select("toy/main", "quick").cells()], tmp_path)
    assert {price.device for price in planning.prices(planned, "cuda", tmp_path).values()} == {priced_by}
    assert planning.slots_for("cuda", None) == Slots(1, "GPU", 1)


@pytest.mark.parametrize(
    ("hours", "said"), [(0.01, "36 s"), (0.5, "30 min"), (1.9, "114 min"), (3, "3.0 h"), (47, "47.0 h"), (60, "2.5 d")]
)
def test_durations_are_said_in_the_unit_that_people_use(hours, said):
    assert duration(hours) == said
