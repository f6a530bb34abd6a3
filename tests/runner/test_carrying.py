"""Rows that another machine made: exported there, checked and collected here."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import contrastbench

from contrastbench.runner import provenance
from contrastbench.runner.rows import read_row, rows_in, rows_shipped, seal, write_row, write_shipped
from contrastbench.runner.vocabulary import canonical_json, key_of

COMMIT = provenance.git()["commit"]


@pytest.fixture(scope="module")
def elsewhere(bench_type, tmp_path_factory):
    """A runs folder with two seeds of a chain and a failed run, made by a clean commit on another kind of device."""
    bench = bench_type(tmp_path_factory.mktemp("elsewhere") / "runs")
    bench.run_inline("staged/main/Plain", seeds=[0, 1])
    bench.run_inline("staged/splits/split a", seeds=[0], settings={"rounds": "7"})  # in no table
    bench.run_inline("toy/faults", seeds=[0])
    for path in bench.folder.glob("*/*/row.json"):
        git = {"commit": COMMIT, "dirty": False}
        write_row(path, seal({**read_row(path), "git": git, "device": "GPU A"}))
    done = bench.command("export", str(bench.folder.parent / "carried.jsonl"))
    assert done.returncode == 0 and "carried.jsonl: 15 rows" in done.stdout, done.stdout + done.stderr
    return bench


@pytest.fixture
def carried(elsewhere, tmp_path):
    """A copy of the file that `export` wrote there."""
    return Path(shutil.copy(elsewhere.folder.parent / "carried.jsonl", tmp_path))


@pytest.fixture
def command(tmp_path):
    """A command on this machine: nothing was run here, and results/ has what was shipped before."""

    def invoke(*arguments, runs="runs here"):
        return contrastbench(*map(str, arguments), runs=tmp_path / runs, results=tmp_path / "results")

    return invoke


def test_what_was_exported_is_collected_with_the_rows_it_needs(elsewhere, carried, tmp_path, command):
    done = command("collect", carried)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "staged: 11 rows from GPU A" in said
    assert "  10 new and in a table or needed by one" in said
    assert "  1 in no table: noise8/split a [rounds=7]" in said
    assert "toy: 4 rows from GPU A" in said
    assert "  3 new and in a table or needed by one, 2 of them failed" in said
    assert "  1 to be run again (out_of_memory): Noise8/Grows" in said
    assert not (tmp_path / "results").exists(), "it was only asked"
    done = command("collect", carried, "--into", tmp_path / "results")
    shipped = rows_shipped(tmp_path / "results", "staged")
    assert sorted(row["stage"] for row in shipped) == ["discover"] * 6 + ["mean"] * 2 + ["pretrain"] * 2
    assert all(row["device"] == "GPU A" for row in shipped)
    statuses = [row["status"] for row in rows_shipped(tmp_path / "results", "toy")]
    assert sorted(statuses) == ["diverged", "done", "failed"]
    assert "1 failed" in (tmp_path / "results" / "toy" / "tables" / "faults-quick.md").read_text()
    again = command("collect", elsewhere.folder, "--into", tmp_path / "results")
    assert "  10 already shipped: " in again.stdout, "a runs folder is read as well, and nothing changes"
    assert rows_shipped(tmp_path / "results", "staged") == shipped


def test_a_shipped_row_is_not_replaced_by_one_from_elsewhere(elsewhere, carried, tmp_path, command):
    (row,) = [row for row in rows_in(carried) if row["stage"] == "mean" and row["seed"] == 0]
    own = seal({**row, "device": "cpu", "metrics": {"test_mean_percent": 1.0}})
    others = [row for row in rows_in(carried) if row["paper"] == "staged" and row["key"] != own["key"]]
    write_shipped(tmp_path / "results", "staged", [own, *others])
    done = command("collect", carried, "--into", tmp_path / "results")
    assert "  1 shipped already, made elsewhere: noise8/Plain" in done.stdout
    assert own in rows_shipped(tmp_path / "results", "staged")


def spoilt(row, how):
    if how == "changed":
        return {**row, "metrics": {"test_mean_percent": 99.0}}
    if how == "another seed":
        return seal({**row, "seed": 77})
    if how == "lacking":
        return seal({name: value for name, value in row.items() if name != "selection"})
    if how == "no number":
        return seal({**row, "metrics": {"test_mean_percent": "x"}})
    if how == "no commit":
        return seal({**row, "git": None})
    if how == "twice":
        return seal({**row, "seconds": 0.5})
    if how == "unknown paper":
        row = {**row, "paper": "nothing"}
        return seal({**row, "key": key_of(row)})
    git = {"dirty": {"commit": COMMIT, "dirty": True}, "foreign": {"commit": "c0ffee" * 6, "dirty": False}}[how]
    return seal({**row, "git": git})


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("changed", "was changed after it was written: its sha256 does not match"),
        ("another seed", "has another key than what it says it is"),
        ("lacking", "lacks selection"),
        ("no number", "has metrics = {'test_mean_percent': 'x'}"),
        ("no commit", "has git = None"),
        ("twice", "appears twice, with other content"),
        ("unknown paper", "is of the unknown paper 'nothing'"),
        ("dirty", "comes from a checkout with changes that no commit holds"),
        ("foreign", "comes from commit c0ffeec0ffee, which is not in this history"),
    ],
)
def test_a_row_that_cannot_be_trusted_is_named_and_none_is_taken(elsewhere, carried, tmp_path, command, how, said):
    rows = rows_in(carried)
    last = rows[-1]
    rows = [*rows, spoilt(last, how)] if how == "twice" else [*rows[:-1], spoilt(last, how)]
    carried.write_text("".join(canonical_json(row) + "\n" for row in rows))
    done = command("collect", carried, "--into", tmp_path / "results")
    assert (done.returncode, said in done.stderr) == (2, True)
    assert not (tmp_path / "results").exists()


def test_a_folder_without_rows_and_a_name_that_is_neither_are_told(tmp_path, command):
    (tmp_path / "empty").mkdir()
    done = command("collect", tmp_path / "empty")
    assert (done.returncode, "there are no rows in" in done.stderr) == (2, True)
    done = command("collect", "nothing")
    assert (done.returncode, "unknown paper 'nothing'" in done.stderr) == (2, True)


def test_export_says_what_collect_will_refuse(elsewhere, tmp_path, command):
    bench = type(elsewhere)(shutil.copytree(elsewhere.folder, tmp_path / "runs"))
    path = next(bench.folder.glob("staged/*/row.json"))
    write_row(path, seal({**read_row(path), "git": {"commit": COMMIT, "dirty": True}}))
    done = command("export", tmp_path / "out.jsonl", "staged", runs="runs")
    assert "11 rows; 1 come from a changed checkout, which `collect` refuses" in done.stdout
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(lines) == 11 and all(json.loads(line)["paper"] == "staged" for line in lines)
