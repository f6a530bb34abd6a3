"""The pages are true: that on adding a paper works as it stands, commands exist, links lead somewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import command_line
import pytest
import typer

from contrastbench.cli.commands import app
from contrastbench.runner import studies
from contrastbench.runner.launchers import slurm
from contrastbench.selection import select

ROOT = Path(__file__).parents[1]
README, PAGE = ((ROOT / name).read_text() for name in ("README.md", "docs/add_a_paper.md"))
FILE = re.compile(r"`(benchmarks/temperature/\S+)`[^`]*?\n\n?```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the README's paper in it, as a reader would type it, and nothing else."""
    for name, content in FILE.findall(PAGE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def contrastbench(checkout, *arguments):
    path = os.pathsep.join([str(checkout), os.environ["PYTHONPATH"]])  # for workers
    return command_line.contrastbench(*arguments, runs=checkout / "runs", results=checkout / "results", PYTHONPATH=path)


@pytest.mark.slow
def test_the_page_on_adding_a_paper_works_as_it_stands(checkout):
    assert len(list((checkout / "benchmarks/temperature").iterdir())) == 4
    ran = contrastbench(checkout, "run", "temperature", "--scale", "smoke", "--seeds", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = contrastbench(checkout, "table", "temperature")
    assert "97.0 (unconfirmed)" in shown.stdout and "NT-Xent temperature=0.5" in shown.stdout, (
        shown.stdout + shown.stderr
    )
    drawn = contrastbench(checkout, "plot", "temperature", "--x", "temperature", "--out", str(checkout / "t.svg"))
    assert drawn.returncode == 0, drawn.stderr
    assert (checkout / "t.svg").read_text().count(">NT-Xent</text>") == 1, "one line over three temperatures"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The page's paper as an installed package of its own, with the entry point that the page tells."""
    for name, content in FILE.findall(PAGE):
        path = tmp_path / name.removeprefix("benchmarks/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("benchmarks.temperature", "temperature"))
    (tmp_path / "temperature-1.dist-info").mkdir()
    (line,) = re.findall(r"points.\"contrastbench.papers\".\n(\w+ = )\"(\w+)\"", PAGE)
    entry = f"[contrastbench.papers]\n{''.join(line)}\n"
    for name, content in {"METADATA": "Name: temperature\nVersion: 1\n", "entry_points.txt": entry}.items():
        (tmp_path / "temperature-1.dist-info" / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    studies.packages_of_others.cache_clear()
    yield tmp_path
    studies.packages_of_others.cache_clear()


@pytest.mark.slow
def test_the_pages_paper_works_as_a_package_too(package):
    tables = package / "temperature" / "tables.py"
    right = tables.read_text()
    tables.write_text("import a_missing_module\n")
    said = "paper temperature of the installed package temperature cannot be read: No module named 'a_missing_module'"
    assert contrastbench(package, "plan", "temperature") == (2, "", f"error: {said}\n")
    tables.write_text(right)
    ran = contrastbench(package, "run", "temperature", "--scale", "smoke", "--seeds", "1", "--set", "temperature=0.1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ticket, code = (
        json.loads(next(package.glob(f"runs/temperature/*/{name}.json")).read_text()) for name in ("config", "code")
    )
    assert ticket["config_type"] == "temperature.config:Config"
    assert {"temperature/train.py", "contrastbench/losses/debiased.py"} <= code.keys()
    assert {"temperature", "hard_negatives"} <= set(contrastbench(package, "list").stdout.split())
    assert "temperature/tables.py" in slurm._sources()


PAGES = sorted(
    path for path in (*ROOT.glob("**/README.md"), *ROOT.glob("docs/*.md")) if not {".venv", "runs"} & set(path.parts)
)


def commands(page):
    """The arguments of each ``contrastbench`` line in the blocks of code of a page."""
    text = page.read_text()
    blocks = [*re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL), *re.findall(r"^    (.*)$", text, re.MULTILINE)]
    lines = "\n".join(blocks).splitlines()
    typed = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("contrastbench ")]
    return [[each for word in words for each in expanded(word)] for words in typed]


def expanded(word):
    """``a/{b,c}`` is two words, as in the shell."""
    found = re.fullmatch(r"(.*)\{([^{}]*,[^{}]*)\}(.*)", word)
    return [f"{found[1]}{each}{found[3]}" for each in found[2].split(",")] if found else [word]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one_that_can_be_given(page):
    for arguments in commands(page):
        command, name = typer.main.get_command(app), "contrastbench"
        while hasattr(command, "commands"):
            name, *arguments = arguments
            command = command.commands[name]
        with command.make_context(name, list(arguments)) as context:
            given = context.params.get("target") or context.params.get("targets") or ()
        for target in [given] if isinstance(given, str) else given:
            if not target.startswith("temperature"):  # the page's own example
                select(target, context.params.get("scale") or "quick").cells()


def test_commands_are_found_on_the_pages():
    assert len(commands(ROOT / "README.md")) > 10
    assert sum(bool(commands(page)) for page in PAGES) > 4


def test_every_link_of_a_page_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


ABOUT_ALL_PAPERS = ("tests/test_project.py", "tests/test_results.py", "tests/test_meta_steps.py")


@pytest.mark.slow
def test_adding_the_readmes_paper_leaves_the_tests_green(tmp_path):
    """In a clone with the paper in its place, the tests that look at all papers pass."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    for name, content in FILE.findall(PAGE):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(content)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(clone), str(clone / "tests/toy")])}
    chosen = [*ABOUT_ALL_PAPERS, "-k", "arrows or torch or belong or temperature-"]
    command = [sys.executable, "-m", "pytest", "--quiet", "--numprocesses", "0", *chosen]
    told = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout[-3000:]
