"""Every way to disturb a run, on a real Slurm without accounting: nothing is lost, nothing doubled, all bit for bit."""

import signal
import sys
import threading
from types import SimpleNamespace

import lab
import psutil
import pytest

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.profiles import Profile

PROFILE = 'device = "cpu"\n[sbatch]\ngpus_per_node = 1\ntime = 120'
# The task believes in a limit of 2 minutes, told 100 s before, so that every signal counts as the time limit; Slurm
# knows of an hour and sends none of its own. Two attempts, then no more.
SHORT = lab.asking({"time": 2, "signal_delay_s": 100, "additional_parameters": {"time": 60}}, attempts=2)
WAITS = '#!/bin/sh\necho waits >&2\nwhile [ ! -e {go} ]; do sleep 0.1; done\nexec {python} "$@"\n'


def test_every_way_to_disturb_a_run_loses_and_doubles_nothing(site, tmp_path, monkeypatch):
    """One test, since the faults need little time together and much one after the other."""
    story = eight_runs_with_a_fault_each(site, tmp_path)
    again = {folder for folder, name in story.states_after.items() if name != "done"}
    assert again == {story.cancelled}, "".join(map(lab.log_of, again))
    assert story.states_when_cancelled.count("killed") == 1, "without accounting: it left the queue without a row"
    assert "(CANCELLED)" in story.why and "1 to start" in story.said and story.code == 0, story.said
    assert len(story.preempted) >= 1 and len(story.on_lost_node) >= 2
    assert all(lab.row_of(folder)["resumes"] >= 1 for folder in story.states_after)
    assert lab.results(site.folder) == lab.undisturbed(site, tmp_path, monkeypatch, *story.what)


def eight_runs_with_a_fault_each(site, tmp_path):
    """Eight runs, held in their middle epoch while each gets its fault; the front and the controller get theirs too."""
    cluster, gate = site.cluster, tmp_path / "gate"
    settings = {"epochs": "6", "seconds_per_epoch": "0.05", "gate": str(gate)}
    story = SimpleNamespace(what=("toy/slow", range(8), settings))
    run = ["run", "toy/slow", "--seeds", "8"]
    run += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    front, folders = site.front(*run, profile=PROFILE), site.folders(*story.what)
    lab.wait_until(lambda: len(slurm_queue.read_queue() or ()) == 8, "the runs to be queued")
    front.kill()
    front.wait()
    lab.wait_until(lambda: all(lab.at_gate(folder, 3) for folder in folders), lambda: site.squeue("%i %T"))
    (worker_killed, task_killed, story.cancelled, told), on_n2 = (
        [folder for folder in folders if site.squeue("%N", folder) == node] for node in ("n1", "n2")
    )
    lab.worker_of(worker_killed).kill()
    lab.worker_of(task_killed).parent().kill()
    cluster.command("scancel", "--signal=USR2", lab.job_of(told))  # what Slurm sends before the time limit
    cluster.command("scancel", lab.job_of(story.cancelled))
    lab.wait_until(lambda: not site.squeue("%T", story.cancelled), "the cancelled job to leave the queue")
    story.states_when_cancelled, story.why = site.states(*story.what), slurm_queue.why_it_ended(story.cancelled)
    lab.preempt(cluster, "n2", gpus=1)
    story.preempted = lab.wait_until(lambda: [f for f in on_n2 if site.squeue("%T", f) != "RUNNING"], "a preemption")
    for folder in story.preempted:  # a node that is lost while a job leaves it makes Slurm 22.05 forget the job's GPUs
        lab.wait_until(lambda: site.squeue("%T", folder) == "PENDING", "the job to be back in the queue")  # noqa: B023
    cluster.kill_node("n2")
    story.on_lost_node = [folder for folder in on_n2 if folder not in story.preempted]
    cluster.start_node("n2")
    rest = [folder for folder in folders if folder != story.cancelled]
    lab.wait_until(lambda: all(lab.at_gate(folder, 3) for folder in rest), lambda: site.squeue("%i %T %r"))
    # Slurm misses for half an hour a job that ends while no controller is there, so all wait at their gate. One that is
    # killed forgets what it has not saved yet and finds out a minute later; see the hundred faults.
    cluster.restart_controller(seconds_down=1, number=signal.SIGTERM)
    gate.touch()
    site.wait_for_end()
    story.states_after = dict(zip(folders, site.states(*story.what), strict=True))
    story.said, story.code = site.say(*run, profile=PROFILE)
    return story


