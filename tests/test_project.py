"""Facts about the project as a whole: its layers, its packaging, its words."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = (
    *("losses", "encoders", "data", "evaluation", "runner", "verdicts", "report", "readmes", "cli"),
    *("randomness", "training", "weights", "distributed", "papers", "settings", "selection", "reading", "timing"),
    *("names", "evidence", "drawing", "shipping", "verifying"),
)

# Who may import whom; each part may import itself.
ARROWS = {
    "losses": set(),
    "randomness": set(),
    "names": set(),
    "weights": set(),
    "distributed": set(),
    "training": {"randomness"},
    "timing": {"runner"},
    "data": {"randomness", "names"},
    "encoders": {"randomness", "data", "weights"},
    "evaluation": {"randomness", "data", "encoders", "weights", "training"},
    "runner": {"randomness", "distributed", "names"},
    "verdicts": {"runner", "data"},
    "report": {"runner", "verdicts"},
    "readmes": {"runner", "verdicts", "report"},
    "settings": {"runner"},
    "papers": {"runner"},
    "selection": {"runner", "papers", "settings", "names"},
    "reading": {"runner", "selection"},
    "evidence": {"runner", "papers", "selection", "verdicts"},
    "drawing": {"runner", "papers", "selection", "verdicts", "evidence", "report", "readmes"},
    "verifying": {"runner", "verdicts", "evidence"},
    "shipping": {"runner", "papers", "evidence", "drawing", "report", "readmes", "verdicts", "verifying"},
    "cli": {
        *("runner", "verdicts", "report", "readmes", "papers", "settings", "selection", "reading", "data"),
        *("evidence", "drawing", "shipping", "verifying", "losses", "names"),
    },
    "baselines": {"losses", "encoders", "data", "evaluation", "randomness", "weights", "training"},
    "benchmarks": {
        *("losses", "encoders", "data", "evaluation", "randomness", "weights", "training"),
        *("distributed", "timing", "runner", "baselines", "report", "verdicts"),
    },
}
# What the runner offers to papers and to the report: no more than this.
RUNNER_FOR_PAPERS = {"contrastbench.runner"}
RUNNER_FOR_REPORT = {f"contrastbench.runner{module}" for module in ("", ".vocabulary", ".studies", ".files")}
DATA_FOR_VERDICTS = {"contrastbench.data.catalogue"}  # which copy of the data a row was made on; no torch
REPORT_FOR_PAPERS = {"contrastbench.report.style", "contrastbench.report.curves"}
VERDICTS_FOR_PAPERS = {"contrastbench.verdicts.claims", "contrastbench.verdicts.statistics"}  # words, and numbers
NO_TORCH = (*("verdicts", "report", "readmes", "papers", "settings", "selection", "reading", "shipping", "cli"),)


def imports_of(path: Path) -> set[str]:
    """Every module that the file names in an import, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports name the whole module, so that its arrow is seen"
            found.add(node.module)
            found |= {name for alias in node.names if is_module(name := f"{node.module}.{alias.name}")}
    return found


def is_module(name: str) -> bool:
    """Whether the name is one of our files or folders: ``from contrastbench.runner import execute`` names one."""
    place = ROOT.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").exists()


def part_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "contrastbench" and len(parts) > 1 else parts[0]


def source_files() -> list[Path]:
    return [path for top in ("contrastbench", "baselines", "benchmarks") for path in sorted((ROOT / top).rglob("*.py"))]


def test_a_module_behind_a_packages_name_is_seen(tmp_path):
    path = tmp_path / "paper.py"
    path.write_text("from contrastbench.runner import Cell, execute\nfrom contrastbench import report\n")
    names = {"contrastbench", "contrastbench.runner", "contrastbench.runner.execute", "contrastbench.report"}
    assert imports_of(path) == names


