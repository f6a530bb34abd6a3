"""One damaged file stops one run and not the command; signals save what is at work."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from contrastbench.runner import claims, files, states
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.rows import read_row, seal, write_row
from contrastbench.runner.states import run_of


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b'{"host": '], ids=["empty", "list", "number", "cut off"])
def test_a_damaged_claim_counts_as_nobodys_and_the_run_is_done(bench, content):
    first, second = bench.jobs("toy/main", seeds=[0])[:2]
    (first.folder / "claim.1").write_bytes(content)
    past = time.time() - 1000
    os.utime(first.folder / "claim.1", (past, past))
    assert states.state_of(first.folder).name == "killed"
    assert [execute(job.folder, Host()) for job in (first, second)] == ["done", "done"]
    assert (first.folder / "claim.2").exists()


def test_the_row_of_another_run_does_not_count(bench):
    first, second = bench.jobs("toy/main", seeds=[0])[:2]
    execute(first.folder, Host())
    (second.folder / "row.json").write_bytes((first.folder / "row.json").read_bytes())
    state = states.state_of(second.folder)
    assert state.name == "killed"
    assert state.problem.endswith(f"row.json is the row of run {first.run.key[:12]}; remove it")
    assert execute(second.folder, Host()) == "done"
    assert read_row(second.folder / "row.json")["key"] == second.run.key


def test_a_file_where_a_run_folder_should_be_is_named(bench):
    folder = bench.jobs("toy/main", seeds=[0])[0].folder
    (folder / "config.json").unlink()
    folder.rmdir()
    folder.write_text("in the way")
    state = states.state_of(folder)
    assert state.problem == f"{folder} cannot be read: not a directory"


def test_a_folder_that_nobody_may_read_is_named_and_the_other_runs_go_on(bench):
    without_roots_powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    if without_roots_powers and not shutil.which("setpriv"):
        pytest.skip("root may read everything, and no setpriv is here to take that from it")
    folder = bench.jobs("toy/main", seeds=[0])[0].folder
    folder.chmod(0)
    command = [sys.executable, "-m", "contrastbench.cli", "--runs", str(bench.folder), "run", "toy/main"]
    told = subprocess.run(
        [*without_roots_powers, *command, "--seeds", "1", "--launcher", "inline"], capture_output=True, text=True
    )
    folder.chmod(0o700)
    assert told.returncode == 1
    assert told.stderr.splitlines() == [
        f"error: {folder} cannot be read: permission denied",
        f"error: {folder / 'config.json'}: permission denied; the other runs go on",
    ]
    assert told.stdout.splitlines()[-1] == "now: 3 done, 1 killed"


def test_a_run_is_what_its_ticket_says(bench):
    for table in ("toy/main", "toy/chain"):
        for job in bench.jobs(table, seeds=[0]):
            again = run_of(job.folder)
            assert (again.key, again.method, again.dataset) == (job.run.key, job.run.method, job.run.dataset)


def test_a_damaged_checkpoint_starts_the_run_again_and_says_so(bench):
    folder = bench.jobs("toy/main", seeds=[0])[0].folder
    (folder / "checkpoint.pt").write_bytes(b"not a checkpoint")
    said = []
    assert execute(folder, Host(), watch=said.append) == "done"
    assert "checkpoint.pt is damaged" in said[0]["note"] and said[0]["note"].endswith("the run starts again")
    assert "the run starts again" in (folder / "log.txt").read_text()
    assert (folder / "checkpoint.damaged.pt").read_bytes() == b"not a checkpoint"


def test_machines_whose_clocks_differ_agree_on_who_lives(tmp_path, monkeypatch):
    claim = claims.take(tmp_path, 0)
    files.write_json(tmp_path / "claim.1", {**claim.owner, "host": "elsewhere", "boot": "another"})
    files.write_text(claim.heartbeat, "{}\n")
    for skew in (3600.0, -3600.0):
        real = time.time
        with monkeypatch.context() as here:
            here.setattr(time, "time", lambda real=real, skew=skew: real() + skew)
            assert claims.latest(tmp_path).is_alive()


def test_a_full_disk_ends_the_run_and_not_as_its_failure(bench, monkeypatch):
    folder = bench.jobs("toy/main", seeds=[0])[0].folder
    real = files.write_whole

    def full(path, *arguments, **options):
        if path.name == "checkpoint.pt":
            raise OSError(28, "No space left on device")
        real(path, *arguments, **options)

    monkeypatch.setattr(files, "write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        execute(folder, Host())
    assert not (folder / "row.json").exists()


def wait_for(path_of, seconds=240):
    until = time.monotonic() + seconds
    while not (found := list(path_of())):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)
    return found[0]


@pytest.mark.parametrize(
    ("launcher", "number", "code"),
    [("local", signal.SIGINT, 130), ("inline", signal.SIGTERM, 143), ("local", signal.SIGTERM, 143)],
    ids=["Ctrl-C", "SIGTERM inline", "SIGTERM"],
)
def test_a_signal_ends_the_command_with_its_runs_saved(bench, launcher, number, code):
    command = [
        sys.executable,
        "-m",
        "contrastbench.cli",
        "--runs",
        str(bench.folder),
        "run",
        "toy/slow",
        "--seeds",
        "1",
    ]
    front = subprocess.Popen(
        [*command, "--launcher", launcher, "--set", "epochs=400", "--set", "checkpoint_seconds=1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: bench.folder.glob("toy/*/metrics.jsonl"))
    asked = time.monotonic()
    front.send_signal(number)
    _, complaint = front.communicate(timeout=240)
    assert time.monotonic() - asked < 40  # of the 100 s that the run would take
    assert front.returncode == code
    assert complaint.strip().splitlines()[-1] == "stopped; nothing is lost, the same command goes on"
    folder = wait_for(lambda: bench.folder.glob("toy/*/checkpoint.pt")).parent
    assert states.state_of(folder).name == "killed"
    assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["epoch"] == 0


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a list": lambda path: path.write_bytes(b"[]"),
    "null": lambda path: path.write_bytes(b"null"),
    "no fields": lambda path: path.write_bytes(b"{}"),
    "other types": lambda path: path.write_bytes(OTHER_TYPES.encode()),
    "other bytes": lambda path: path.write_bytes(bytes(range(255, -1, -1)) * 20),
    "too deep": lambda path: path.write_bytes(b"[" * 100_000),
    "a folder": lambda path: (path.unlink(), path.mkdir(), (path / "inside").touch()),
    "a link to nothing": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}
OTHER_TYPES = json.dumps(
    dict.fromkeys(("key", "paper", "stage", "config", "needs", "cells", "dataset", "method", "config_type"), [3])
    | dict.fromkeys(("host", "boot", "namespace", "loss", "error"), [None])
    | {
        "pid": "self",
        "start": None,
        "epoch": "x",
        "schema": 1,
        "status": 7,
        "launcher": "local",
        "submission": 3,
        "task": {},
    }
)
OF_A_KILLED_RUN = ("config.json", "claim.1", "heartbeat.1", "metrics.jsonl", "log.txt", "code.json", "checkpoint.pt")
OF_A_DONE_RUN = ("row.json", "artefact.pt", "config.json", "failed.0.json")
CASES = [
    *((name, damage, "killed") for name in (*OF_A_KILLED_RUN, "queued.json") for damage in DAMAGES),
    *((name, damage, "done") for name in OF_A_DONE_RUN for damage in DAMAGES),
]


@pytest.fixture
def damaged(bench, monkeypatch, tmp_path):
    """A run for each case, with its damage; ten sound ones come after them."""

    def interrupt(line):
        if "epoch" in line:
            raise KeyboardInterrupt

    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.05)
    (tmp_path / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(tmp_path))  # a machine without Slurm
    jobs, damaged = bench.jobs("toy/many", range(len(CASES) + 10)), {}
    for case, job in zip(CASES, jobs, strict=False):
        name, damage, state = case
        with contextlib.suppress(KeyboardInterrupt):
            execute(job.folder, Host(), watch=interrupt if state == "killed" else lambda line: None)
        for path in (job.folder / name for name in ("claim.1", "heartbeat.1", "queued.json")):  # of a dead process
            files.write_json(path, {"host": "elsewhere", "launcher": "local"}, sync=False)
            os.utime(path, (0, 0))
        if state == "killed":
            torch.save({"epoch": 0, "parts": {}}, job.folder / "checkpoint.pt")
        else:
            shutil.copy(job.folder / "row.json", job.folder / "failed.0.json")
            (job.folder / "claim.x").touch()
        DAMAGES[damage](job.folder / name)
        damaged[job.folder] = case
    return damaged


def test_every_damage_of_every_file_of_a_run_folder_stays_with_that_run(bench, damaged):
    seeds = len(CASES) + 10
    target = ("toy/many", "--seeds", str(seeds))
    for command in (("plan", *target), ("status", *target), ("results", "toy/many"), ("table", "toy/many")):
        assert bench.command(*command).returncode == 0, command
    told = bench.command("logs", *target)
    shown = {line.partition(": ")[0].rpartition("/")[2] for line in told.stdout.splitlines()}
    assert {folder.name for folder, (name, _, _) in damaged.items() if name != "config.json"} <= shown
    bench.command("cancel", *target)  # which may say that there is no Slurm, but raises nothing
    for folder, (_, damage, _) in damaged.items():
        if damage == "other types":
            bench.command("show", folder.name[:12])
    told = bench.command("run", *target, "--launcher", "inline")
    after = {folder: states.state_of(folder).name for folder in bench.folder.glob("toy/*")}
    assert len(after) == seeds
    assert {state for folder, state in after.items() if folder not in damaged} == {"done"}
    left = {folder: case for folder, case in damaged.items() if after[folder] != "done"}
    assert [case for case in left.values() if case[1] != "a folder"] == [], "all else is made anew"
    assert all(folder.name[:12] in told.stdout + told.stderr for folder in left), "and what cannot be is named"


WRONG_VALUES = [
    ("metrics", {"test_top1_percent": "x"}),
    ("metrics", {"test_top1_percent": True}),
    ("metrics", None),
    ("series", {"curve": [1.0, None]}),
    ("series", {"curve": 1.0}),
    ("git", None),
    ("git", {"commit": "c0ffee", "dirty": "no"}),
    ("error", {"type": "ValueError"}),
    ("cells", ["main"]),
    ("seed", "0"),
    ("status", "fine"),
]


def test_a_row_with_a_value_that_no_run_writes_is_named_and_its_run_done_again(bench):
    jobs = bench.jobs("toy/many", range(len(WRONG_VALUES) + 1))
    for (name, value), job in zip(WRONG_VALUES, jobs, strict=False):
        execute(job.folder, Host())
        write_row(job.folder / "row.json", seal({**read_row(job.folder / "row.json"), name: value}))
        state = states.state_of(job.folder)
        assert state.name == "killed" and f"row.json has {name} = {value!r}" in state.problem
    execute(jobs[-1].folder, Host())
    target = ("toy/many", "--seeds", str(len(jobs)))
    for command in (("plan", *target), ("results", "toy/many"), ("table", "toy/many")):
        assert bench.command(*command).returncode == 0
    bench.command("run", *target, "--launcher", "inline")
    assert bench.states("toy/many", range(len(jobs))) == ["done"] * len(jobs)


def test_a_number_that_json_does_not_know_makes_no_row(bench):
    folder = bench.jobs("toy/main", seeds=[0])[0].folder
    execute(folder, Host())
    text = (folder / "row.json").read_text()
    for number in ("NaN", "-Infinity", "1e999"):
        (folder / "row.json").write_text(text.replace('"metrics":{', f'"metrics":{{"loss":{number},'))
        assert "row.json" in states.state_of(folder).problem
