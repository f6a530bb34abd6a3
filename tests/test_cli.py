"""The command line as a user meets it: what it prints, how it exits."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import contrastbench
from PIL import Image
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from contrastbench import papers
from contrastbench.cli.commands import app
from contrastbench.cli.launch import Display
from contrastbench.runner import provenance
from contrastbench.runner.launchers import Job
from contrastbench.runner.rows import SCHEMA, seal
from contrastbench.runner.states import folder_of, write_ticket
from contrastbench.runner.vocabulary import canonical_json, chain
from contrastbench.selection import select

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nothing"], "unknown paper 'nothing'; there are"),
        (["plan", "toy/nothing"], "unknown table 'nothing'; toy has: main, faults, chain, many, slow"),
        (["plan", "toy/main/nothing"], "unknown cell 'nothing'; toy/main at scale quick has: Noise8/Plain"),
        (["plan", "toy", "--scale", "huge"], "unknown scale 'huge'; there are: smoke, quick, lite, paper"),
        (["plan", "toy", "--scale", "paper"], "toy has no cells at scale paper"),
        (["run", "toy", "--set", "colour=red"], "unknown setting 'colour'; a run of toy has "),
        (["run", "toy", "--set", "epochs"], "--set takes key=value, got 'epochs'"),
        (["run", "toy", "--set", "epochs=many"], "setting epochs must be of type int, got 'many'"),
        (["run", "toy", "--seeds", "-1"], "seeds must be a number of seeds (5), a range (0-4) or a list (0,3,7)"),
        (["plan", "toy", "--seeds", "99999999999"], "10,000 at most; got '99999999999'"),
        (["run", "toy/main", "--launcher", "cloud"], "unknown launcher 'cloud'; there are: inline, local, slurm"),
        (["run", "toy/main", "--budget", "long"], "a budget is a number and s, m, h or d (30m, 8h), got 'long'"),
        (["plan", "toy/main", "--device", "gpu"], "device must be cpu or cuda, got 'gpu'"),
        (["run", "toy/main", "--device", "cuda"], "torch sees no GPU here; possible: auto, cpu"),
        (["run", "toy/main", "--launcher", "slurm", "--device", "cpu"], "--device has no use with --launcher slurm"),
        (["run", "toy/main", "--launcher", "slurm", "--threads", "2"], "its profile says that"),
        (
            ["run", "toy/main", "--profile", "one_gpu"],
            "--profile has no use with --launcher local; it is for --launcher slurm",
        ),
        (["run", "toy/main", "--detach"], "--detach has no use with --launcher local; it is for --launcher slurm"),
        (["run", "toy/main", "--launcher", "inline", "--slots", "2"], "--slots has no use with --launcher inline"),
        (["logs", "zzz"], "unknown paper 'zzz'; there are"),
        (["data", "check", "nothing"], "unknown data set 'nothing'; there are "),
        (["plan", "hard_negatives/main", "--set", "dataset=cifar"], "the nearest: cifar10, cifar100, "),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_bad_input_ends_in_one_line_and_exit_code_2(tmp_path, arguments, said):
    done = contrastbench(*arguments, runs=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not list(tmp_path.glob("*/*/row.json"))


@pytest.fixture
def own_data(tmp_path):
    """A data root with a user's pictures and graphs."""
    random = np.random.default_rng(0)
    for number, name in enumerate(("calm", "loud")):
        (tmp_path / "noises" / name).mkdir(parents=True)
        for picture in range(25):
            pixels = random.integers(0, 60 + 190 * number, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "noises" / name / f"{picture}.png")
    (tmp_path / "FRIENDS").mkdir()
    nodes = [(graph, 4 * graph + node) for graph in range(40) for node in range(1, 5)]
    pairs = [(node, node + 1) for graph, node in nodes if node % 4] + [(4 * g + 1, 4 * g + 4) for g in range(0, 40, 2)]
    lines = {
        "A": [f"{a}, {b}" for pair in pairs for a, b in (pair, pair[::-1])],
        "graph_indicator": [f"{graph + 1}" for graph, _ in nodes],
        "graph_labels": [f"{graph % 2}" for graph in range(40)],
    }
    for suffix, content in lines.items():
        (tmp_path / "FRIENDS" / f"FRIENDS_{suffix}.txt").write_text("\n".join(content) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("target", "settings", "dataset"),
    [
        ("graph_contrastive/main/InfoGraph", ["dataset=FRIENDS"], "FRIENDS"),
        (
            "hard_negatives/main/HCL",
            ["dataset=noises@16", "augmentation=natural", "train_images=0", "batch=16", "knn_neighbours=5"],
            "noises@16",
        ),
    ],
)
def test_any_method_runs_on_data_of_ones_own(tmp_path, own_data, target, settings, dataset):
    changes = [part for setting in settings for part in ("--set", setting)]
    command = ["run", target, "--scale", "smoke", "--seeds", "1", "--launcher", "inline", *changes]
    done = contrastbench(*command, runs=tmp_path / "runs", CONTRASTBENCH_DATA=str(own_data))
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = (json.loads(path.read_text()) for path in tmp_path.glob("runs/*/*/row.json"))
    assert row["dataset"] == dataset and list(row["data"]) == [dataset] and row["status"] == "done"
    table = target.rsplit("/", 1)[0]
    for command in ("table", "results", "plan", "status", "logs"):
        at_smoke = ["--scale", "smoke"] if command != "logs" else []
        told = contrastbench(command, f"{table}/{dataset}", *at_smoke, runs=tmp_path / "runs")
        assert told.returncode == 0 and not told.stderr, (command, told)
        assert command in ("status", "logs") or dataset in told.stdout, (command, told)