def test_papers_name_what_they_take_from_the_suite():
    """``from contrastbench import runner`` would give a paper all of the runner, whatever the arrows say."""
    for path in (path for path in source_files() if part_of(path) == "benchmarks"):
        imports = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        whole = {
            alias.name for node in imports for alias in node.names if getattr(node, "module", "") == "contrastbench"
        }
        whole |= {alias.name.split(".")[-1] for node in imports if isinstance(node, ast.Import) for alias in node.names}
        assert not whole & {"runner", "report"}, path


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path):
    part = part_of(path)
    if part == "__init__":
        return
    for module in imports_of(path):
        if not module.startswith(("contrastbench.", "baselines", "benchmarks")):
            continue
        target = module.split(".")[1] if module.startswith("contrastbench.") else module.split(".")[0]
        if target == part and part != "benchmarks":
            continue
        if part == "benchmarks" and target == "benchmarks":
            assert module.split(".")[1] == path.relative_to(ROOT).parts[1], f"one paper imports another: {module}"
        elif part == "papers" and target == "benchmarks":
            continue  # where papers are found
        else:
            assert target in ARROWS[part], f"{part} must not import {module}"
        if target == "runner" and part == "benchmarks":
            assert module in RUNNER_FOR_PAPERS, f"papers use the runner's vocabulary only, not {module}"
        if target == "runner" and part in ("verdicts", "report", "readmes"):
            assert module in RUNNER_FOR_REPORT, f"{part} knows words and files of the runner, not {module}"
        if target == "data" and part == "verdicts":
            assert module in DATA_FOR_VERDICTS, f"verdicts know the catalogue of data sets only, not {module}"
        if target == "verdicts" and part == "benchmarks":
            assert module in VERDICTS_FOR_PAPERS, (
                f"papers use the vocabulary of claims and statistics only, not {module}"
            )
        if target == "report" and part == "benchmarks":
            assert module in REPORT_FOR_PAPERS, f"papers use the report's style only, not {module}"


def loaded_by(parts: tuple[str, ...], then: str = "") -> set[str]:
    """The packages that a fresh process has loaded after it imported every module of these parts."""
    code = (
        "import importlib, pkgutil, sys\n"
        f"tops = [importlib.import_module('contrastbench.' + part) for part in {parts}]\n"
        "found = [m for t in tops for m in pkgutil.iter_modules(getattr(t, '__path__', ()), t.__name__ + '.')]\n"
        "[importlib.import_module(each.name) for each in found if not each.name.endswith('__main__')]\n"
        f"{then}\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_planning_and_reporting_never_import_torch():
    every_cell = "[each.cells() for each in sys.modules['contrastbench.selection'].read_targets(None).selections]"
    loaded = loaded_by(NO_TORCH, every_cell)
    assert {"jinja2", "matplotlib"} <= loaded and "torch" not in loaded


def test_a_verdict_needs_nothing_that_draws():
    loaded = loaded_by(("verdicts",))
    assert "scipy" in loaded and not loaded & {"torch", "matplotlib", "jinja2", "rich", "typer"}


def test_environment_yml_is_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    lines = (ROOT / "environment.yml").read_text().splitlines()
    pip = [line.strip().removeprefix("- ") for line in lines if line.startswith("      - ")]
    assert pip == [*wanted, "--editable ."]
    assert f"  - python{project['requires-python']}" in lines


LOCKED = re.compile(r'([a-z0-9-]+)==([\w.]+)( ; sys_platform == "\w+" and platform_machine == "\w+")?')


def locked_versions() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    matches = [LOCKED.fullmatch(line) for line in lines]
    assert all(matches), "constraints.txt must hold names and versions only: write it with .ci/lock"
    return {match[1]: match[2] for match in matches}


def test_every_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in wanted}
    assert names <= locked_versions().keys(), "write constraints.txt anew with .ci/lock"


def test_the_lock_holds_the_versions_of_the_shipped_rows():
    """Of those made on a CPU, which a rerun must repeat bit for bit."""
    locked = locked_versions()
    files = (ROOT / "results").glob("*/rows.jsonl")
    shipped = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    on_cpu = [row for row in shipped if row["device"].startswith("cpu")]
    assert len(on_cpu) > 1000
    for row in on_cpu:
        versions = {name: version for name, version in row["versions"].items() if name in locked}
        assert versions == {name: locked[name] for name in versions}, row["key"]


def test_required_top_level_is_there():
    for name in [
        "benchmarks",
        "baselines",
        "results",
        "notebooks",
        "slurm",
        "constraints.txt",
        "environment.yml",
        "run_all.sh",
        "README.md",
        "LICENSE",
    ]:
        assert (ROOT / name).exists(), name
