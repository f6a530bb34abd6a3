"""Arrays on a real Slurm: chunks, devices, needs, pinned code, a network that is off."""

import dataclasses
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from itertools import combinations
from pathlib import Path

import pytest
from slurm_site import ONE_GPU, PATIENCE_SECONDS, SBATCH, job_of_run, results, undisturbed, wait_until

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm, slurm_queue
from contrastbench.runner.launchers.slurm import Front, max_array_size
from contrastbench.runner.rows import read_row

TOY = Path(__file__).parents[1] / "toy" / "benchmarks" / "toy"


def test_sixteen_runs_go_in_arrays_of_five_and_each_sees_a_device_of_its_own(site):
    assert max_array_size() == 5
    seconds = {"seconds_per_epoch": "0.3", "epochs": "2"}
    packed = dataclasses.replace(ONE_GPU, runs_per_task=3)
    folders = site.folders("toy/many", range(16), seconds)
    outcome = site.launch("toy/many", range(16), seconds, packed)
    assert outcome.problems == {} and set(outcome.ended.values()) == {"done"} and len(outcome.ended) == 16
    arrays = {job_of_run(folder).partition("_")[0] for folder in folders}
    indices = [int(job_of_run(folder).partition("_")[2]) for folder in folders]
    assert len(arrays) == 2 and max(indices) == 4  # 6 tasks: 5 and 1
    where = {folder: whereabouts(folder) for folder in folders}
    assert {device for _, device, _, _ in where.values()} <= {"0", "1", "2", "3"}
    assert len({(node, device) for node, device, _, _ in where.values()}) > 1
    for (node, device, begin, end), (node_2, device_2, begin_2, end_2) in combinations(where.values(), 2):
        assert (node, device) != (node_2, device_2) or end <= begin_2 or end_2 <= begin, "two runs on one device"
    assert site.launch("toy/many", range(16), seconds, packed).ended == {}, "the second time there is nothing to do"


