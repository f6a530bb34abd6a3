"""A site with other limits: few jobs at a time, control groups for memory, host names of their own, typed GPUs."""

import dataclasses
import json
import os
import shutil

import psutil
import pytest
from slurm_site import Site, at_gate, job_of_run, running_cluster, task_of, wait_until, worker_of

from contrastbench.runner import files, states
from contrastbench.runner.launchers import Job, slurm_queue
from contrastbench.runner.launchers.slurm_arrays import Array, dry_run, lanes_of
from contrastbench.runner.launchers.slurm_sbatch import is_no_room
from contrastbench.runner.launchers.slurm_script import Ask, ask_for, auto_hours
from contrastbench.runner.profiles import AUTO_HOURS, Profile
from contrastbench.runner.rows import SCHEMA, read_row, sealed, write_row
from contrastbench.runner.states import folder_of, write_ticket
from contrastbench.selection import select

SETTINGS = {"epochs": "1", "size": "2"}


@pytest.fixture(scope="module")
def other_site(tmp_path_factory):
    """MaxArraySize=5, memory limits, host names of the nodes' own, GPUs with a type."""
    options = {"max_array_size": 5, "gpu_type": "a100", "hostnames": True, "memory_limits": True}
    with running_cluster(nodes=2, gpus=2, **options) as cluster:
        yield cluster


@pytest.fixture
def site(other_site, tmp_path):
    other_site.wait_idle()
    yield Site(other_site, tmp_path / "runs")
    other_site.command("scancel", "--user=root", check=False)


def test_the_queue_is_filled_batch_by_batch_and_never_wider_than_was_asked(site, tmp_path, monkeypatch):
    """Four tasks, an sbatch that takes two at once as Slurm does at a limit, one at a time."""
    narrow = Profile(array_parallelism=1, memory_gb=1.0, mail="narrow@lab.example")
    tools, seen = tmp_path / "bin", []
    tools.mkdir()
    (tools / "sbatch").write_text(FULL_AT_TWO.format(sbatch=shutil.which("sbatch"), squeue=shutil.which("squeue")))
    (tools / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    outcome = site.launch("toy/many", range(4), SETTINGS, narrow, seen=seen)
    check_batches(site, outcome, seen, runs=4, most=1)
    assert (tools / "sbatch.refused").exists() and outcome.notes == [], (
        "the mail was refused once, then asked for again"
    )
    wait_until(lambda: len(mails_to(site, "narrow@lab.example")) == 1, "the mail")


def mails_to(site, address):
    mails = site.cluster.folder / "mails.log"
    return [line for line in mails.read_text().splitlines() if address in line] if mails.exists() else []


FULL_AT_TWO = """#!/bin/sh
# Says what Slurm says when MaxJobCount is reached, and then tries again for two minutes as sbatch does.
full() {{ echo "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying" >&2; exec sleep 120; }}
for script; do :; done
if [ "$script" = --wrap=: ]; then # the job of the mail: there is no room the first time
  [ -e "$0.refused" ] || {{ touch "$0.refused"; full; }}
  exec {sbatch} "$@"
fi
asked=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
if [ $(($({squeue} --me --array --noheader | wc -l) + ${{asked:-0}} + 1)) -gt 2 ]; then
  full
fi
exec {sbatch} "$@"
"""


def check_batches(site, outcome, seen, runs, most):
    assert outcome.problems == {} and set(outcome.ended.values()) == {"done"} and len(outcome.ended) == runs
    at_once = max(sum(begin <= moment < end for begin, end in spans(site)) for moment, _ in spans(site))
    assert at_once <= most
    assert any("temporarily unable to accept job" in event.get("waits", "") for event in seen), seen


@pytest.mark.slow
def test_a_full_queue_of_slurms_own_is_filled_batch_by_batch(tmp_path):
    """Slurm counts an ended job until it forgets it, which it does once a minute."""
    with running_cluster(nodes=2, gpus=1, max_array_size=5, max_job_count=8, min_job_age=2) as cluster:
        site, seen = Site(cluster, tmp_path / "runs"), []
        profile = Profile(array_parallelism=3, memory_gb=1.0)
        outcome = site.launch("toy/many", range(12), SETTINGS, profile, seen=seen)
        check_batches(site, outcome, seen, runs=12, most=3)


def spans(site):
    """When each run was at work: from its claim to its row."""
    return [
        ((path.parent / "claim.1").stat().st_mtime, path.stat().st_mtime) for path in site.folder.glob("toy/*/row.json")
    ]


@pytest.mark.parametrize(
    ("tasks", "at_a_time", "widths"),
    [
        ([5], 10, [10]),
        ([5, 5, 2], 12, [12]),
        ([5, 5, 2], 11, [4, 4, 3]),
        ([5, 5, 5, 5], 2, [1, 1]),
        ([5] * 12, 3, [1, 1, 1]),
    ],
)
def test_the_shares_of_arrays_add_up_to_what_was_asked(tasks, at_a_time, widths):
    arrays = [Array(Ask(1.0), 0, ((),) * count) for count in tasks]
    assert [lane.width for lane in lanes_of(arrays, at_a_time)] == widths


@pytest.mark.parametrize(
    ("words", "later"),
    [
        ("sbatch: error: AssocMaxSubmitJobLimit sbatch: error: Batch job submission failed: Job violates "
         "accounting/QOS policy (job submit limit, user's size and/or time limits)", True),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit sbatch: error: Batch job submission failed", True),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", True),
        ("sbatch: error: QOSMaxWallDurationPerJobLimit sbatch: error: Batch job submission failed: Job violates "
         "accounting/QOS policy (job submit limit, user's size and/or time limits)", False),
        ("sbatch: error: invalid partition specified: nowhere", False),
    ],
)  # fmt: skip
def test_no_room_is_told_from_refused_for_good(words, later):
    assert is_no_room(words) == later


