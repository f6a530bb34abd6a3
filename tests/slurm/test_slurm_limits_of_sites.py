"""A site with other limits: few jobs at a time, control groups for memory, host names of their own, typed GPUs."""

import dataclasses
import json
import os

import pytest
from slurm_site import Site, at_gate, job_of_run, running_cluster, wait_until

from contrastbench import papers
from contrastbench.runner import files, states
from contrastbench.runner.execute import folder_of, write_ticket
from contrastbench.runner.launchers import Job, slurm_queue
from contrastbench.runner.launchers.slurm_arrays import Array, Submitter, dry_run, is_no_room, lanes_of
from contrastbench.runner.launchers.slurm_script import Ask, ask_for, auto_hours
from contrastbench.runner.profiles import AUTO_HOURS, Profile
from contrastbench.runner.rows import SCHEMA, read_row, sealed, write_row

SETTINGS = {"epochs": "1", "size": "2"}


@pytest.fixture(scope="module")
def other_site(tmp_path_factory):
    """MaxArraySize=5, eight jobs in the whole queue, memory limits, host names of the nodes' own, GPUs with a type."""
    options = {"max_array_size": 5, "max_job_count": 8, "gpu_type": "a100", "hostnames": True, "memory_limits": True}
    with running_cluster(nodes=2, gpus=2, **options) as cluster:
        yield cluster


@pytest.fixture
def site(other_site, tmp_path):
    other_site.wait_idle()
    yield Site(other_site, tmp_path / "runs")
    other_site.command("scancel", "--user=root", check=False)


def test_the_queue_is_filled_batch_by_batch_and_never_wider_than_was_asked(site):
    """Twelve tasks, room for eight jobs (fewer while others end), arrays of five, three at a time."""
    narrow = Profile(array_parallelism=3, memory_gb=1.0)
    outcome = site.launch("toy/many", range(12), SETTINGS, narrow)
    assert outcome.problems == {} and set(outcome.ended.values()) == {"done"} and len(outcome.ended) == 12
    times = [(row["started"], row["finished"]) for row in rows_of(site)]
    at_once = max(sum(begin < moment < end for begin, end in spans(site)) for moment, _ in spans(site))
    assert at_once <= 3, times


def spans(site):
    """When each run was at work: from its claim to its row."""
    return [
        ((path.parent / "claim.1").stat().st_mtime, path.stat().st_mtime) for path in site.folder.glob("toy/*/row.json")
    ]


def rows_of(site):
    return [read_row(path) for path in site.folder.glob("toy/*/row.json")]


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


def test_a_run_killed_for_its_memory_gets_a_row_and_its_neighbours_go_on_alone(site):
    """Three runs share a task of 1.2 GB; one of them takes all the memory there is."""
    hoard = papers.with_settings(
        papers.select("toy/slow").cells("quick", [0]), {"epochs": "3", "fail_at": "1", "failure": "hoard"}
    )
    ((_, cell),) = hoard
    folder = write_ticket(cell.runs[0], site.folder, [])
    jobs = [Job(cell.runs[0], folder), *site.jobs("toy/slow", range(1, 4), {"epochs": "8", "seconds_per_epoch": "0.3"})]
    packed = Profile(name="packed", cpus=2, runs_per_task=4, memory_gb=1.2)
    submitter = Submitter(jobs, packed, site.folder)
    submitter.fill()
    assert submitter.problems == {}
    site.wait_for_end(150)
    row = read_row(folder / "row.json")
    assert row["status"] == "out_of_memory" and "limit of 1.3 GB was reached" in row["error"]["message"]
    others = [job.folder for job in jobs[1:]]
    assert [states.state_of(each).name for each in others] == ["done"] * 3
    spans_after = sorted(spans_of(each) for each in others if spans_of(each)[0] > (folder / "row.json").stat().st_mtime)
    assert len(spans_after) >= 2, "the runs that began after the kill"
    assert all(end <= begin for (_, end), (begin, _) in zip(spans_after, spans_after[1:], strict=False))


def spans_of(folder):
    return (folder / "claim.1").stat().st_mtime, (folder / "row.json").stat().st_mtime


def failed_before(tmp_path, *errors):
    """A run's folder with rows of failed attempts."""
    ((_, cell),) = papers.select("toy/slow").cells("quick", [0])
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
    runs = [run for _, cell in papers.select("toy/main").cells("quick", [0, 1]) for run in cell.runs]
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
    submitter = Submitter(site.jobs("toy/slow", [0], settings), profile, site.folder)
    submitter.fill()
    (folder,) = site.folders("toy/slow", [0], settings)
    assert submitter.problems == {}
    wait_until(lambda: at_gate(folder, 2), 90, lambda: log_of(folder))
    claim = files.read_json(folder / "claim.1")
    assert claim["host"] == "n2-host" and states.state_of(folder).name == "running"
    (staged,) = scratch.glob("*/.staged.json")
    assert list(json.loads(staged.read_text())) == ["noise/train.bin"]
    site.cluster.command("scancel", "--signal=USR2", job_of_run(folder))
    wait_until(lambda: (folder / "claim.2").exists(), 90, lambda: log_of(folder))
    gate.touch()
    site.wait_for_end()
    assert states.state_of(folder).name == "done", log_of(folder)
    assert f"apptainer exec --bind {site.folder},/data image.sif" in log_of(folder)
    mails = site.cluster.folder / "mails.log"
    wait_until(mails.exists, 30, "the mail")
    assert "contrastbench-has-ended" in mails.read_text() and "me@lab.example" in mails.read_text()
    assert len(mails.read_text().splitlines()) == 1


def log_of(folder):
    return "".join(path.read_text() for path in slurm_queue.job_logs(folder))
