"""Nothing says the wrong thing: each mistake and each damage has one line that is right."""

import dataclasses
import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from command_line import contrastbench
from PIL import Image
from typer.testing import CliRunner

from contrastbench import papers, shipping
from contrastbench.cli import machine
from contrastbench.cli.commands import app
from contrastbench.runner import provenance
from contrastbench.runner.rows import read_row, rows_shipped
from contrastbench.verdicts.published import read_published

ROOT = Path(__file__).parents[1]


def run(invoke, *arguments):
    return invoke("run", "toy/main/Noise8/Plain", "--seeds", "1", "--launcher", "inline", *arguments)


def only_line(told):
    assert told.returncode == 2, told.stdout
    (line,) = told.stderr.splitlines()
    return line


def test_a_metric_that_train_does_not_return_is_the_papers_error(invoke, monkeypatch):
    studies = papers.paper("toy").tables
    monkeypatch.setitem(studies, "main", dataclasses.replace(studies["main"], metrics=["test_top5_percent"]))
    told = run(invoke)
    assert told.returncode == 1
    assert told.stderr.strip() == (
        "error: toy/main/Noise8/Plain: 1 finished runs have no 'test_top5_percent', which tables.py names; "
        "train returned: test_top1_percent. Correct one of the two (and raise the version in PAPER)"
    )


def test_a_budget_says_what_fits(invoke):
    invoke("run", "toy/main", "--seeds", "1", "--launcher", "inline")
    told = invoke("run", "toy/main", "--seeds", "2", "--launcher", "inline", "--budget", "1m")
    assert "budget 1m: 4 of 4 runs fit, about " in told.stdout


def test_a_budget_starts_nothing_whose_cost_is_unknown_and_says_so(invoke):
    told = run(invoke, "--budget", "1h")
    assert "budget 1h: 0 of 1 runs fit, about 0 s on one slot" in told.stdout
    assert "nothing like 1 of them was measured" in told.stdout
    assert "0 to start" in told.stdout


def test_collect_goes_into_results_folders_only(invoke, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.png").write_text("")
    line = only_line(invoke("collect", "toy", "--into", str(tmp_path / "pictures")))
    assert line.startswith(
        f"error: --into {tmp_path / 'pictures'} is not a results folder: no PAPER/rows.jsonl is in it"
    )
    line = only_line(invoke("collect", "toy", "--into", str(tmp_path / "pictures" / "cat.png")))
    assert "cat.png is not a results folder" in line


def test_collect_and_export_take_seeds_and_settings(invoke, tmp_path):
    invoke("run", "toy/main", "--seeds", "3", "--launcher", "inline")
    run(invoke, "--set", "gain=2")
    told = invoke("export", str(tmp_path / "rows.jsonl"), "toy/main/Noise8", "--seeds", "0-1")
    assert f"{tmp_path / 'rows.jsonl'}: 5 rows" in told.stdout
    told = invoke("export", str(tmp_path / "own.jsonl"), "toy/main/Noise8/Plain", "--seeds", "1", "--set", "gain=2")
    assert f"{tmp_path / 'own.jsonl'}: 1 rows" in told.stdout
    assert only_line(invoke("export", str(tmp_path), "toy")) == f"error: {tmp_path}: is a directory"


def test_rows_at_smoke_scale_are_not_shipped(invoke, tmp_path):
    run(invoke, "--scale", "smoke")
    rows = {path.parent.name: read_row(path) for path in tmp_path.glob("runs/toy/*/row.json")}
    reasons = shipping.sort_rows(papers.paper("toy"), rows, tmp_path / "results")
    assert reasons == {"at smoke scale, whose numbers mean nothing": list(rows.values())}


def test_published_numbers_in_another_encoding_are_named_by_their_file(invoke, tmp_path):
    path = tmp_path / "published.csv"
    header = (papers.paper("toy").folder / "published.csv").read_bytes().splitlines()[0]
    for content in (header + b"\nmain,Noise8,M\xe9thode", b"\x00" + header):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{path}:\d: .*"):
            read_published(path)


def test_a_terminal_never_obeys_what_a_folder_is_called(invoke, tmp_path):
    """An escape sequence in a name could hide text or write into the window's title."""
    name = "loud\x1b[31mnoise"
    for kind in ("a", "b"):
        (tmp_path / "data" / name / kind).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "data" / name / kind / "1.png")
    for command in (("data", "list"), ("data", "check", name), ("data", "check", f"{name}s")):
        told = invoke("--data-root", str(tmp_path / "data"), *command)
        assert "loud\N{REPLACEMENT CHARACTER}[31mnoise" in told.stdout + told.stderr, command
        assert "\x1b" not in told.stdout + told.stderr, command