def hoard(site, **settings):
    """A run that takes all the memory there is, before its second epoch if no other is named."""
    settings = {"epochs": "4", "fail_at": "1", "failure": "hoard", **settings}
    ((_, cell),) = select("toy/slow", "quick", [0], settings).cells()
    return Job(cell.runs[0], write_ticket(cell.runs[0], site.folder, []))


def test_a_run_killed_for_its_memory_gets_a_row_and_its_neighbours_go_on_alone(site, tmp_path):
    """Four runs share a task of 1.2 GB; one of them takes all the memory, the others wait until it has."""
    gate = tmp_path / "gate"
    others = site.jobs("toy/slow", range(1, 4), {"epochs": "4", "gate": str(gate)})
    packed = Profile(name="packed", cpus=2, runs_per_task=4, memory_gb=1.2)
    greedy = hoard(site)
    assert site.submit_jobs([greedy, *others], packed).problems == {}
    wait_until((greedy.folder / "row.json").exists, lambda: log_of(greedy.folder))
    gate.touch()
    site.wait_for_end()
    row = read_row(greedy.folder / "row.json")
    assert row["status"] == "out_of_memory" and "limit of 1.3 GB was reached" in row["error"]["message"]
    assert [states.state_of(job.folder).name for job in others] == ["done"] * 3, log_of(greedy.folder)
    spans = [spans_of(job.folder) for job in others]
    after = sorted(span for span in spans if span[0] > (greedy.folder / "row.json").stat().st_mtime)
    assert len(after) >= 2, "the runs that began after the kill"
    assert all(end <= begin for (_, end), (begin, _) in zip(after, after[1:], strict=False))
    states.retry(greedy.folder)
    (text,) = dry_run([greedy], dataclasses.replace(packed, grow=1.5), site.folder)
    assert f"#SBATCH --mem={round(1.5 * 1.2 * 1024)}M\n" in text


