"""One run over several processes of a Slurm job: on one node, on two, with a process lost, told to go."""

import json
import os
import signal

import psutil
import pytest
from slurm_site import Site, epochs_of, job_of, log_of, results, row_of, wait_until, worker_of

from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.plan import plan, write_tickets
from contrastbench.runner.profiles import Profile
from contrastbench.selection import select, with_settings

pytestmark = pytest.mark.slow
EPOCHS = 12
SETTINGS = {"epochs": str(EPOCHS), "train_images": "128", "batch": "32", "loss": "hcl", "tau_plus": "0.1", "beta": "1"}
ONE_NODE = Profile("one_node", {"time": 60}, gpus_per_run=2)
TWO_NODES = Profile("two_nodes", {"time": 60}, nodes_per_run=2)


def job_in(folder, settings=SETTINGS):
    cell = next(pair for pair in select("hard_negatives/main", "smoke", [0]).cells() if pair[1].runs[0].config.epochs)
    (job,) = write_tickets(plan(with_settings([cell], settings), folder), folder)
    return job


def losses_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("groups", ["1", "2"], ids=["synchronised", "local"])
def test_the_papers_step_in_two_processes_has_the_loss_of_one(site, tmp_path, groups):
    """The first step of the paper's own training; in later ones Adam makes much of rounding."""
    one_step = {**SETTINGS, "epochs": "1", "batch": "128", "batchnorm_groups": groups}
    spread, alone = job_in(site.folder, one_step), job_in(tmp_path / "alone", one_step)
    assert site.launch([spread], ONE_NODE).ended == {spread.folder: "done"}, log_of(spread.folder)
    assert execute(alone.folder, Host()) == "done"
    assert [row_of(job.folder)["processes"] for job in (spread, alone)] == [2, 1]
    assert spread.folder.name == alone.folder.name, "the number of processes is not in the key"
    assert losses_of(spread.folder) == pytest.approx(losses_of(alone.folder), rel=1e-6)


@pytest.fixture(scope="module")
def undisturbed(cluster, tmp_path_factory):
    quiet = Site(cluster, tmp_path_factory.mktemp("undisturbed") / "runs")
    assert quiet.launch([job_in(quiet.folder)], ONE_NODE).problems == {}
    return results(quiet.folder)


@pytest.mark.parametrize("profile", [ONE_NODE, TWO_NODES], ids=["a process is lost", "two nodes are told to go"])
def test_a_disturbed_run_goes_back_to_the_queue_and_ends_as_an_undisturbed_one(site, undisturbed, profile):
    folder = job_in(site.folder).folder
    site.submit([job_in(site.folder)], profile)
    wait_until(lambda: epochs_of(folder) >= 2 and worker_of(folder), lambda: log_of(folder))
    first = psutil.Process(worker_of(folder))
    os.kill(first.pid, signal.SIGSTOP)  # the others wait for it
    assert epochs_of(folder) < EPOCHS and site.squeue("%D", folder) == str(profile.nodes_per_run)
    if profile is TWO_NODES:
        site.cluster.command("scancel", "--signal=USR2", job_of(folder))
    else:
        next(each for each in psutil.process_iter() if each != first and str(folder) in arguments_of(each)).kill()
    first.resume()
    site.wait_for_end()
    row = row_of(folder)
    assert row["status"] == "done" and row["processes"] == 2 and row["resumes"] >= 1, log_of(folder)
    assert results(site.folder) == undisturbed


def arguments_of(process):
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