def test_a_batch_that_does_not_fit_ones_own_pictures_starts_nothing(tmp_path, own_data):
    command = ("hard_negatives/photographs", "--scale", "lite", "--set", "dataset=noises@16", "--set", "statistics=own")
    told = contrastbench("run", *command, runs=tmp_path / "runs", CONTRASTBENCH_DATA=str(own_data))
    assert told.returncode == 2 and not (tmp_path / "runs").exists()
    reason = "batch must be 2 to 30, the number of training images; got 64 (BCL, DCL, HCL and 2 more)"
    assert told.stderr == f"error: nothing was started: {reason}\n"


def test_a_plan_prices_ones_own_pictures_and_says_whose_settings_they_take(own_data, tmp_path, monkeypatch):
    monkeypatch.setattr("contrastbench.cli.planning.device_kind", lambda device: "cpu (AMD EPYC)")
    command = ("plan", "hard_negatives/photographs", "--scale", "lite", "--set", "dataset=noises@16")
    told = contrastbench(*command, runs=tmp_path, CONTRASTBENCH_DATA=str(own_data)).stdout
    assert "?" not in told and "26 of 26 runs to do: about " in told
    assert "no row is like 26 of them: their cost is estimated from the time of a step" in told
    command = ("plan", "hard_negatives/main", "--scale", "lite", "--set", "dataset=noises@32")
    told = contrastbench(*command, runs=tmp_path, CONTRASTBENCH_DATA=str(own_data)).stdout
    said = "other settings are those of CIFAR10; `hard_negatives/main/CIFAR100` has those of CIFAR100"
    assert said in told and "noises@32/HCL" in told and "19 of 19 runs" in told


def test_data_list_says_first_what_is_here(own_data):
    listed = contrastbench("data", "list", CONTRASTBENCH_DATA=str(own_data)).stdout
    here, _, elsewhere = listed.partition("not here")
    assert all(f" {name} " in here for name in ("MUTAG", "mnist5k", "FRIENDS", "noises"))
    assert all(f" {name} " in elsewhere for name in ("PROTEINS", "cifar10", "stl10"))


def test_own_data_is_checked_by_its_name(own_data):
    done = contrastbench("data", "check", "noises@16", "FRIENDS", CONTRASTBENCH_DATA=str(own_data))
    assert done.returncode == 0 and done.stdout.count("a copy that the catalogue does not know") == 2


def test_a_failed_run_is_listed_and_the_command_exits_with_1(tmp_path):
    done = contrastbench("run", "toy/faults", "--seeds", "1", "--launcher", "inline", runs=tmp_path)
    assert done.returncode == 1
    assert "FloatingPointError: loss became nan in epoch 0" in done.stdout
    assert "1 done, 1 failed, 1 diverged, 1 out_of_memory" in done.stdout


def test_the_same_command_twice_starts_nothing_the_second_time(tmp_path):
    command = ("run", "toy/main", "--seeds", "1", "--launcher", "inline")
    assert "4 to start" in contrastbench(*command, runs=tmp_path).stdout
    again = contrastbench(*command, runs=tmp_path)
    assert again.returncode == 0
    assert "4 runs planned: 4 done; 0 to start" in again.stdout


def test_a_runs_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = contrastbench("run", "toy/main", "--seeds", "1", "--launcher", "inline", runs=tmp_path / "file" / "runs")
    assert done.returncode == 2
    assert "not a directory" in done.stderr


