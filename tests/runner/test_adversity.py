"""A thousand runs, many writers, a full disk, a read-only folder, a clock that jumps, two fronts at once."""

import contextlib
import os
import subprocess
import sys
import threading
import time

import psutil
import pytest

from contrastbench.runner import claims, files, states
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.launchers import local
from contrastbench.runner.rows import read_row, result_of

OVERHEAD_SECONDS = 0.05
AT_WORK = """
import sys
from pathlib import Path
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
for folder in sys.argv[1:]:
    print(execute(Path(folder), Host()))
"""


@pytest.mark.slow
def test_a_thousand_short_runs_cost_less_than_50_ms_each_and_no_memory(bench):
    jobs = bench.jobs("toy/many")
    assert len(jobs) == 1000
    memory, sizes = psutil.Process(), []
    began = time.monotonic()
    first: list[float] = []

    def watch(job, event):
        first.append(time.monotonic()) if not first else None
        if "status" in event:
            sizes.append(memory.memory_info().rss)

    outcome = local.launch(jobs, [Host(launcher="local")], watch=watch)
    seconds = (time.monotonic() - first[0]) / len(jobs)
    print(
        f"\n{1e3 * seconds:.1f} ms a run, {first[0] - began:.1f} s until the first, {growth(sizes):.1f} MB more memory"
    )
    assert set(outcome.ended.values()) == {"done"} and len(outcome.ended) == 1000
    assert seconds < OVERHEAD_SECONDS * crowding()
    assert growth(sizes) < 10


def growth(sizes):
    """MB that the front command grew by from its 100th to its last run."""
    return (max(sizes[-100:]) - max(sizes[:100])) / 1e6