def test_runs_that_are_told_to_go_early_or_too_often(site, tmp_path, monkeypatch):
    """Signals before Python is ready, one task of an array, SIGTERM alone, and a time limit that is met twice."""
    go, python = tmp_path / "go", tmp_path / "python"
    python.write_text(WAITS.format(go=go, python=sys.executable))
    python.chmod(0o755)
    what = ("toy/slow", range(7), {"epochs": "4", "gate": str(tmp_path / "gate")})
    jobs, folders = site.jobs(*what), site.folders(*what)
    early, term, limited, array = folders[:2], folders[2], folders[3], folders[4:]
    for some, profile in ((jobs[:2], lab.asking(container=str(python))), (jobs[2:3], lab.ONE_GPU), (jobs[3:4], SHORT)):
        site.submit(some, profile)
    site.submit(jobs[4:])
    lab.wait_until(lambda: all("waits" in lab.log_of(folder) for folder in early), "the interpreter to be called")
    lab.wait_until(lambda: all(lab.at_gate(folder) for folder in folders[2:]), lambda: site.squeue("%i %T %r"))
    # In one task of each array SLURM_JOB_ID is the array's own number, which stands for all of its tasks.
    (carrier,) = (each for each in array if site.squeue("%A", each) == lab.job_of(each).partition("_")[0])
    told = {early[0]: "USR2", early[1]: "TERM", term: "TERM", limited: "USR2", carrier: "USR2"}
    for folder, number in told.items():
        site.cluster.command("scancel", f"--signal={number}", lab.job_of(folder))
    lab.wait_until(lambda: all(restarts(site, folder) == 1 for folder in told), lambda: site.squeue("%i %T %r"))
    assert [restarts(site, folder) for folder in array] == [int(folder == carrier) for folder in array]
    go.touch()
    lab.wait_until(lambda: (limited / "claim.2").exists() and lab.at_gate(limited), "it to wait at the gate again")
    site.cluster.command("scancel", "--signal=USR2", lab.job_of(limited))
    lab.wait_until((limited / "row.json").exists, "its row")
    (tmp_path / "gate").touch()
    site.wait_for_end()
    row = lab.row_of(limited)
    assert row["status"] == "timed_out" and row["attempt"] == 2
    assert row["error"]["message"].startswith("not finished in 2 tasks of 2 minutes")
    assert [lab.row_of(folder)["attempt"] for folder in (*early, term)] == [1, 1, 2]
    states.put_back(limited, "failed")
    assert (limited / "checkpoint.pt").exists(), "it only needs more time"
    assert site.launch(site.jobs(*what)).ended == {limited: "done"}
    assert lab.results(site.folder) == lab.undisturbed(site, tmp_path, monkeypatch, *what)


def restarts(site, folder):
    told = site.cluster.command("scontrol", "show", "job", lab.job_of(folder))
    return int(told.partition("Restarts=")[2].split()[0])


def test_a_job_that_slurm_takes_away_and_does_not_put_back_is_submitted_again(site, tmp_path, monkeypatch):
    """Preempted by cancelling, where no requeue is allowed."""
    what, seen, outcomes = ("toy/slow", [0], {"epochs": "4", "gate": str(tmp_path / "gate")}), [], []
    (folder,), jobs = site.folders(*what), site.jobs(*what)
    cheap = lab.asking({"gpus_per_node": 4, "partition": "cheap"})
    front = threading.Thread(target=lambda: outcomes.append(site.launch(jobs, cheap, seen)), daemon=True)
    front.start()
    lab.wait_until(lambda: lab.at_gate(folder), "the run to begin")
    first, node = lab.job_of(folder), site.squeue("%N", folder)
    site.cluster.command("scontrol", "update", f"JobId={first}", "Requeue=0")
    lab.preempt(site.cluster, node, gpus=4)
    lab.wait_until(lambda: lab.job_of(folder) != first or site.squeue("%T", folder) != "RUNNING", "the preemption")
    (tmp_path / "gate").touch()
    front.join(lab.PATIENCE_SECONDS)
    assert outcomes[0].ended == {folder: "done"} and lab.job_of(folder) != first
    assert any("was taken away by Slurm" in event.get("problem", "") for event in seen)
    assert lab.results(site.folder) == lab.undisturbed(site, tmp_path, monkeypatch, *what)


