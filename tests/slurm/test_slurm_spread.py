"""One run over several processes of a Slurm job: on one node, on two, with a rank lost, told to go."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
from slurm_site import Site, epochs_of, job_of_run, results, wait_until, worker_of

from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.launchers.slurm_arrays import Submitter
from contrastbench.runner.plan import plan, write_tickets
from contrastbench.runner.profiles import Profile
from contrastbench.runner.rows import read_row
from contrastbench.runner.states import folder_of
from contrastbench.selection import select, with_settings

EPOCHS = 40
SETTINGS = {"epochs": str(EPOCHS), "train_images": "128", "batch": "32", "loss": "hcl", "tau_plus": "0.1", "beta": "1"}
ONE_NODE = Profile(name="one_node", cpus=2, gpus_per_run=2)
TWO_NODES = Profile(name="two_nodes", nodes_per_run=2)


def jobs_in(folder, settings=SETTINGS):
    cell = next(pair for pair in select("hard_negatives/main", "smoke", [0]).cells() if pair[1].runs[0].config.epochs)
    return write_tickets(plan(with_settings([cell], settings), folder), folder)


def by_torchrun(folder, processes, settings=SETTINGS):
    """The run, undisturbed, in so many processes on this machine."""
    (job,) = jobs_in(folder, settings)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "contrastbench.runner.worker", str(job.folder), "--spread"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return job.folder


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    return by_torchrun(tmp_path_factory.mktemp("torchrun") / "runs", 2)


def losses_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("groups", ["1", "2"], ids=["synchronised", "local"])
@pytest.mark.slow
def test_the_papers_step_in_two_processes_has_the_loss_of_one(tmp_path, groups):
    """The first step of the paper's own training, through the runner; in later ones Adam makes much of rounding."""
    one_step = {**SETTINGS, "epochs": "1", "batch": "128", "batchnorm_groups": groups}
    spread = by_torchrun(tmp_path / "spread", 2, one_step)
    (alone,) = jobs_in(tmp_path / "alone", one_step)
    assert execute(alone.folder, Host()) == "done"
    row, row_alone = read_row(spread / "row.json"), read_row(alone.folder / "row.json")
    assert (row["processes"], row_alone["processes"]) == (2, 1)
    assert row["key"] == row_alone["key"], "the number of processes is not in the key"
    assert row["config"].get("batchnorm_groups", 1) == int(groups)
    assert losses_of(spread) == pytest.approx(losses_of(alone.folder), rel=1e-6)


@pytest.mark.slow
def test_a_lost_rank_requeues_the_run_and_it_ends_bit_for_bit_as_an_undisturbed_one(site, two_processes):
    folder = submitted(site, ONE_NODE)
    first = held_in_mid_run(folder)
    other = next(child for child in first.parent().children() if child.pid != first.pid)
    other.kill()
    first.resume()
    site.wait_for_end()
    row = read_row(folder / "row.json")
    assert row["status"] == "done" and row["processes"] == 2 and row["resumes"] >= 1, log_of(folder)
    assert results(site.folder) == results(two_processes.parents[1])


@pytest.mark.slow
def test_a_run_on_two_nodes_that_is_told_to_go_ends_bit_for_bit_as_on_one_node(site, two_processes):
    folder = submitted(site, TWO_NODES)
    first = held_in_mid_run(folder)
    assert site.cluster.command("squeue", "-h", "-j", job_of_run(folder), "-o", "%D").strip() == "2"
    site.cluster.command("scancel", "--signal=USR2", job_of_run(folder))
    first.resume()
    site.wait_for_end()
    row = read_row(folder / "row.json")
    assert row["status"] == "done" and row["processes"] == 2 and row["resumes"] >= 1, log_of(folder)
    assert "back to the queue (saved)" in log_of(folder)
    assert results(site.folder) == results(two_processes.parents[1])


def submitted(site: Site, profile):
    jobs = jobs_in(site.folder)
    submitter = Submitter(jobs, profile, site.folder)
    submitter.fill()
    assert submitter.problems == {}
    return folder_of(jobs[0].run, site.folder)


def held_in_mid_run(folder):
    """The run's first process, stopped by the kernel after a few epochs: the others wait for it."""
    wait_until(lambda: epochs_of(folder) >= 2 and worker_of(folder), lambda: log_of(folder))
    first = psutil.Process(worker_of(folder))
    os.kill(first.pid, signal.SIGSTOP)
    assert 2 <= epochs_of(folder) < EPOCHS and not (folder / "row.json").exists()
    return first


def log_of(folder):
    return "".join(path.read_text() for path in slurm_queue.job_logs(folder))