def crowding():
    """How many processes want each core: what a wall-clock time is stretched by; 1 on an idle machine."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.slow
def test_four_writers_on_one_folder_write_each_row_once(bench, tmp_path):
    folders = [str(job.folder) for job in bench.jobs("toy/main")]
    quiet = type(bench)(tmp_path / "quiet")
    quiet.run_inline("toy/main")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", AT_WORK, *folders[at:], *folders[:at]], stdout=subprocess.PIPE, text=True
        )
        for at in range(4)
    ]
    said = [writer.communicate()[0].split() for writer in writers]
    assert all(writer.returncode == 0 for writer in writers)
    assert set(sum(said, [])) <= {"done", "taken"}
    claimed = [path.name for path in bench.folder.glob("toy/*/claim.*")]
    assert claimed == ["claim.1"] * len(folders), "a run was done twice"
    assert same(bench.rows("toy/main"), quiet.rows("toy/main"))


def same(rows, others):
    return {k: result_of(row) for k, row in rows.items()} == {k: result_of(row) for k, row in others.items()}


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of its own; yields a function that remounts it with other options."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small disk needs root: {mounted.stderr.decode().strip()}")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_named_and_loses_nothing(bench, tmp_path):
    quiet = type(bench)(tmp_path / "quiet")
    quiet.run_inline("toy/main")
    with small_disk(bench.folder, "256k") as remount:
        process = front(bench, "run", "toy/main", "--launcher", "inline")
        said, complaint = process.communicate(timeout=240)
        assert process.returncode != 0
        said = " ".join((said + complaint).lower().split())
        assert "no space left on device" in said and "traceback" not in said
        early = bench.rows("toy/main")
        assert len(early) < 12, "the disk was not full"
        assert all(row["status"] == "done" or "No space" in row["error"]["message"] for row in early.values())
        remount("size=16m")
        for folder in bench.folder.glob("toy/*"):
            if states.state_of(folder).name in states.FAILURES:
                states.put_back(folder, "failed")
        bench.run_inline("toy/main")
        assert same(bench.rows("toy/main"), quiet.rows("toy/main"))


def front(bench, *arguments):
    command = [sys.executable, "-m", "contrastbench.cli", "--runs", str(bench.folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_full_disk_ends_the_front_command_in_one_line_and_the_same_command_goes_on(bench):
    with small_disk(bench.folder, "200k") as remount:
        process = front(bench, "run", "toy/main")
        said, complaint = process.communicate(timeout=240)
        assert process.returncode == 2 and "failed" not in said
        assert complaint.strip().splitlines()[-1].endswith("no space left on device") and "Traceback" not in complaint
        remount("size=16m")
        assert "now: 12 done" in front(bench, "run", "toy/main").communicate(timeout=240)[0]


def test_a_read_only_runs_folder_is_told_in_one_line(bench):
    with small_disk(bench.folder, "1m") as remount:
        remount("ro")
        process = front(bench, "run", "toy/main")
        said, complaint = process.communicate(timeout=240)
        assert process.returncode == 2
        assert "read-only file system" in complaint and str(bench.folder) in complaint.replace("\n", "")
        assert "Traceback" not in complaint + said


def test_two_front_commands_with_the_same_plan_lose_and_double_nothing(bench):
    settings = {"seconds_per_epoch": "0.05"}
    arguments = ["run", "toy/main", "--set", "seconds_per_epoch=0.05"]
    fronts = [front(bench, *arguments) for _ in range(2)]
    said = [process.communicate(timeout=240) for process in fronts]
    assert not any("Traceback" in complaint for _, complaint in said)
    third = front(bench, *arguments)
    assert "0 to start" in third.communicate(timeout=240)[0]
    assert bench.states("toy/main", None, settings) == ["done"] * 12
    assert [path.name for path in bench.folder.glob("toy/*/claim.*")] == ["claim.1"] * 12


def claim_from_elsewhere(folder):
    """A claim of a worker on another machine, that has just beaten once."""
    claim = claims.take(folder, 0, launcher="slurm", job="1")
    owner = {**claim.owner, "host": "elsewhere", "boot": "another"}
    files.write_json(folder / "claim.1", owner)
    files.write_text(claim.heartbeat, "{}\n")
    return claims.latest(folder)


def test_a_clock_that_jumps_back_neither_keeps_the_dead_alive_nor_kills_the_living(tmp_path):
    claim = claim_from_elsewhere(tmp_path)
    assert claim.is_alive()
    future = time.time() + 3600  # what the last beat says after the clock went back by an hour
    os.utime(claim.heartbeat, (future, future))
    assert not claim.is_alive()
    files.write_text(claim.heartbeat, "{}\n")  # its next beat, in the new time
    assert claim.is_alive()


@pytest.mark.parametrize("step", [3600.0, -3600.0, 1.5, -1.5])
def test_a_clock_that_somebody_sets_makes_no_live_worker_dead_and_no_dead_one_alive(tmp_path, monkeypatch, step):
    """psutil counts a process's start from the time at which the machine was started, which moves with the clock."""
    claims.take(tmp_path, 0)
    ended = subprocess.Popen([sys.executable, "-c", TAKE, str(tmp_path)])
    assert ended.wait() == 0
    real_time, real_start = time.time, psutil.Process.create_time
    monkeypatch.setattr(time, "time", lambda: real_time() + step)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: real_start(process) + step)
    mine, other = (claims.Claim(number, files.read_json(tmp_path / f"claim.{number}"), tmp_path) for number in (1, 2))
    assert mine.is_alive() and not other.is_alive()


TAKE = """
import sys
from pathlib import Path
from contrastbench.runner import claims
claims.take(Path(sys.argv[1]), 1)
"""


@pytest.mark.parametrize("beats", [True, False], ids=["a live worker", "a dead worker"])
def test_a_run_elsewhere_whose_last_beat_looks_old_is_taken_only_if_no_other_beat_comes(bench, beats, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.5)
    folder = bench.jobs("toy/main", seeds=[0])[0].folder
    claim = claim_from_elsewhere(folder)
    os.utime(claim.heartbeat, (0, 0))  # as after a clock was set forward
    states.mark_queued(folder, launcher="local")  # as a launcher does
    beat = threading.Timer(0.3, lambda: files.write_text(claim.heartbeat, "{}\n") if beats else None)
    beat.start()
    assert execute(folder, Host()) == ("taken" if beats else "done")


def test_a_run_during_which_the_clock_jumps_back_ends_as_always(bench, tmp_path, monkeypatch):
    quiet = type(bench)(tmp_path / "quiet")
    quiet.run_inline("toy/main", seeds=[0])
    real, calls = time.time, []
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * len(calls.append(0) or calls))
    for job in bench.jobs("toy/main", seeds=[0]):
        assert execute(job.folder, Host()) == "done"
        assert read_row(job.folder / "row.json")["seconds"] >= 0
    monkeypatch.undo()
    assert calls and same(bench.rows("toy/main", seeds=[0]), quiet.rows("toy/main", seeds=[0]))
