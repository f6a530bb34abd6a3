"""Estimated costs: a run's first epochs tell what the whole run takes, and are not done again."""

import importlib
import json
import time

import pytest

from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.probe import STOP_SECONDS, cost_file, probed_costs
from contrastbench.runner.rows import read_row, result_of
from contrastbench.runner.tickets import folder_of


def test_a_probe_tells_what_the_whole_run_takes_and_its_epochs_are_kept(bench, tmp_path):
    settings = {"epochs": "40", "seconds_per_epoch": "0.05"}
    planned = bench.plan("toy/slow", [0], settings)
    (told,) = probed_costs(planned, Host(), bench.folder).values()
    (job,) = bench.jobs("toy/slow", [0], settings)
    begun = [json.loads(line)["epoch"] for line in (job.folder / "metrics.jsonl").read_text().splitlines()]
    assert begun[:4] == [0, 1, 2, 3] and len(begun) < 10
    again: list[int] = []
    importlib.import_module("benchmarks.toy.train")  # not what is timed here
    began = time.monotonic()
    assert execute(job.folder, Host(), watch=lambda line: again.append(line["epoch"])) == "done"
    taken = time.monotonic() - began
    assert again == list(range(len(begun), 40))
    assert 40 * 0.05 <= told < 2 * taken + 2, (told, taken)
    (undisturbed,) = type(bench)(tmp_path / "others").jobs("toy/slow", [0], settings)
    execute(undisturbed.folder, Host())
    assert result_of(read_row(job.folder / "row.json")) == result_of(read_row(undisturbed.folder / "row.json"))


def test_one_probe_serves_all_seeds_and_what_cannot_be_probed_is_left_out(bench):
    planned = [*bench.plan("toy/main", range(5)), *bench.plan("toy/chain", [0]), *bench.plan("toy/faults", [0])]
    said = []
    costs = probed_costs(planned, Host(), bench.folder, said=said.append)
    of_main = {each.run.key: (each.run.dataset, each.run.method) for each in planned[:20]}
    assert of_main.keys() <= costs.keys() and len(said) == 4 + 3 + 4
    assert len({(*of_main[key], costs[key]) for key in of_main}) == 4, "one number a dataset and method"
    left_out = {each.run.method for each in planned if each.run.key not in costs}
    assert left_out == {"Raises", "Diverges", "Grows"}


def test_a_chain_is_probed_behind_its_shortened_needs(bench):
    """Pre-training has 50 epochs of 0.1 s, of which four are done; each split two rounds, and the mean no epochs."""
    settings = {"pretrain.epochs": "50", "pretrain.seconds": "0.1", "discover.seconds": "0.1"}
    planned = bench.plan("staged/main/Plain", [0], settings)
    costs = probed_costs(planned, Host(), bench.folder)
    assert costs.keys() == {each.run.key for each in planned}
    by_stage = {each.run.stage: costs[each.run.key] for each in planned}
    assert 50 * 0.1 <= by_stage["pretrain"] < 4 * 50 * 0.1, by_stage
    assert 2 * 0.1 <= by_stage["discover"] < 10 * 2 * 0.1, by_stage
    probed = {row["stage"]: row for row in map(read_row, bench.folder.glob(".probes/staged/*/row.json"))}
    assert probed["pretrain"]["config"]["epochs"] == 4, "what is needed is done in short"
    assert probed["discover"]["artefacts_read"] == {"pretrain": probed["pretrain"]["artefact_sha256"]}
    states = {each.run.stage: each.state.name for each in bench.plan("staged/main/Plain", [0], settings)}
    assert states == {"pretrain": "killed", "discover": "new", "mean": "new"}, "only the first was begun in earnest"


def test_a_chain_whose_first_stage_fails_has_no_cost(bench):
    planned = bench.plan("toy/chain/Noise8/Plain", [0], {"walk.fail_at": "0"})
    assert probed_costs(planned, Host(), bench.folder) == {}


@pytest.mark.slow
def test_a_lost_artefact_of_a_probe_is_made_again(bench):
    planned = bench.plan("toy/chain/Noise8/Plain", [0])
    assert len(probed_costs(planned, Host(), bench.folder)) == 2
    (artefact,) = bench.folder.glob(".probes/toy/*/artefact.pt")
    artefact.unlink()
    for cost in bench.folder.glob(".probes/toy/*/cost.json"):
        cost.unlink()
    assert len(probed_costs(planned, Host(), bench.folder)) == 2 and artefact.exists()


def test_a_cost_is_kept_and_no_probe_is_done_twice(bench):
    planned = bench.plan("toy/main", [0])[:1]
    first = probed_costs(planned, Host(), bench.folder)
    said = []
    assert probed_costs(planned, Host(), bench.folder, said=said.append) == first and said == []
    assert probed_costs(planned, Host(threads=2), bench.folder, seconds=0.0) == {}, "two threads are another cost"


def test_probes_stop_when_their_time_is_spent_and_what_was_done_is_kept(bench):
    planned = bench.plan("toy/slow", [0], {"epochs": "40", "seconds_per_epoch": "3"})
    began = []
    told = probed_costs(planned, Host(), bench.folder, seconds=8.0, said=lambda line: began.append(time.monotonic()))
    assert told == {}
    assert time.monotonic() - began[0] < 8 + 2 * STOP_SECONDS  # twice: other work may fill the machine
    assert (folder_of(planned[0].run, bench.folder) / "checkpoint.pt").exists()
    assert not cost_file(planned[0].run, bench.folder).exists()


def test_a_run_that_counts_folds_is_probed_by_its_first_folds(bench):
    """Ten folds of 0.4 s, of which two are done; a run of fewer epochs would have shorter folds, not fewer."""
    planned = bench.plan("toy/slow", [0], {"folds": "10", "epochs": "20", "seconds_per_epoch": "0.02"})
    (told,) = probed_costs(planned, Host(), bench.folder).values()
    assert 4 <= told < 2 * 4, told