def test_a_damaged_line_of_shipped_rows_says_how_the_file_comes_back(tmp_path):
    (tmp_path / "toy").mkdir()
    path = tmp_path / "toy" / "rows.jsonl"
    path.write_text('{"schema": 1, "key"')
    with pytest.raises(ValueError) as told:
        rows_shipped(tmp_path, "toy")
    assert str(told.value).startswith(f"{path}:1 is not whole JSON")
    assert str(told.value).endswith(f"; shipped rows come back with `git checkout -- {path}`")


def test_verify_names_damaged_local_rows(invoke, tmp_path):
    run(invoke)
    (row,) = tmp_path.glob("runs/toy/*/row.json")
    row.write_bytes(row.read_bytes()[:50])
    (tmp_path / "results" / "toy").mkdir(parents=True, exist_ok=True)
    (tmp_path / "results" / "toy" / "rows.jsonl").touch()
    told = invoke("verify")
    assert told.returncode == 1 and f"{row} is not whole JSON" in told.stderr


def test_a_checkout_of_another_user_is_named_with_what_helps(monkeypatch, tmp_path):
    refusing = tmp_path / "git"
    refusing.write_text("#!/bin/sh\necho 'fatal: detected dubious ownership in repository' >&2\nexit 128\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said = f"another user owns this checkout; git config --global --add safe.directory {provenance.PROJECT}"
    assert provenance.why_no_commit() == said
    assert (False, "git", said) in machine._python()


def test_an_unknown_user_without_a_home_gets_one_line(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("CONTRASTBENCH_DATA", raising=False)
    told = contrastbench("data", "list")
    assert only_line(told).startswith("error: no home folder is known here, so say where data sets are: --data-root")


def test_doctor_imports_every_dependency(monkeypatch):
    wanted = {line.split(">")[0] for line in metadata.requires("contrastbench") if "extra" not in line}
    checks = {name: good for good, name, _ in machine._packages()}
    assert set(checks) == wanted and all(checks.values())

    def broken(name):
        raise ImportError("numpy.core.multiarray failed to import")

    monkeypatch.setattr(machine.importlib, "import_module", broken)
    monkeypatch.setattr(
        machine.metadata, "requires", lambda name: ["numpy", "no-such-package", 'pytest; extra == "dev"']
    )
    (good, name, said), missing = machine._packages()
    assert (good, name) == (False, "numpy") and said.endswith(
        "cannot be imported: numpy.core.multiarray failed to import"
    )
    assert missing == (False, "no-such-package", "missing: pip install -e .")


@pytest.mark.parametrize(
    ("version", "fits"), [("3.10.9", False), ("3.11.0", True), ("3.14.2", True), ("3.15.0", False)]
)
def test_doctor_knows_which_pythons_fit(monkeypatch, version, fits):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    monkeypatch.setattr(machine.metadata, "metadata", lambda name: {"Requires-Python": project["requires-python"]})
    monkeypatch.setattr(machine.platform, "python_version", lambda: version)
    assert next(machine._python())[0] is fits


def test_logs_follow_a_run_to_its_end(tmp_path):
    command = [sys.executable, "-m", "contrastbench.cli", "--runs", str(tmp_path)]
    front = subprocess.Popen(
        [*command, "run", "toy/slow", "--seeds", "1", "--launcher", "inline", "--set", "epochs=6"],
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 240
    while not list(tmp_path.glob("toy/*/claim.1")) and time.monotonic() < until:
        time.sleep(0.05)
    (folder,) = tmp_path.glob("toy/*")
    said = contrastbench("logs", folder.name[:12], "-f", runs=tmp_path).stdout
    assert front.wait(timeout=240) == 0
    assert said.count('"loss"') == 6 and said.splitlines()[-1] == "now: done"


def test_logs_of_nothing_say_what_they_want(invoke):
    assert only_line(invoke("logs")).startswith("error: whose logs? Give a run's key")
    assert only_line(invoke("logs", "toy/main")).startswith("error: no run of toy/main was begun here (looked in ")


def test_completion_can_be_installed():
    told = CliRunner().invoke(app, ["--help"])
    assert "--install-completion" in told.stdout and "--show-completion" in told.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("run toy/ma", ["toy/main", "toy/many"]),
        ("run toy/main/", ["toy/main/Noise8", "toy/main/Noise16"]),
        ("plan hard", ["hard_negatives", "hard_negatives/main"]),
        ("table nothing/", []),
        ("table toy/nothing/", []),
        ("status --scale ", ["smoke", "quick", "lite", "paper"]),
        ("run --launcher l", ["local"]),
        ("run --profile one", ["one_gpu"]),
        ("data check MUT", ["MUTAG"]),
    ],
)
def test_the_shell_is_offered_papers_tables_data_sets_and_choices(typed, offered):
    words = f"contrastbench {typed}"
    asked = {"_CONTRASTBENCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    told = CliRunner().invoke(app, [], env=asked, prog_name="contrastbench")
    assert told.stdout.split()[: max(1, len(offered))] == offered