def test_doctor_finds_this_machine_fit(tmp_path):
    done = contrastbench("doctor", runs=tmp_path, results=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "torch" in done.stdout and "GB free" in done.stdout


def test_list_has_a_line_for_each_paper_and_for_one_paper_its_tables_and_questions():
    said = contrastbench("list").stdout.splitlines()
    names = papers.names()
    assert [line.split()[0] for line in said[1 : 1 + len(names)]] == names and len(said) <= len(names) + 3
    counts = {line.split()[0]: int(line.split()[1]) for line in said[1 : 1 + len(names)]}
    assert counts == {name: len(papers.paper(name).tables) for name in names}
    for name in names:
        listed = contrastbench("list", name).stdout
        for table, declared in papers.paper(name).tables.items():
            assert f"{name}/{table}" in listed and declared.title.split()[0] in listed


def test_list_counts_what_a_command_for_the_whole_paper_does():
    line = next(line for line in contrastbench("list").stdout.splitlines() if line.startswith("sequential_rec"))
    cells = [cell for _, cell in select("sequential_recommendation", "quick").cells()]
    runs = chain(run for cell in cells for run in cell.runs)
    assert f"{len(cells)} ({len(runs)})" in line


CTRL_C_WHILE_IMPORTING = """
import sys
class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == "contrastbench.cli.run":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from contrastbench.cli import main
main()
"""


def test_ctrl_c_while_python_imports_ends_as_quietly_as_later():
    done = subprocess.run([sys.executable, "-c", CTRL_C_WHILE_IMPORTING], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        *((["list"], 14), (["plan"], 50), (["data", "list"], 70), (["status"], 80)),
        (["plan", "graph_contrastive", "--scale", "paper"], 50),
    ],
    ids=str,
)
def test_what_a_newcomer_asks_first_fits_80_columns_and_a_screen_or_two(tmp_path, arguments, lines):
    said = contrastbench(*arguments, runs=tmp_path, width=80).stdout.splitlines()
    said = [line for line in said if not line.startswith("data root:")]  # which the terminal wraps
    assert max(len(line.rstrip()) for line in said) <= 80 and len(said) <= lines


def test_a_narrow_table_keeps_the_numbers_of_a_cell_together(tmp_path):
    said = contrastbench("table", "graph_contrastive/main/WL kernel", runs=tmp_path, results=ROOT / "results", width=80)
    lines = [line.split() for line in said.stdout.splitlines()]
    first = next(number for number, words in enumerate(lines) if words[:2] == ["WL", "kernel"])
    assert lines[first][2] == "published" and lines[first + 1][0] == "shipped" and lines[first + 2][0] == "here"
    wide = contrastbench("table", "graph_contrastive/main/MUTAG/WL kernel", runs=tmp_path, results=ROOT / "results")
    header = next(line.split() for line in wide.stdout.splitlines() if "method" in line)
    assert header == ["method", "dataset", "published", "shipped", "here", "verdict"]


def test_a_plan_shows_cells_where_they_fit_and_tables_where_they_do_not(tmp_path):
    whole = contrastbench("plan", runs=tmp_path).stdout
    assert "loss_studies/map, quick scale" in whole and "MUTAG/InfoGraph" not in whole
    assert "`contrastbench plan PAPER/TABLE` shows a table's cells" in whole
    table = contrastbench("plan", "graph_contrastive/main", runs=tmp_path).stdout
    assert "MUTAG/InfoGraph" in table and "shows a table's cells" not in table


@pytest.fixture(scope="module")
def ten_thousand(tmp_path_factory):
    """A runs folder with 10,000 finished toy rows."""
    return write_rows(tmp_path_factory.mktemp("many") / "runs", 10_000)


def write_rows(runs, count):
    """Rows as ``execute`` writes them, without the work: a fixed metric per seed."""
    ((_, cell),) = select("toy/many", "quick", range(count)).cells()
    folder = runs / "toy"
    facts = {
        **{"schema": SCHEMA, "selection": "last epoch", "epoch": 0, "status": "done", "error": None, "series": {}},
        **{"data": {}, "artefact_sha256": None, "attempt": 1, "resumes": 0, "launcher": "local", "job": None},
        **{"git": provenance.git(), "versions": provenance.versions(), "host": provenance.host()},
        **{"device": provenance.device_kind("cpu"), "determinism": "strict", "threads": 1, "seconds": 0.5},
        **{"peak_mb": 100.0, "started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:00:01+00:00"},
    }
    for run in cell.runs:
        labels = {"key": run.key, "dataset": run.dataset, "method": run.method, "cells": [["many", cell.name]]}
        metrics = {"test_top1_percent": 50.0 + run.seed % 7}
        row = seal({**run.identity, **labels, **facts, "metrics": metrics})
        (folder / run.key).mkdir(parents=True)
        (folder / run.key / "row.json").write_text(canonical_json(row) + "\n")  # write_row, without the fsync
    return runs


