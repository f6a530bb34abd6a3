"""Runs through the local launcher: order, sharing, failures, kills, memory."""

import platform
import shutil
import subprocess
import sys
import time

import pytest

from contrastbench.runner import claims, states, worker
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.launchers import inline, local
from contrastbench.runner.rows import RESULT_FIELDS, read_row, result_of


def results(rows):
    return {key: result_of(row) for key, row in rows.items()}


@pytest.fixture
def undisturbed(bench, tmp_path):
    """The rows of toy/main as one process makes them, one after another."""
    quiet = type(bench)(tmp_path / "undisturbed")
    quiet.run_inline("toy/main")
    return results(quiet.rows("toy/main"))


def test_local_and_inline_leave_the_same_rows(bench, undisturbed):
    bench.run("toy/main")
    assert results(bench.rows("toy/main")) == undisturbed
    assert len(undisturbed) == 12


def test_the_second_launch_has_nothing_to_do(bench):
    bench.run_inline("toy/main", seeds=[0])
    assert bench.jobs("toy/main", seeds=[0]) == []


def test_one_failed_run_stops_no_other_and_each_failure_has_its_word(bench):
    bench.run("toy/faults", seeds=[0])
    assert bench.states("toy/faults", seeds=[0]) == ["done", "failed", "diverged", "out_of_memory"]
    row = next(row for row in bench.rows("toy/faults", seeds=[0]).values() if row["status"] == "failed")
    assert row["error"]["message"] == "the toy was told to fail in epoch 0"
    assert any("RuntimeError" in line for line in row["error"]["log_tail"])


@pytest.mark.parametrize(
    ("returns", "status", "said"),
    [
        ("nan in a list", "diverged", "metric curve[1] is nan"),
        ("infinity in a list", "diverged", "metric curve[1] is -inf"),
        ("nan", "diverged", "metric loss is nan"),
        ("a tensor in a list", "failed", "metric curve[0] must be one number, got tensor([1., 1., 1.])"),
        ("a list in a list", "failed", "metric curve[0] must be one number, got [1.0]"),
        ("a text", "failed", "metric loss must be one number, got '0.5'"),
        ("nothing", "failed", "metric loss must be one number, got None"),
        ("a tensor", "failed", "metric loss must be one number, got tensor([[1., 1.],\n        [1., 1.]])"),
        ("a number as name", "failed", "the name of a metric must be a text, got 3"),
        ("too large a number", "failed", f"metric curve[0] must be one number, got 1{'0' * 99}"),
        ("exit", "failed", "3"),
        ("unprintable", "failed", "UnprintableError that cannot be printed"),
    ],
)
def test_whatever_a_stage_returns_or_raises_leaves_a_row_that_names_it(bench, returns, status, said):
    bench.run_inline("toy/main/Noise8/Plain", seeds=[0], settings={"returns": returns})
    (row,) = bench.rows("toy/main/Noise8/Plain", seeds=[0], settings={"returns": returns}).values()
    assert (row["status"], row["metrics"]) == (status, {})
    assert row["error"]["message"].startswith(said)


def test_a_tensor_of_one_number_in_a_list_is_that_number(bench):
    settings = {"returns": "a tensor of one in a list"}
    bench.run_inline("toy/main/Noise8/Plain", seeds=[0], settings=settings)
    (row,) = bench.rows("toy/main/Noise8/Plain", seeds=[0], settings=settings).values()
    assert row["series"]["curve"] == [1.0, 2]


def test_a_row_keeps_the_beginning_and_the_end_of_a_long_message_and_no_control_characters(bench):
    bench.run_inline("toy/main/Noise8/Plain", seeds=[0], settings={"returns": "long"})
    (row,) = bench.rows("toy/main/Noise8/Plain", seeds=[0], settings={"returns": "long"}).values()
    message = row["error"]["message"]
    assert message.startswith("\\x1b[31mxxx") and message.endswith("xxx the end") and len(message) < 2100
    assert "2998013 characters left out" in message
    assert sum(map(len, row["error"]["log_tail"])) < 20_000 and "\x1b" not in str(row)


