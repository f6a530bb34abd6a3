"""The same truth on a cluster that keeps accounts (slurmdbd): the reason of an end is then the scheduler's own."""

import shutil

import pytest
from slurm_site import PATHS, Site, kill, running_cluster, task_of, wait_until, worker_of

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm_queue


@pytest.mark.slow
def test_with_accounting_a_killed_job_is_known_with_its_state(tmp_path):
    if not all(shutil.which(name, path=PATHS) for name in ("slurmdbd", "mariadbd")):
        pytest.skip("accounting needs apt-get install slurmdbd mariadb-server")
    with running_cluster(nodes=1, gpus=2, accounting=True) as cluster:
        site = Site(cluster, tmp_path / "runs")
        settings = {"gate": str(tmp_path / "gate")}
        (folder,) = site.folders("toy/slow", [0], settings)
        site.submit("toy/slow", [0], settings)
        wait_until(lambda: worker_of(folder), 60, "the run to begin")
        kill(task_of(folder))
        wait_until(lambda: states.state_of(folder, slurm_queue.still_queued()).name == "killed", 20, "it to show")
        wait_until(lambda: "FAILED|" in slurm_queue.why_it_ended(folder), 20, lambda: slurm_queue.why_it_ended(folder))
        (tmp_path / "gate").touch()
        assert site.launch("toy/slow", [0], settings).problems == {}
        assert site.states("toy/slow", [0], settings) == ["done"]