@pytest.mark.parametrize("neighbours", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_step_that_is_killed_whole_for_its_memory_leaves_a_row_and_no_run_undone(site, tmp_path, neighbours):
    """As sbatch --oom-kill-step does in later versions: here the task, stopped before it could see to the kill."""
    gates = [tmp_path / "gate", tmp_path / "other gate"]
    others = site.jobs("toy/slow", [1], {"epochs": "4", "gate": str(gates[1])})[:neighbours]
    greedy = hoard(site, fail_at="3", gate=str(gates[0]))
    site.submit_jobs([greedy, *others], Profile(name="packed", cpus=2, runs_per_task=2, memory_gb=1.2))
    folders = [job.folder for job in (greedy, *others)]
    wait_until(lambda: all(at_gate(folder, 2) for folder in folders), lambda: log_of(greedy.folder))
    worker, task = psutil.Process(worker_of(greedy.folder)), psutil.Process(task_of(greedy.folder))
    task.suspend()
    gates[0].touch()
    wait_until(lambda: worker.status() == psutil.STATUS_ZOMBIE, "the kernel to kill the run")
    task.kill()
    gates[1].touch()
    site.wait_for_end()
    row = read_row(greedy.folder / "row.json")
    assert row["status"] == "out_of_memory", log_of(greedy.folder)
    assert row["attempt"] == 1 + neighbours, "with a neighbour it is tried once more, alone"
    assert [states.state_of(job.folder).name for job in others] == ["done"] * neighbours


def spans_of(folder):
    return (folder / "claim.1").stat().st_mtime, (folder / "row.json").stat().st_mtime


def failed_before(tmp_path, *errors):
    """A run's folder with rows of failed attempts."""
    ((_, cell),) = select("toy/slow", "quick", [0]).cells()
    folder = write_ticket(cell.runs[0], tmp_path, [])
    for number, (status, error) in enumerate(errors, start=1):
        write_row(folder / f"failed.{number}.json", sealed({"schema": SCHEMA, "status": status, "error": error}))
    return folder


def test_a_retry_asks_for_more_of_what_was_not_enough(tmp_path):
    grows = Profile(hours=10.0, memory_gb=4.0, grow=1.5, max_hours=20.0)
    no_reason = {"type": "x"}
    folder = failed_before(tmp_path, ("out_of_memory", no_reason), ("out_of_memory", no_reason))
    assert ask_for(folder, grows, None) == Ask(10.0, 2.25)
    folder = failed_before(tmp_path / "2", *[("timed_out", no_reason)] * 2)
    assert ask_for(folder, grows, None) == Ask(20.0), "22.5 hours would be more than max_hours"
    folder = failed_before(tmp_path / "3", ("failed", no_reason))
    assert ask_for(folder, grows, None) == Ask(10.0)
    folder = failed_before(tmp_path / "4", ("failed", {"type": "NoWorkingGPU", "node": "n7"}))
    assert ask_for(folder, dataclasses.replace(grows, exclude=("n1",)), None) == Ask(10.0, 1.0, ("n1", "n7"))


@pytest.mark.parametrize(
    ("seconds", "hours"), [(None, 8.0), (60.0, 0.25), (450.0, 0.25), (500.0, 0.5), (7200.0, 4.0), (1e6, 24.0)]
)
def test_automatic_hours_are_twice_the_estimate_in_few_steps(seconds, hours):
    assert auto_hours(seconds, Profile(hours=AUTO_HOURS)) == hours


def test_runs_of_different_cost_go_into_arrays_with_their_own_hours(tmp_path):
    runs = [run for _, cell in select("toy/main", "quick", [0, 1]).cells() for run in cell.runs]
    jobs = [Job(run, folder_of(run, tmp_path)) for run in runs]
    seconds = {run.key: (3600.0 if run.dataset == "Noise16" else 30.0) for run in runs}
    texts = list(dry_run(jobs, Profile(hours=AUTO_HOURS), tmp_path, seconds))
    assert [text.count("#SBATCH --time=15") for text in texts] == [1, 0]
    assert [text.count("#SBATCH --time=120") for text in texts] == [0, 1]
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_a_node_without_a_working_gpu_ends_in_a_row_and_is_left_out_by_the_retry(site):
    """The devices of the test cluster are pretended, so every node is one whose driver does not work."""
    profile = Profile(gpus=1, gpu_type="a100", memory_gb=2.0)
    outcome = site.launch("toy/slow", [0], SETTINGS, profile)
    (folder,) = site.folders("toy/slow", [0], SETTINGS)
    assert outcome.ended == {folder: "failed"}, outcome
    row = read_row(folder / "row.json")
    assert row["error"]["type"] == "NoWorkingGPU" and row["error"]["node"] in ("n1", "n2")
    assert "has no working GPU" in row["error"]["message"] and row["device"] == "none"
    site.wait_for_end()  # a job that is ending still has its runs
    states.retry(folder)
    (text,) = dry_run(site.jobs("toy/slow", [0], SETTINGS), profile, site.folder)
    assert f"#SBATCH --exclude={row['error']['node']}\n" in text
    assert "#SBATCH --gpus-per-node=a100:1\n" in text


CONTAINER = """#!/bin/sh
# Stands for Apptainer: shows what it was asked, and takes Slurm's commands away as an image without them would.
echo "apptainer $*"
shift
while [ "$1" != image.sif ]; do shift; done
shift
export PATH={empty}
exec "$@"
"""


def test_a_profile_with_everything_on_other_host_names(site, tmp_path, monkeypatch):
    """Container, scratch, variables, mail, a typed GPU; the run is told to go once and is requeued from outside."""
    data, scratch, tools = tmp_path / "data", tmp_path / "scratch", tmp_path / "bin"
    for folder in (data / "noise", data / "other", tools, tmp_path / "empty"):
        folder.mkdir(parents=True)
    (data / "noise" / "train.bin").write_bytes(os.urandom(1000))
    (data / "other" / "big.bin").write_bytes(b"1")
    (tools / "apptainer").write_text(CONTAINER.format(empty=tmp_path / "empty"))
    (tools / "apptainer").chmod(0o755)
    gate = tmp_path / "gate"
    settings = {"epochs": "4", "gate": str(gate)}
    profile = Profile(
        gpus=1, gpu_type="a100", device="cpu", mem_per_cpu_gb=1.0, exclude=("n1",), mail="me@lab.example",
        container="image.sif", binds=("/data",), scratch=str(scratch), stage=("noise",),
        variables={"CONTRASTBENCH_DATA": str(data), "PATH": f"{tools}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert site.submit("toy/slow", [0], settings, profile).problems == {}
    (folder,) = site.folders("toy/slow", [0], settings)
    wait_until(lambda: at_gate(folder, 2), lambda: log_of(folder))
    claim = files.read_json(folder / "claim.1")
    assert claim["host"] == "n2-host" and states.state_of(folder).name == "running"
    (staged,) = scratch.glob("*/.staged.json")
    assert list(json.loads(staged.read_text())) == ["noise/train.bin"]
    site.cluster.command("scancel", "--signal=USR2", job_of_run(folder))
    wait_until(lambda: (folder / "claim.2").exists(), lambda: log_of(folder))
    gate.touch()
    site.wait_for_end()
    assert states.state_of(folder).name == "done", log_of(folder)
    assert f"apptainer exec --bind {site.folder},/data image.sif" in log_of(folder)
    wait_until(lambda: mails_to(site, "me@lab.example"), "the mail")
    (mail,) = mails_to(site, "me@lab.example")
    assert "contrastbench-has-ended" in mail


def log_of(folder):
    return "".join(path.read_text() for path in slurm_queue.job_logs(folder))