@pytest.mark.parametrize("command", [("plan",), ("status",), ("table",)], ids=lambda command: command[0])
def test_ten_thousand_rows_are_read_within_seconds(ten_thousand, command, monkeypatch):
    """Under 2 s of processor time on a quiet core, which a busy machine stretches by far less than the time of day."""
    monkeypatch.setenv("TOY_MANY", "10000")
    started = time.process_time()
    done = contrastbench(*command, "toy/many", runs=ten_thousand)
    seconds = time.process_time() - started
    assert done.returncode == 0, done.stderr
    assert seconds < 6, f"{command} took {seconds:.1f} s of a core"


def test_a_ticket_that_is_the_same_is_not_written_again(tmp_path):
    _, cell = select("toy/main", "quick").cells()[0]
    run = cell.runs[0]
    write_ticket(run, tmp_path, [["main", "Noise8/Plain"]])
    ticket = folder_of(run, tmp_path) / "config.json"
    before = ticket.stat().st_mtime_ns
    write_ticket(run, tmp_path, [["main", "Noise8/Plain"]])
    assert ticket.stat().st_mtime_ns == before


def test_a_closed_stream_is_no_error(tmp_path):
    """As under cron, or a launcher that closes what it does not read; 0, 1 and 2 stay taken."""
    for closed in (">&-", "<&- >&- 2>&-"):
        command = f'exec "{sys.executable}" -m contrastbench.cli --runs "{tmp_path}" status loss_studies {closed}'
        told = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT)
        assert (told.returncode, told.stdout, told.stderr) == (0, "", ""), told.stderr


OF_TYPER = ("install_completion", "show_completion")
COMMANDS = [[], *([name] for name in get_command(app).commands), ["data", "fetch"]]


def command_of(names):
    found = get_command(app)
    for name in names:
        found = found.commands[name]
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_does(command):
    found = command_of(command)
    silent = [each.name for each in found.params if not each.help and each.name not in OF_TYPER]
    assert found.help and not silent


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_comes_out(command):
    told = CliRunner().invoke(app, [*command, "-h"])  # short for --help
    assert told.exit_code == 0, told.exception
    assert "Usage" in told.output


@pytest.fixture
def jobs(tmp_path):
    runs = [run for _, cell in select("toy/main", "quick").cells() for run in cell.runs][:2]
    return [Job(run, tmp_path / run.key) for run in runs]


def test_a_log_file_tells_what_ended_and_what_is_at_work(jobs):
    written = io.StringIO()
    first, second = jobs
    with Display(Console(file=written, width=40), total=2, seconds_between_lines=0.0) as shown:
        shown.watch(first, {"line": {"epoch": 1}})
        shown.watch(second, {"line": {"loss": 1.0}})
        shown.watch(first, {"line": {"epoch": first.run.config.epochs}})
        shown.watch(first, {"status": "done"})
    lines = written.getvalue().splitlines()
    assert lines[0].startswith("0/2 runs: none ended yet; toy") and "epoch 2 of" in lines[0], lines
    assert lines[1].endswith(f"{second.run.key[:8]}: epoch 0 of 3"), lines
    assert f"epoch {first.run.config.epochs} of {first.run.config.epochs}" in lines[2], lines
    assert lines[3].startswith("1/2 runs: 1 done; toy") and first.run.key[:8] not in lines[3], lines


def test_what_slurm_refuses_for_one_reason_is_said_once(jobs):
    told = Console(file=io.StringIO(), width=200)
    with Display(told, len(jobs)) as shown:
        for job in jobs:
            shown.watch(job, {"status": "not submitted", "problem": "sbatch refused: invalid partition"})
    assert told.file.getvalue().count("invalid partition") == 1 and shown.counts["not submitted"] == len(jobs) > 1


def test_claims_may_be_judged_from_this_machines_rows_alone(tmp_path):
    """Nothing was run here: with the shipped rows some claims hold, without them none was run."""
    said = [contrastbench("claims", "graph_contrastive", *here, runs=tmp_path).stdout for here in ((), ("--here",))]
    assert "✓" in said[0]
    assert "✓" not in said[1] and "✗" not in said[1] and "not run" in said[1]