def test_a_job_that_is_killed_again_and_again_is_given_up_after_its_attempts(site, tmp_path):
    """A Python that dies of SIGKILL: begun three times."""
    dying, (job,) = tmp_path / "python", site.jobs("toy/slow", [0])
    dying.write_text("#!/bin/sh\necho begins >&2\nkill -9 $$\n")
    dying.chmod(0o755)
    outcome = site.launch([job], lab.asking(container=str(dying), attempts=2))
    assert "(FAILED)" in outcome.problems[job.folder] and lab.log_of(job.folder).count("begins") == 3, outcome


@pytest.mark.slow
def test_a_real_time_limit_is_survived(site, tmp_path, monkeypatch):
    """More than a minute of work under a limit of one, told 30 s before its end: saved, requeued, finished, equal."""
    what = ("toy/slow", range(2), {"epochs": "75", "seconds_per_epoch": "1.0"})
    assert site.launch(site.jobs(*what), lab.asking({"time": 1, "signal_delay_s": 30}, attempts=20)).problems == {}
    assert all(lab.row_of(folder)["resumes"] >= 1 for folder in site.folders(*what))
    assert lab.results(site.folder) == lab.undisturbed(site, tmp_path, monkeypatch, *what)


@pytest.fixture(scope="module")
def strict():
    """A cluster that holds jobs to the memory they ask for, whose nodes have host names of their own."""
    with lab.running_cluster(nodes=2, gpus=2, gpu_type="a100", hostnames=True, memory_limits=True) as cluster:
        yield cluster


@pytest.mark.parametrize("whole_step", [False, True], ids=["the run", "the whole step, twice"])
def test_a_run_killed_for_its_memory_gets_a_row_and_its_neighbours_go_on(strict, tmp_path, whole_step):
    """Later versions of Slurm may kill the step with the run: here the task is stopped first, and killed after it."""
    site, gate, greed = lab.Site(strict, tmp_path / "runs"), tmp_path / "gate", tmp_path / "greed"
    greedy_settings = {"epochs": "4", "fail_at": "3", "failure": "hoard", "gate": str(greed)}
    (greedy,) = site.jobs("toy/slow", [0], greedy_settings)
    others = site.jobs("toy/slow", range(1, 4), {"epochs": "4", "gate": str(gate)})
    site.submit([greedy, *others], Profile("packed", {"cpus_per_task": 2, "mem": "1200M", "time": 60}, runs_per_task=4))
    lab.wait_until(lambda: lab.at_gate(greedy.folder) and lab.at_gate(others[0].folder), "two runs to begin")
    for attempt in (1, 2) if whole_step else ():
        lab.wait_until((greedy.folder / f"claim.{attempt}").exists, "the greedy one to begin")
        worker = lab.worker_of(greedy.folder)
        (task := worker.parent()).suspend()
        greed.touch()
        lab.wait_until(lambda: worker.status() == psutil.STATUS_ZOMBIE, "the kernel to kill the run")  # noqa: B023
        task.kill()
    greed.touch()
    lab.wait_until((greedy.folder / "row.json").exists, lambda: lab.log_of(greedy.folder))
    gate.touch()
    site.wait_for_end()
    row = lab.row_of(greedy.folder)
    assert row["status"] == "out_of_memory" and row["attempt"] == 1 + whole_step
    assert "limit of 1.3 GB was reached" in row["error"]["message"]
    assert [lab.row_of(job.folder)["status"] for job in others] == ["done"] * 3


def test_a_node_without_a_working_gpu_becomes_a_row_that_names_it(strict, tmp_path):
    """The devices of the test cluster are pretended, so every node is one whose driver does not work."""
    site = lab.Site(strict, tmp_path / "runs")
    (job,) = site.jobs("toy/slow", [0])
    profile = lab.asking({"gpus_per_node": "a100:1", "mem": "2GB"}, device="cuda")
    assert site.launch([job], profile).ended == {job.folder: "failed"}
    row = lab.row_of(job.folder)
    assert row["error"]["type"] == "NoWorkingGPU" and row["error"]["node"] in ("n1", "n2") and row["device"] == "none"
    assert f'exclude = "{row["error"]["node"]}"' in row["error"]["message"]