def test_a_folder_that_cannot_be_used_costs_its_neighbours_no_attempt(bench):
    first, second = bench.jobs("toy/main/Noise8", seeds=[0])
    (first.folder / "config.json").write_text("{}")
    seen = []
    outcome = local.launch(
        [first, second], [Host(launcher="local")], watch=lambda job, event: seen.append((job, event))
    )
    assert "config.json" in outcome.problems[first.folder]
    assert outcome.ended == {second.folder: "done"}
    assert not any(job == second and "problem" in event for job, event in seen)


def test_a_run_whose_folder_cannot_be_written_is_claimed_by_nobody_while_its_neighbours_go_on(bench):
    gate = bench.folder / "gate"
    jobs = bench.jobs("toy/main/Noise8/Plain", seeds=[0, 1], settings={"epochs": "4", "gate": str(gate)})
    aside = jobs[0].folder.with_name("aside")
    claimed = []

    def watch(job, event):
        if event.get("line", {}).get("epoch") != 1:  # the epoch before the gate
            return
        if job == jobs[0]:
            job.folder.rename(aside)
        else:
            aside.rename(jobs[0].folder)
            claimed.append(claims.latest(jobs[0].folder).is_alive())
            gate.touch()

    outcome = local.launch(jobs, [Host(launcher="local")], watch=watch)
    assert outcome.problems.keys() == {jobs[0].folder} and outcome.ended == {jobs[1].folder: "done"}
    assert claimed == [False]


def test_what_is_needed_is_done_first_and_once(bench):
    order = []
    bench.run(
        "toy/chain",
        workers=2,
        watch=lambda job, event: order.append(job.run) if event.get("status") == "done" else None,
    )
    assert len(order) == 9
    for run in order:
        assert all(order.index(need) < order.index(run) for need in run.needs.values())


def test_a_run_whose_need_was_changed_refuses_to_read_it(bench):
    first, second = bench.jobs("toy/chain", seeds=[0])[:2]
    inline.launch([first], watch=lambda job, event: None)
    with open(first.folder / "artefact.pt", "ab") as file:
        file.write(b"more")
    inline.launch([second], watch=lambda job, event: None)
    row = read_row(second.folder / "row.json")
    assert row["status"] == "failed"
    assert "is not what its row recorded" in row["error"]["message"]


def test_a_stage_that_was_copied_from_another_machine_is_done_here_and_is_read(bench, tmp_path):
    there = type(bench)(tmp_path / "there")
    first = there.jobs("toy/chain", seeds=[0])[0]
    there.launch([first])
    shutil.copytree(first.folder, bench.folder / "toy" / first.run.key)
    jobs = bench.jobs("toy/chain", seeds=[0])
    assert first.run.key not in [job.run.key for job in jobs]
    bench.launch(jobs)
    rows = bench.rows("toy/chain", seeds=[0])
    assert {row["status"] for row in rows.values()} == {"done"}
    assert list(rows[jobs[0].run.key]["artefacts_read"].values()) == [rows[first.run.key]["artefact_sha256"]]


def test_a_run_whose_need_failed_is_not_started(bench):
    failing = next(job for job in bench.jobs("toy/faults", seeds=[0]) if job.run.method == "Raises")
    dependent = bench.jobs("toy/chain", seeds=[0])[1]
    dependent = type(dependent)(dependent.run, dependent.folder, (failing.folder,))
    last = bench.jobs("toy/chain", seeds=[0])[2]
    last = type(last)(last.run, last.folder, (dependent.folder,))
    jobs = [failing, dependent, last]
    for outcome in (
        local.launch(jobs, [Host(launcher="local")], watch=lambda job, event: None),
        inline.launch(jobs[1:], watch=lambda job, event: None),
    ):
        assert outcome.problems[dependent.folder] == f"needs {failing.run.key[:12]}, which ended as failed"
        assert outcome.problems[last.folder] == f"needs {dependent.run.key[:12]}, which is not done here"
        assert [states.state_of(job.folder).name for job in jobs] == ["failed", "new", "new"], "none counts as queued"


