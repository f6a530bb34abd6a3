"""A thousand short runs through Slurm: all come back, and the front command does not grow."""

import time

import psutil
import pytest
from slurm_site import job_of_run

from contrastbench.runner.launchers import slurm
from contrastbench.runner.profiles import Profile


@pytest.mark.slow
def test_a_thousand_short_runs_come_back_and_the_front_stays_small(site):
    packed = Profile(cpus=2, runs_per_task=50, hours=1.0)
    jobs, process, sizes = site.jobs("toy/many"), psutil.Process(), []
    began = time.monotonic()

    def watch(job, event):
        sizes.append(process.memory_info().rss)

    outcome = slurm.launch(jobs, packed, site.folder, watch=watch, poll_seconds=1.0)
    seconds = time.monotonic() - began
    growth = (max(sizes[-100:]) - max(sizes[:100])) / 1e6
    print(f"\n1000 runs in {seconds:.0f} s, front command {growth:.1f} MB larger at the end")
    assert outcome.problems == {} and len(outcome.ended) == 1000 and set(outcome.ended.values()) == {"done"}
    assert len({job_of_run(job.folder) for job in jobs}) == 20
    assert growth < 20
