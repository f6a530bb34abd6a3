"""The wheel, installed and used in an empty folder: it needs no checkout and writes only where one works."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OUTSIDE = (".*", "runs", "build", "*.egg-info", "__pycache__")
TARGET = "hard_negatives/main/raw pixels (kNN)"  # seconds, without training


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*OUTSIDE))
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source"))
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment with the wheel, this one's packages behind it, and another package called benchmarks."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip("--python", str(folder / "bin/python"), "install", "--no-deps", "--no-index", str(wheel))
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "behind.pth").write_text(sysconfig.get_path("purelib"))
    (packages / "benchmarks").mkdir()
    (packages / "benchmarks" / "__init__.py").write_text("raise ImportError('not the benchmarks that were meant')")
    return folder


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments], check=True)


def use(environment, folder, *arguments, **variables):
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("CONTRASTBENCH")}
    command = [environment / "bin" / "contrastbench", *arguments]
    return subprocess.run(command, cwd=folder, env={**clean, **variables}, capture_output=True, text=True, timeout=300)


def test_the_wheel_has_one_name_at_its_top_and_is_small(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {"contrastbench"}
    assert wheel.stat().st_size < 8e6


def test_it_lists_and_shows_what_is_printed_and_shipped(environment, tmp_path):
    listed = use(environment, tmp_path, "list")
    missing = {path.parent.name for path in ROOT.glob("benchmarks/*/tables.py")} - {*listed.stdout.split()}
    assert not missing, listed.stdout + listed.stderr
    shown = use(environment, tmp_path, "table", "graph_contrastive/main/MUTAG/WL kernel", "--format", "csv")
    header, line = shown.stdout.splitlines()
    cell = dict(zip(header.split(","), line.split(","), strict=False))
    assert cell["published_value"] and cell["shipped_mean"] and not cell["here_mean"]
    refused = use(environment, tmp_path, "run", "hard_negatives", "--launcher", "slurm", "--profile", "none")
    assert "one_gpu" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_its_runs_go_to_the_working_folder_and_name_the_version(environment, tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)  # a repository of the user's own says nothing
    before = installed(environment)
    done = use(environment, tmp_path, "run", TARGET, "--scale", "smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = (json.loads(path.read_text()) for path in tmp_path.glob("runs/hard_negatives/*/row.json"))
    assert row["git"] == {"commit": None, "dirty": None} and row["versions"]["contrastbench"]
    said = use(environment, tmp_path, "show", row["key"][:12]).stdout
    assert f"contrastbench = {row['versions']['contrastbench']}" in said
    drawn = use(environment, tmp_path, "plot", "graph_contrastive/beta", "--x", "beta")
    assert list(tmp_path.glob("results/report/figures/graph_contrastive/*.svg")), drawn.stderr
    assert installed(environment) == before


def test_contrastbench_home_has_the_runs_where_it_is_set(environment, tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    done = use(environment, here, "run", TARGET, "--scale", "smoke", CONTRASTBENCH_HOME=str(there))
    assert done.returncode == 0, done.stderr
    assert list(there.glob("runs/hard_negatives/*/row.json")) and list(here.iterdir()) == []


def installed(environment):
    return {path for path in environment.rglob("*") if path.is_file() and path.suffix != ".pyc"}
