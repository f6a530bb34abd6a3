"""One real Slurm for all tests here; they are skipped, with the reason, where it cannot run."""

import pytest
from lab import Site, running_cluster


@pytest.fixture(scope="session")
def cluster():
    with running_cluster(nodes=2, gpus=4, max_array_size=5) as started:
        yield started


@pytest.fixture
def site(cluster, tmp_path):
    cluster.wait_idle()
    yield Site(cluster, tmp_path / "runs")
    cluster.command("scancel", "--user=root", check=False)  # what a failed test has left
