"""One run over several processes of a Slurm job: on one node, on two, with a process lost, told to go."""

import lab
import pytest

from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.plan import plan, write_tickets
from contrastbench.runner.profiles import Profile
from contrastbench.selection import select, with_settings

pytestmark = pytest.mark.slow
SETTINGS = {"epochs": "12", "train_images": "128", "batch": "32", "loss": "hcl", "tau_plus": "0.1", "beta": "1"}
ONE_NODE = Profile("one_node", {"time": 60}, gpus_per_run=2)
TWO_NODES = Profile("two_nodes", {"time": 60}, nodes_per_run=2)


def job_in(folder, settings=SETTINGS):
    cell = next(pair for pair in select("hard_negatives/main", "smoke", [0]).cells() if pair[1].runs[0].config.epochs)
    (job,) = write_tickets(plan(with_settings([cell], settings), folder), folder)
    return job


@pytest.mark.parametrize("groups", ["1", "2"], ids=["synchronised", "local"])
def test_the_papers_step_in_two_processes_has_the_loss_of_one(site, tmp_path, groups):
    """The first step of the paper's own training; in later ones Adam makes much of rounding."""
    one_step = {**SETTINGS, "epochs": "1", "batch": "128", "batchnorm_groups": groups}
    spread, alone = job_in(site.folder, one_step), job_in(tmp_path / "alone", one_step)
    assert site.launch([spread], ONE_NODE).ended == {spread.folder: "done"}, lab.log_of(spread.folder)
    assert execute(alone.folder, Host()) == "done"
    assert [lab.row_of(job.folder)["processes"] for job in (spread, alone)] == [2, 1]
    assert spread.folder.name == alone.folder.name, "the number of processes is not in the key"
    (line,), (line_alone,) = lab.curve_of(spread.folder), lab.curve_of(alone.folder)
    assert line["loss"] == pytest.approx(line_alone["loss"], rel=1e-6)


def workers(task):
    return {each for each in task.children() if "--multiprocessing-fork" in each.cmdline()}


@pytest.fixture(scope="module")
def undisturbed(cluster, tmp_path_factory):
    quiet = lab.Site(cluster, tmp_path_factory.mktemp("undisturbed") / "runs")
    assert quiet.launch([job_in(quiet.folder)], ONE_NODE).problems == {}
    return lab.results(quiet.folder)


@pytest.mark.parametrize("profile", [ONE_NODE, TWO_NODES], ids=["a process is lost", "two nodes are told to go"])
def test_a_disturbed_run_goes_back_to_the_queue_and_ends_as_an_undisturbed_one(site, undisturbed, profile):
    job = job_in(site.folder)
    site.submit([job], profile)
    lab.wait_until(lambda: len(lab.curve_of(job.folder)) >= 2, lambda: lab.log_of(job.folder))
    first = lab.worker_of(job.folder)
    first.suspend()  # the other process waits for it
    assert len(lab.curve_of(job.folder)) < 12 and site.squeue("%D", job.folder) == str(profile.nodes_per_run)
    if profile is TWO_NODES:
        site.cluster.command("scancel", "--signal=USR2", lab.job_of(job.folder))
    else:
        (other,) = {each for task in first.parent().parent().children() for each in workers(task)} - {first}
        other.kill()
    first.resume()
    site.wait_for_end()
    row = lab.row_of(job.folder)
    assert row["status"] == "done" and row["processes"] == 2 and row["resumes"] >= 1, lab.log_of(job.folder)
    assert lab.results(site.folder) == undisturbed