def whereabouts(folder):
    """The run's node, the devices that it saw, and when it was at work first and last."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    (place,) = {(line["SLURMD_NODENAME"], line["CUDA_VISIBLE_DEVICES"]) for line in lines}
    return *place, lines[0]["at"], lines[-1]["at"]


def test_what_is_needed_runs_first_and_failures_have_their_words(site, tmp_path, monkeypatch):
    expected = undisturbed(site, tmp_path, monkeypatch, "toy/chain", [0])
    jobs = site.jobs("toy/chain", [0]) + site.jobs("toy/faults", [0])
    two = dataclasses.replace(ONE_GPU, runs_per_gpu=2, runs_per_task=5)
    outcome = slurm.launch(jobs, two, site.folder, watch=lambda job, event: None, poll_seconds=0.5)
    assert outcome.problems == {}
    assert site.states("toy/chain", [0]) == ["done"] * 3
    assert site.states("toy/faults", [0]) == ["done", "failed", "diverged", "out_of_memory"]
    assert {key: row for key, row in results(site.folder).items() if key in expected} == expected


def test_queued_jobs_run_the_code_they_were_submitted_with_and_reach_no_network(site, tmp_path, monkeypatch):
    paper = tmp_path / "own" / "benchmarks" / "pinned"
    shutil.copytree(TOY, paper)
    for name in ("tables.py", "train.py"):
        text = (paper / name).read_text().replace("benchmarks.toy", "benchmarks.pinned")
        (paper / name).write_text(text.replace('Run("toy"', 'Run("pinned"'))
    with a_web_server() as address:
        assert urllib.request.urlopen(address, timeout=PATIENCE_SECONDS).status == 200
        asks = f'try:\n    import urllib.request\n    urllib.request.urlopen("{address}")\n    REACHED = 1\n'
        asks += "except OSError:\n    REACHED = 0\n"
        train = (paper / "train.py").read_text()
        train = train.replace("def train(", asks + "\n\ndef train(", 1)
        (paper / "train.py").write_text(train.replace('return {"test_top1', 'return {"reached": REACHED, "test_top1'))
        path = os.pathsep.join([str(paper.parents[1]), os.environ["PYTHONPATH"]])
        held = tmp_path / "held.toml"
        held.write_text('[sbatch]\ntime = 60\nadditional_parameters = { begin = "now+4" }\n')
        front = [
            sys.executable,
            "-m",
            "contrastbench.cli",
            "--runs",
            str(site.folder),
            "run",
            "pinned/main/Noise8/Plain",
        ]
        process = subprocess.Popen(
            [*front, "pinned/main/Noise8/Plain", "--seeds", "1", "--launcher", "slurm", "--profile", str(held)],
            env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        wait_until(lambda: list(site.folder.glob("pinned/*/queued.json")) or process.poll() is not None, "a mark")
        (paper / "train.py").write_text("raise SystemExit('edited while queued')\n")
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    rows = [read_row(path) for path in site.folder.glob("pinned/*/row.json")]
    assert process.returncode == 0 and len(rows) == 1, said
    assert {row["status"] for row in rows} == {"done"}, said
    assert {row["metrics"]["reached"] for row in rows} == {0.0}
    (snapshot,) = {row["git"]["snapshot_sha256"] for row in rows}
    assert (site.folder / ".snapshots" / snapshot[:16] / "benchmarks" / "pinned" / "train.py").exists()


class a_web_server:  # noqa: N801  reads as a phrase
    """A web server on this machine that answers every GET with 200."""

    def __enter__(self):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *error):
        self.server.shutdown()


def test_what_slurm_refuses_is_told_in_its_words_and_can_be_submitted_later(site):
    nowhere = dataclasses.replace(ONE_GPU, sbatch={**SBATCH, "partition": "nowhere"})
    outcome = site.submit("toy/main", [0], profile=nowhere)
    assert len(outcome.problems) == 4
    assert all("invalid partition" in problem for problem in outcome.problems.values())
    assert site.states("toy/main", [0]) == ["new"] * 4


def test_cancelled_runs_leave_the_queue_and_say_so(site):
    later = dataclasses.replace(ONE_GPU, sbatch={**SBATCH, "additional_parameters": {"begin": "now+1hour"}})
    folders = site.folders("toy/main", [0])
    site.submit("toy/main", [0], profile=later)
    assert site.states("toy/main", [0]) == ["queued"] * 4
    jobs, runs = slurm_queue.cancel(folders)
    assert len(jobs) == len(runs) == 4
    assert site.states("toy/main", [0]) == ["new"] * 4
    assert "cancelled by `contrastbench cancel`" in slurm_queue.why_it_ended(folders[0])


def test_two_fronts_that_submit_the_same_plan_queue_each_run_once(site):
    later = dataclasses.replace(ONE_GPU, sbatch={**SBATCH, "additional_parameters": {"begin": "now+1hour"}})
    jobs = site.jobs("toy/main", [0, 1])
    fronts = [threading.Thread(target=Front(jobs, later, site.folder, print).fill) for _ in range(2)]
    for front in fronts:
        front.start()
    for front in fronts:
        front.join()
    assert len(slurm_queue.read_queue()) == len(jobs) == 8
    slurm_queue.cancel([job.folder for job in jobs])


def test_without_slurm_submitting_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="no Slurm answers here"):
        Front([], ONE_GPU, tmp_path, print)


def test_a_run_counts_as_queued_while_the_controller_does_not_answer(tmp_path, monkeypatch):
    states.mark_queued(tmp_path, launcher="slurm", submission=str(tmp_path), task=1)
    monkeypatch.setattr(slurm_queue, "read_queue", lambda: None)
    monkeypatch.setattr(slurm_queue.shutil, "which", lambda name: name)
    assert states.state_of(tmp_path, slurm_queue.still_queued()).name == "queued"
    monkeypatch.setattr(slurm_queue, "read_queue", lambda: {})
    assert states.state_of(tmp_path, slurm_queue.still_queued()).name == "new"
