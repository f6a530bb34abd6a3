"""The same truth where Slurm keeps accounts (slurmdbd): its own reasons, and the limits of accounts and QOS."""

import shutil

import pytest
from slurm_site import PATHS, Site, kill, running_cluster, task_of, wait_until, worker_of

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.profiles import Profile

pytestmark = pytest.mark.slow
LIMITS = {  # QOS -> what it limits
    "few": "MaxSubmitJobsPerUser=3",
    "brief": "MaxWall=00:05:00",
    "strict": "MaxWall=00:05:00 Flags=DenyOnLimit",
    "narrow": "MaxTRESPerJob=cpu=1",
    "large": "MinTRESPerJob=cpu=4",
    "shared": "GrpTRES=cpu=2",
    "mine": "MaxTRESPerUser=cpu=2",
}
SHORT = {"epochs": "1", "size": "2"}


@pytest.fixture(scope="module")
def accounts(tmp_path_factory):
    """Root belongs to the account `lab`, with a QOS for each kind of limit."""
    if not all(shutil.which(name, path=PATHS) for name in ("slurmdbd", "mariadbd")):
        pytest.skip("accounting needs apt-get install slurmdbd mariadb-server")
    with running_cluster(nodes=1, gpus=2, accounting=True) as cluster:

        def sacctmgr(*words):
            cluster.command("sacctmgr", "--immediate", *words)

        sacctmgr("add", "account", "lab")
        for name, limit in LIMITS.items():
            sacctmgr("add", "qos", name, *limit.split())
        sacctmgr("add", "user", "root", "account=lab", f"qos=normal,{','.join(LIMITS)}", "defaultqos=normal")
        sacctmgr("modify", "user", "root", "set", "defaultaccount=lab")
        wait_until(lambda: knows_all(cluster), "the controller to hear of the limits")
        yield cluster


def knows_all(cluster):
    told = cluster.command("scontrol", "show", "assoc_mgr")
    return all(f"QOS={name}(" in told for name in LIMITS) and "Account=lab UserName=root" in told


@pytest.fixture
def site(accounts, tmp_path):
    accounts.wait_idle()
    yield Site(accounts, tmp_path / "runs")
    accounts.command("scancel", "--user=root", check=False)


def test_a_killed_job_is_known_with_its_state(site, tmp_path):
    settings = {"gate": str(tmp_path / "gate")}
    (folder,) = site.folders("toy/slow", [0], settings)
    site.submit("toy/slow", [0], settings)
    wait_until(lambda: worker_of(folder), "the run to begin")
    kill(task_of(folder))
    wait_until(lambda: states.state_of(folder, slurm_queue.still_queued()).name == "killed", "it to show")
    wait_until(lambda: "FAILED|" in slurm_queue.why_it_ended(folder), lambda: slurm_queue.why_it_ended(folder))
    (tmp_path / "gate").touch()
    assert site.launch("toy/slow", [0], settings).problems == {}
    assert site.states("toy/slow", [0], settings) == ["done"]


def test_the_queue_is_filled_as_a_limit_on_submitted_jobs_allows(site):
    seen = []
    outcome = site.launch("toy/many", range(8), SHORT, Profile(name="few", qos="few"), seen=seen)
    assert outcome.problems == {} and set(outcome.ended.values()) == {"done"} and len(outcome.ended) == 8
    assert any("QOSMaxSubmitJobPerUserLimit" in event.get("waits", "") for event in seen), seen


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile(name="mine", qos="brief"), "(QOSMaxWallDurationPerJobLimit): the key hours of profile mine is wrong"),
        (Profile(name="mine", qos="strict"), "sbatch refused: sbatch: error: QOSMaxWallDurationPerJobLimit"),
        (Profile(name="mine", qos="narrow", cpus=2), "(QOSMaxCpuPerJobLimit): the key cpus of profile mine is wrong"),
        (Profile(name="mine", qos="large"), "(QOSMinCpuNotSatisfied): the key cpus of profile mine is wrong"),
        (Profile(name="mine", qos="unheard"), "Invalid qos specification"),
        (Profile(name="mine", account="unheard"), "Invalid account or account/partition combination"),
    ],
    ids=["wall time", "wall time, denied", "cpus", "few cpus", "unknown qos", "unknown account"],
)
def test_what_an_account_may_never_have_ends_the_wait_in_slurms_words(site, profile, said):
    outcome = site.launch("toy/slow", [0], SHORT, profile)
    (problem,) = outcome.problems.values()
    assert said in problem
    assert not site.cluster.command("squeue", "--noheader"), "nothing is left in the queue"


@pytest.mark.parametrize(("qos", "reason"), [("shared", "QOSGrpCpuLimit"), ("mine", "QOSMaxCpuPerUserLimit")])
def test_runs_beyond_a_limit_of_all_jobs_wait_with_its_name_and_are_done(site, qos, reason, tmp_path):
    seen, settings = [], {"epochs": "4", "seconds_per_epoch": "0.5"}
    outcome = site.launch("toy/many", range(5), settings, Profile(name=qos, qos=qos), seen=seen)
    assert outcome.problems == {} and set(outcome.ended.values()) == {"done"} and len(outcome.ended) == 5
    assert any(event.get("waits") == reason for event in seen), seen
    spans = [
        ((path.parent / "claim.1").stat().st_mtime, path.stat().st_mtime) for path in site.folder.glob("*/*/row.json")
    ]
    assert max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans) <= 2
