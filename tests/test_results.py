"""What is committed in results/ and inside Markdown files follows from the shipped rows, and `verify` would notice."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contrastbench import papers
from contrastbench.runner.rows import read_row, sealed, write_row, write_shipped

PROJECT = Path(__file__).parents[1]


def verify(runs, results):
    command = [sys.executable, "-m", "contrastbench.cli", "--runs", str(runs), "--results", str(results), "verify"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def results(tmp_path):
    return shutil.copytree(PROJECT / "results", tmp_path / "results", ignore=shutil.ignore_patterns("report"))


def test_committed_tables_figures_and_readmes_follow_from_the_rows(tmp_path):
    done = verify(tmp_path / "runs", PROJECT / "results")
    assert done.returncode == 0, done.stderr
    assert "shipped rows, tables and figures: no problems" in done.stdout


def test_a_better_number_in_a_row_is_noticed(tmp_path, results):
    path = results / "graph_contrastive" / "rows.jsonl"
    first, _, rest = path.read_text().partition("\n")
    row = json.loads(first)
    row["metrics"] = dict.fromkeys(row["metrics"], 99.0)
    path.write_text(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" + rest)
    done = verify(tmp_path / "runs", results)
    assert done.returncode == 2 and "was changed after it was written" in done.stderr


def test_a_table_and_a_figure_that_do_not_follow_are_named(tmp_path, results):
    table = results / "hard_negatives" / "tables" / "main-quick.md"
    table.write_text(table.read_text().replace("SimCLR", "SimCLR!"))
    figure = results / "hard_negatives" / "figures" / "main-quick.svg"
    figure.write_text("<svg/>")
    done = verify(tmp_path / "runs", results)
    assert done.returncode == 1
    assert f"{table} does not follow from the rows" in done.stderr
    assert f"{figure} was made from other rows" in done.stderr
    assert f"{figure} is not what the manifest says" in done.stderr


def test_rows_made_here_are_compared_with_the_shipped_ones(tmp_path):
    """Equal ones, one that differs on the same machine, and a cell of another machine: off by a little, off by much."""
    runs, results = tmp_path / "runs", tmp_path / "results"
    command = [
        sys.executable,
        "-m",
        "contrastbench.cli",
        "--runs",
        str(runs),
        "run",
        "toy/main",
        "--launcher",
        "inline",
    ]
    subprocess.run(command, check=True, capture_output=True)
    paths = {path: read_row(path) for path in runs.glob("toy/*/row.json")}
    write_shipped(results, "toy", paths.values())
    for path, row in paths.items():
        moved = {("Noise8", "Better"): 0.01, ("Noise16", "Better"): 50.0}.get((row["dataset"], row["method"]), 0.0)
        same = (row["dataset"], row["method"], row["seed"]) == ("Noise8", "Plain", 0)
        host = row["host"] if not moved else {**row["host"], "cpu": "another"}
        metrics = {name: value + moved + same for name, value in row["metrics"].items()}
        write_row(path, sealed({**row, "metrics": metrics, "host": host}))
    done = verify(runs, results)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "toy, here against shipped: " in said
    for words in (
        "5 bit for bit",
        "1 differs",
        "6 other machine",
        "2 cells with these and two seeds 1 within the noise",
    ):
        assert words in said, said
    assert "toy/main/Noise16/Better" in done.stderr and "more than the noise of the seeds" in done.stderr
    assert "toy/main/Noise8/Better" not in done.stderr


def test_the_papers_with_shipped_rows_are_those_of_the_suite():
    shipped = {path.parent.name for path in (PROJECT / "results").glob("*/rows.jsonl")}
    assert shipped == set(papers.names()) - {"toy"}
