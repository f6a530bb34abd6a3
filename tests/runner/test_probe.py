"""Estimated costs: a probe of four epochs tells what the whole run takes."""

import importlib
import time

from contrastbench.runner.execute import Host, execute
from contrastbench.runner.probe import probed_costs, probed_seconds
from contrastbench.runner.rows import read_row


def test_a_probe_tells_what_the_whole_run_takes(bench):
    settings = {"epochs": "40", "seconds_per_epoch": "0.1"}
    (job,) = bench.jobs("toy/slow", [0], settings)
    importlib.import_module("benchmarks.toy.train")  # not what is timed here
    began = time.monotonic()
    told = probed_seconds(job.run, Host(), bench.folder)
    probing = time.monotonic() - began
    assert execute(job.folder, Host()) == "done"
    taken = read_row(job.folder / "row.json")["seconds"]
    assert taken >= 40 * 0.1 and taken / 2 < told < 2 * taken, (told, taken)
    assert probing < taken


def test_one_probe_serves_all_seeds_and_what_cannot_be_probed_is_left_out(bench):
    runs = [each.run for each in bench.plan("toy/main", range(5))]
    costs = probed_costs(runs, Host(), bench.folder)
    assert set(costs) == {run.key for run in runs}
    told = {(run.dataset, run.method, costs[run.key]) for run in runs}
    assert len(told) == 4, "one number a dataset and method"
    chained = [each.run for each in bench.plan("toy/chain", [0]) if each.run.needs]
    failing = [each.run for each in bench.plan("toy/faults", [0]) if each.run.config.fail_at == 0]
    assert probed_costs([*chained, *failing], Host(), bench.folder) == {}


def test_a_probe_is_kept_and_never_done_twice(bench):
    run = bench.plan("toy/main", [0])[0].run
    first = probed_seconds(run, Host(), bench.folder)
    (cost,) = bench.folder.glob(".probes/toy/*/cost.json")
    written = cost.stat().st_mtime_ns
    assert probed_seconds(run, Host(), bench.folder) == first and cost.stat().st_mtime_ns == written
    assert bench.states("toy/main", [0]) == ["new"] * 4, "a probe is no run"


def test_probes_stop_when_their_time_is_spent_and_go_on_later(bench):
    (planned,) = bench.plan("toy/slow", [0], {"epochs": "40", "seconds_per_epoch": "0.3"})
    assert probed_costs([planned.run], Host(), bench.folder, seconds=0.1) == {}
    assert not list(bench.folder.glob(".probes/toy/*/cost.json"))
    assert list(bench.folder.glob(".probes/toy/*/checkpoint.pt"))


def test_a_run_that_counts_folds_is_probed_by_its_first_folds(bench):
    """Ten folds of 2 s, of which two are done; a run of fewer epochs would have shorter folds, not fewer."""
    settings = {"folds": "10", "epochs": "20", "seconds_per_epoch": "0.1"}
    (planned,) = bench.plan("toy/slow", [0], settings)
    began = time.monotonic()
    told = probed_seconds(planned.run, Host(), bench.folder)
    assert time.monotonic() - began < 0.75 * told
    assert told >= 20 and told < 2 * 20, told