def test_retry_keeps_the_failed_row_and_does_the_run_again(bench, tmp_path):
    settings = {"fail_unless": str(tmp_path / "mended")}
    bench.run_inline("toy/faults", seeds=[0], settings=settings)
    (tmp_path / "mended").touch()
    failed = [each for each in bench.plan("toy/faults", [0], settings) if each.state.name in states.FAILURES]
    assert len(failed) == 3
    for each in failed:
        states.put_back(bench.folder / "toy" / each.run.key, "failed")
    bench.run_inline("toy/faults", seeds=[0], settings=settings)
    assert bench.states("toy/faults", [0], settings) == ["done"] * 4
    folder = bench.folder / "toy" / failed[0].run.key
    assert read_row(folder / "failed.1.json")["status"] == "failed"
    row = read_row(folder / "row.json")
    assert (row["attempt"], row["resumes"]) == (2, 0)


def test_a_killed_front_command_loses_nothing(bench, tmp_path):
    command = [sys.executable, "-m", "contrastbench.cli", "--runs", str(bench.folder), "run", "toy/main"]
    command += ["--set", "seconds_per_epoch=0.05", "--set", "epochs=8"]
    front = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not list(bench.folder.glob("toy/*/row.json")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    front.kill()
    front.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    while done.returncode == 1 and time.monotonic() < deadline:  # a run may still be with a worker of the dead front
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    settings = {"seconds_per_epoch": "0.05", "epochs": "8"}
    assert bench.states("toy/main", None, settings) == ["done"] * 12


def test_a_row_that_was_edited_does_not_count(bench):
    folder = bench.jobs("toy/main", seeds=[0])[0].folder
    execute(folder, Host())
    text = (folder / "row.json").read_text()
    (folder / "row.json").write_text(text.replace('"test_top1_percent":', '"test_top1_percent":1'))
    assert "its sha256 does not match" in states.state_of(folder).problem


def test_a_row_says_where_it_comes_from(bench):
    folder = bench.jobs("toy/main", seeds=[0])[0].folder
    execute(folder, Host())
    row = read_row(folder / "row.json")
    assert set(RESULT_FIELDS) <= set(row)
    assert row["cells"] == [["main", "Noise8/Plain"]]
    assert row["data"] == {"toy_noise": "0" * 64}
    assert row["threads"] == 1
    assert row["determinism"] == "strict"
    assert row["git"].keys() == {"commit", "dirty"}
    assert row["peak_mb"] > 0 and row["seconds"] >= 0
    assert row["versions"]["torch"]


def test_sigterm_saves_the_run_and_frees_it(bench, monkeypatch):
    folder = bench.jobs("toy/slow", seeds=[0])[0].folder
    monkeypatch.setenv("CONTRASTBENCH_CHECKPOINT_SECONDS", "1000")
    pipe, others_end = worker.SPAWN.Pipe()
    process = worker.SPAWN.Process(target=worker.serve, args=(others_end, Host()))
    process.start()
    pipe.send(folder)
    assert pipe.recv()["line"]["epoch"] == 0
    process.terminate()
    process.join(timeout=240)
    assert process.exitcode == 0
    assert states.state_of(folder).name == "killed"
    assert (folder / "checkpoint.pt").exists()


PAGES_ASKED_FOR = """
from resource import RUSAGE_SELF, getrusage
import torch
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import settle
settle(Host("cpu"))
for _ in range(6):
    before = getrusage(RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(7_500_000) for _ in range(8)]
    del tensors
print(getrusage(RUSAGE_SELF).ru_minflt - before)  # of the last round
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_run_keeps_freed_memory_for_its_next_tensors():
    ended = subprocess.run([sys.executable, "-c", PAGES_ASKED_FOR], capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 30_000  # otherwise 58,000: the pages of 240 MB
