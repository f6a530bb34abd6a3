"""Every way to disturb a run, on a real Slurm without accounting: nothing is lost and nothing doubled."""

import signal
from types import SimpleNamespace

from slurm_site import (
    PATIENCE_SECONDS,
    epochs_of,
    job_of_run,
    kill,
    results,
    task_of,
    undisturbed,
    wait_until,
    worker_of,
)

from contrastbench.runner import claims, states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.rows import read_row

SEEDS = range(8)
EPOCHS = 6


def test_every_way_to_disturb_a_run_loses_and_doubles_nothing(site, tmp_path, monkeypatch):
    """One test, since the faults need little time together and much one after the other."""
    story = eight_runs_with_a_fault_each(site, tmp_path)
    only_what_was_cancelled_had_to_be_started_again(story)
    for fault in ("worker_killed", "task_killed", "cancelled", "timed_out"):
        a_disturbed_run_goes_on_from_its_checkpoint(getattr(story, fault))
    preempted_runs_and_those_of_a_lost_node_are_requeued_by_slurm(story)
    expected = undisturbed(site, tmp_path, monkeypatch, "toy/slow", SEEDS, story.settings)
    assert results(site.folder) == expected, "lost, doubled or different"


def eight_runs_with_a_fault_each(site, tmp_path):
    """Eight runs, held in their middle epoch while each gets its fault; the front and the controller get theirs too."""
    cluster = site.cluster
    profile, gate = tmp_path / "one_gpu.toml", tmp_path / "gate"
    profile.write_text('device = "cpu"\n[sbatch]\ngpus_per_node = 1\ntime = 120\n')
    settings = {"epochs": str(EPOCHS), "seconds_per_epoch": "0.05", "gate": str(gate)}
    run = ["run", "toy/slow", "--seeds", "8", "--launcher", "slurm", "--profile", str(profile)]
    run += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    front = site.front(*run)
    folders = site.folders("toy/slow", SEEDS, settings)
    wait_until(lambda: all((folder / "queued.json").exists() for folder in folders), "the runs to be queued")
    kill(front.pid)
    front.wait()
    wait_until(lambda: all(is_at_gate(folder) for folder in folders), lambda: cluster.command("squeue"))
    by_node = {node: [f for f in folders if node_of(f) == node] for node in ("n1", "n2")}
    worker_killed, task_killed, cancelled, timed_out = by_node["n1"]
    told = SimpleNamespace(site=site, settings=settings, worker_killed=worker_killed, task_killed=task_killed)
    told.cancelled, told.timed_out = cancelled, timed_out
    kill(worker_of(worker_killed))
    cluster.command("scancel", "--signal=USR2", job_of_run(timed_out))  # what Slurm sends before the time limit
    kill(task_of(task_killed))
    cluster.command("scancel", job_of_run(cancelled))
    wait_until(lambda: not site.slurm_state(cancelled), "the cancelled job to leave the queue")
    told.state_when_gone, told.why_cancelled = state(cancelled), slurm_queue.why_it_ended(cancelled)
    cluster.command("sbatch", "--partition=urgent", "--nodelist=n2", "--gres=gpu:1", "--output=/dev/null", "--wrap=:")
    wait_until(lambda: any(stopped(folder) for folder in by_node["n2"]), "a preemption")
    told.preempted = [folder for folder in by_node["n2"] if stopped(folder)]
    for folder in told.preempted:  # a node that is lost while a job leaves it makes Slurm 22.05 forget the job's GPUs
        wait_until(lambda: site.slurm_state(folder) == "PENDING", "the preempted job to be back in the queue")  # noqa: B023
    cluster.kill_node("n2")
    told.on_lost_node = [folder for folder in by_node["n2"] if folder not in told.preempted]
    cluster.start_node("n2")
    # One that is killed forgets what it has not saved yet and finds out a minute later; see the hundred faults.
    cluster.restart_controller(seconds_down=1, number=signal.SIGTERM)
    gate.touch()
    site.wait_for_end()
    told.states_after = {folder: state(folder) for folder in folders}
    told.second_front, _ = (again := site.front(*run)).communicate(timeout=PATIENCE_SECONDS)
    told.second_code = again.returncode
    return told


def is_at_gate(folder):
    return epochs_of(folder) == EPOCHS // 2 and worker_of(folder) is not None


def node_of(folder):
    """The node that the run's last line was written on."""
    text = (folder / "metrics.jsonl").read_text()
    return text.rpartition('"SLURMD_NODENAME": "')[2].partition('"')[0]


def state(folder):
    return states.state_of(folder, slurm_queue.still_queued()).name


def stopped(folder):
    """Begun, not finished, and nobody works on it now."""
    claim = claims.latest(folder)
    return claim is not None and not claim.is_alive() and not (folder / "row.json").exists()


def only_what_was_cancelled_had_to_be_started_again(story):
    assert story.state_when_gone == "killed", "without accounting, what has left the queue without a row"
    assert "(CANCELLED)" in story.why_cancelled
    again = {folder for folder, name in story.states_after.items() if name != "done"}
    assert again == {story.cancelled}
    assert "1 to start" in story.second_front and story.second_code == 0, story.second_front


def a_disturbed_run_goes_on_from_its_checkpoint(folder):
    row = read_row(folder / "row.json")
    assert row["attempt"] == 2 and row["resumes"] == 1
    assert epochs_of(folder) == EPOCHS


def preempted_runs_and_those_of_a_lost_node_are_requeued_by_slurm(story):
    assert len(story.preempted) >= 1 and len(story.on_lost_node) >= 2
    for folder in {*story.preempted, *story.on_lost_node}:
        assert read_row(folder / "row.json")["resumes"] >= 1
