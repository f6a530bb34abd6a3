"""run_all.sh and `contrastbench reproduce`: one screen, seconds where nothing is to do, a stop at once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import contrastbench
from typer.testing import CliRunner

from contrastbench import papers
from contrastbench.cli.app import Folders, console
from contrastbench.cli.commands import app
from contrastbench.cli.launch import with_data
from contrastbench.cli.planning import planned_runs
from contrastbench.cli.reproduce import first_part
from contrastbench.evidence import gather
from contrastbench.runner.rows import read_row, seal, write_shipped
from contrastbench.runner.vocabulary import chain
from contrastbench.selection import read_targets
from contrastbench.verdicts.verdict import JUDGED

ROOT = Path(__file__).parents[1]


@pytest.fixture
def reproduce(tmp_path, monkeypatch):
    monkeypatch.setattr(console, "width", 80)
    folders = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    return lambda *arguments: CliRunner().invoke(app, [*folders, "reproduce", *arguments, "--slots", "1"])


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """One seed of a table, done by the command: its folder, and what it said."""
    folder = tmp_path_factory.mktemp("once")
    return folder, again(folder)


def again(folder, seeds=1):
    arguments = ("reproduce", "toy/main", "--seeds", str(seeds), "--slots", "1")
    return contrastbench(*arguments, runs=folder / "runs", results=folder / "results", width=80)


def test_it_ends_with_one_screen_about_what_was_asked_for(once):
    folder, told = once
    assert told.returncode == 0, told.stdout + told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) <= 24 and max(len(line.rstrip()) for line in lines if "report:" not in line) <= 80
    assert lines[0].startswith("4 runs of toy at quick scale in ")
    assert lines[1].split() == ["paper", "done", "before", "failed", "as", "shipped", "✓", "✗", "?", "–"]
    assert lines[2].split() == ["toy", "4", "0", "0", "-", "2"], "one seed decides no claim"
    assert lines[3].startswith("claims, from these runs alone: ✓ holds, ✗ fails")
    assert "printed numbers" in lines[4] and "these runs meet 0." in " ".join(lines[4:6])
    assert lines[-3] == f"report: {folder / 'results/report/index.html'}"
    assert "graph_contrastive" not in told.stdout


def test_a_second_start_writes_no_page_and_starts_nothing(once):
    folder, _ = once
    written = (folder / "results/report/index.html").stat().st_mtime_ns
    lines = again(folder).stdout.splitlines()
    assert lines[0] == "4 runs of toy at quick scale, all from before"
    assert lines[2].split() == ["toy", "0", "4", "0", "-", "2"]
    assert (folder / "results/report/index.html").stat().st_mtime_ns == written


def test_new_rows_make_the_page_anew_and_the_screen_says_why_some_are_not_the_shipped_ones(once, tmp_path):
    """One more seed; of the first two rows are of another machine, one differs on the same machine, one is equal."""
    folder = shutil.copytree(once[0], tmp_path / "once")
    rows = [read_row(path) for path in sorted((folder / "runs/toy").glob("*/row.json"))]
    for row in rows[1:]:
        row["metrics"] = {name: value + 1 for name, value in row["metrics"].items()}
    for row in rows[2:]:
        row["host"] = {**row["host"], "cpu": "another"}
    write_shipped(folder / "results", "toy", map(seal, rows))
    page = folder / "results/report/index.html"
    written = page.stat().st_mtime_ns
    told = again(folder, seeds=2).stdout
    assert page.stat().st_mtime_ns != written
    lines = told.splitlines()
    assert len(lines) <= 24 and lines[2].split() == ["toy", "4", "4", "0", "1", "of", "4", "1", "1"]
    assert "Better beats Plain. +10.0" in told and "2 seeds, at quick scale" in " ".join(told.split())
    assert "…" not in told
    assert "2 rows are not, since another kind of machine made the shipped ones." in " ".join(told.split())
    assert f"row {rows[1]['key'][:12]} of toy differs from the shipped one" in " ".join(told.split())


def test_failures_are_on_the_screen_and_in_the_exit_code(reproduce):
    told = reproduce("toy/faults", "--seeds", "1")
    assert told.exit_code == 1
    assert any(line.startswith("failed: Noise8 Raises, contrastbench show ") for line in told.stdout.splitlines())
    assert len(told.stdout.splitlines()) <= 24


def test_the_first_table_is_the_one_with_most_printed_numbers(tmp_path):
    """Its judged cells: what a newcomer reads while the rest is at work."""
    folders = Folders(tmp_path, ROOT / "results")
    place, cells = first_part(planned_runs(read_targets(None, "quick"), folders), folders)
    tables = {
        (table.paper, table.name, table.scale): table for table in gather(papers.paper(place[0]), tmp_path).tables
    }
    kinds = {cell.name: cell.verdict.kind for cell in tables[place].cells if cell.name in cells}
    assert kinds and all(kind in JUDGED for kind in kinds.values())
    assert len(chain(run for runs in cells.values() for run in runs)) < 60, "it must be ready within a minute"
    _, cells = first_part(planned_runs(read_targets(["loss_studies"], "quick"), folders), folders)
    assert not cells, "nothing is judged there"


def test_the_first_table_is_printed_before_the_rest_is_done(reproduce, monkeypatch):
    monkeypatch.setattr("contrastbench.verdicts.verdict.JUDGED", ("not run",))
    lines = reproduce("toy/main", "staged/main", "--seeds", "1").stdout.splitlines()
    titles = [number for number, line in enumerate(lines) if line.startswith("toy / main (quick scale")]
    screen = next(number for number, line in enumerate(lines) if "runs of 2 papers at quick scale" in line)
    assert titles and titles[0] < screen and len(lines) - screen <= 24


@pytest.fixture
def checkout(tmp_path):
    """A folder with run_all.sh, whose installation is done and whose command says what it is given."""
    shutil.copy(ROOT / "run_all.sh", tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("rich\n")
    command = tmp_path / ".venv/bin/contrastbench"
    command.parent.mkdir(parents=True)
    script(command, 'echo "$@"; exec sleep ${SLEEP:-0}')
    wanted = subprocess.run(
        ["bash", "-c", "cat pyproject.toml constraints.txt | cksum"], cwd=tmp_path, capture_output=True, text=True
    )
    (tmp_path / ".venv/installed").write_text(wanted.stdout.strip())
    return tmp_path


def script(path, text):
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


def start(checkout, *arguments, **environment):
    return subprocess.Popen(
        ["bash", "run_all.sh", *arguments],
        cwd=checkout,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_run_all_says_nothing_of_an_installation_that_is_there(checkout):
    said, complaint = start(checkout, "--scale", "smoke", "toy").communicate(timeout=240)
    assert (said, complaint) == ("reproduce --scale smoke toy\n", "")


SIGNALS = [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "code"), SIGNALS, ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_to_run_all_stops_it_at_once_with_its_runs_saved(checkout, number, code):
    """The whole of it but the installation. A terminal sends Ctrl-C to every process, a scheduler SIGTERM to one."""
    script(checkout / ".venv/bin/contrastbench", f'exec {sys.executable} -m contrastbench.cli "$@"')
    folders = {"CONTRASTBENCH_RUNS": str(checkout / "runs"), "CONTRASTBENCH_RESULTS": str(checkout / "results")}
    process = start(checkout, "toy/slow", "--seeds", "2", "--slots", "2", **folders)
    until = time.monotonic() + 240
    while not list(checkout.glob("runs/toy/*/checkpoint.pt")) and time.monotonic() < until:
        time.sleep(0.05)
    asked = time.monotonic()
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    said, complaint = process.communicate(timeout=240)
    assert time.monotonic() - asked < 40 and process.returncode == code
    assert complaint == "stopped; nothing is lost, the same command goes on\n"
    assert list(checkout.glob("runs/toy/*/checkpoint.pt")) and not list(checkout.glob("runs/toy/*/row.json"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_stops_the_installation_at_once_and_says_so(checkout, number):
    (checkout / ".venv/installed").unlink()
    script(checkout / ".venv/bin/python", "echo $$ > pip; exec sleep 300")
    process = start(checkout, NEEDED_GB="0", PYTHON=sys.executable)
    until = time.monotonic() + 240
    while not (checkout / "pip").exists() and time.monotonic() < until:
        time.sleep(0.05)
    asked = time.monotonic()
    process.send_signal(number)
    _, complaint = process.communicate(timeout=240)
    assert time.monotonic() - asked < 40 and process.returncode == 130
    assert complaint.strip() == "run_all.sh: stopped; nothing is lost, run it again to go on"
    assert not Path(f"/proc/{(checkout / 'pip').read_text().strip()}").exists()


def test_pip_says_nothing_unless_it_fails(checkout):
    (checkout / ".venv/installed").unlink()
    script(checkout / ".venv/bin/python", 'echo "WARNING: Running pip as root"; exit ${FAIL:-0}')
    said, complaint = start(checkout, NEEDED_GB="0", PYTHON=sys.executable).communicate(timeout=240)
    assert "WARNING" not in said + complaint and said.splitlines()[-1] == "reproduce"
    (checkout / ".venv/installed").unlink()
    process = start(checkout, NEEDED_GB="0", PYTHON=sys.executable, FAIL="1")
    _, complaint = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "WARNING: Running pip as root" in complaint and "run_all.sh: pip could not install" in complaint


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no wheel of torch has CUDA")
@pytest.mark.parametrize(("gpu", "has_them"), [(False, True), (False, False), (True, True)])
def test_without_a_gpu_torch_comes_without_cuda_where_it_can_be_had(checkout, tmp_path, gpu, has_them):
    (checkout / ".venv/installed").unlink()
    (checkout / "constraints.txt").write_text("torch==2.14.1\ntorch-geometric==2.8.1\ntorchvision==0.29.1\n")
    script(checkout / ".venv/bin/python", f'case "$*" in *+cpu*) echo "$@" > cpu; exit {int(not has_them)};; esac')
    (checkout / "tools").mkdir()
    script(checkout / "tools/nvidia-smi", f"exit {int(not gpu)}")
    found = {"PATH": f"{checkout / 'tools'}:{os.environ['PATH']}", "TORCH_INDEX": "file:///nowhere"}
    said, complaint = start(checkout, NEEDED_GB="0", PYTHON=sys.executable, **found).communicate(timeout=240)
    assert (checkout / "cpu").exists() is not gpu and complaint == ""
    if not gpu:
        assert (checkout / "cpu").read_text().endswith("file:///nowhere torch==2.14.1+cpu torchvision==0.29.1+cpu\n")
    assert ("the larger wheels are taken" in said) is not has_them
    assert said.splitlines()[-1] == "reproduce", "the installation goes on"


def test_without_movielens_the_installation_goes_on_and_says_so(checkout):
    (checkout / ".venv/installed").unlink()
    script(checkout / ".venv/bin/python", "exit 0")
    script(checkout / ".venv/bin/contrastbench", 'echo "$@"; [ "$1" != data ]')
    said, _ = start(checkout, NEEDED_GB="0", PYTHON=sys.executable).communicate(timeout=240)
    left_out = "MovieLens-100k could not be fetched (.venv/install.log tells why); its tables are left out"
    assert said.splitlines()[-2:] == [left_out, "reproduce"]
    assert "data fetch ml-100k" in (checkout / ".venv/install.log").read_text()


def test_what_has_no_data_is_left_out_where_everything_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    planned = planned_runs(read_targets(["graph_recommendation", "toy"], "quick"), Folders(tmp_path, tmp_path))
    kept = with_data(planned)
    assert {each.run.paper for each in kept} == {"toy"} and len(kept) < len(planned)
    said = capsys.readouterr().err.strip()
    assert said.endswith("runs are left out, since ml-100k is not here: contrastbench data fetch ml-100k")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("version", ["(3, 10)", "(3, 15)"])
def test_a_python_that_cannot_work_is_refused_in_one_line(checkout, version):
    (checkout / ".venv/installed").unlink()
    (checkout / "bin").mkdir()
    fake = f'exec {sys.executable} -c "import sys; sys.version_info = {version}; exec(sys.argv[1])" "$2"'
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(11, 15))):
        script(checkout / "bin" / name, fake)
    process = start(checkout, NEEDED_GB="0", PATH=f"{checkout / 'bin'}:{os.environ['PATH']}", PYTHON="")
    _, complaint = process.communicate(timeout=240)
    assert process.returncode == 1
    assert complaint.startswith("run_all.sh: no Python 3.11 to 3.14 with venv on the path; install one or say PYTHON=")
