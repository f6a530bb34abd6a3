"""Commands about the machine: `doctor` says whether it fits, `data` has its data sets, `clean` frees its disk."""

import importlib
import os
import platform
import shutil
import subprocess
import warnings
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.table import Table as Grid
from rich.text import Text

from contrastbench.cli.app import Folders, app, command, complain, console, in_one_line
from contrastbench.cli.options import DataSets, WhichAtAnyScale
from contrastbench.data import catalogue
from contrastbench.runner import provenance
from contrastbench.runner.devices import cores
from contrastbench.runner.states import spare_files

NEEDED_DISK_GB = 5.0
MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}  # where the names differ
WIDE_ENOUGH = 120  # characters for a line a data set with where it comes from and its terms


Check = tuple[bool | None, str, str]  # whether it fits (None: not there, and not needed), what, and what was found


@command("doctor")
def examine_machine(folders: Folders) -> None:
    """Checks that Python, packages, devices, data, disk and Slurm are as the suite needs them."""
    checks = [*_python(), *_packages(), *_devices(), *_disk(folders)]
    grid = Grid("", "what", "found", box=None)
    marks = {True: Text("ok", "green"), False: Text("no", "red"), None: Text("--", "dim")}
    for good, what, found in checks:
        grid.add_row(marks[good], what, found)
    console.print(grid)
    if any(good is False for good, _, _ in checks):
        raise typer.Exit(1)


def _python() -> Iterator[Check]:
    wanted = metadata.metadata("contrastbench")["Requires-Python"]
    yield SpecifierSet(wanted).contains(platform.python_version()), f"Python {wanted}", platform.python_version()
    if provenance.PROJECT == provenance.SUITE:
        yield None, "git", f"not needed: contrastbench {metadata.version('contrastbench')} is installed"
    else:
        refused = provenance.why_no_commit()
        yield not refused, "git", refused or str(provenance.git()["commit"])[:12]


def _packages() -> Iterator[Check]:
    """Imports every dependency of the suite: an installed package may still not fit the others."""
    for each in map(Requirement, metadata.requires("contrastbench") or ()):
        if each.marker and not each.marker.evaluate({"extra": ""}):
            continue
        version = ""
        try:
            version = metadata.version(each.name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecation warnings of packages are none of our business here
                importlib.import_module(MODULES.get(each.name, each.name.replace("-", "_")))
            yield True, each.name, version
        except Exception as error:  # a package may fail to import in any way
            broken = f"{version} cannot be imported: {in_one_line(error)[:200]}"
            yield False, each.name, broken if version else "missing: pip install -e ."


def _devices() -> Iterator[Check]:
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    yield True, "CPU cores", str(cores())
    yield bool(gpus) or None, "GPUs", ", ".join(gpus) or "none seen by torch"
    there = bool(shutil.which("sinfo"))
    answers = there and subprocess.run(["sinfo", "--noheader"], capture_output=True).returncode == 0
    silent = "no controller answers" if there else "no sinfo on the path"
    yield answers or None, "Slurm", "its controller answers" if answers else silent


def _disk(folders: Folders) -> Iterator[Check]:
    root = os.environ.get("CONTRASTBENCH_DATA")
    yield bool(root) or None, "CONTRASTBENCH_DATA", root or "not set: embedded sets, else downloads"
    for name, folder in (("runs", folders.runs), ("report", folders.report)):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free / 1e9
        yield os.access(there, os.W_OK) and free > NEEDED_DISK_GB, f"{name} folder", f"{folder} ({free:.0f} GB free)"


data_commands = typer.Typer(help="Lists, fetches and checks the data sets.")
app.add_typer(data_commands, name="data", no_args_is_help=True)


@command("list", data_commands)
def list_data() -> None:
    """Lists the data sets: first those that are here, your own among them, then those that can be fetched."""
    here = [*filter(catalogue.is_here, catalogue.DATA_SETS.values()), *catalogue.find_own()]
    elsewhere = [entry for entry in catalogue.DATA_SETS.values() if entry not in here]
    columns = ("name", "kind", "size", "from", "terms")[: 5 if console.width >= WIDE_ENOUGH else 3]
    grid = Grid(box=None)
    longest = max(len(entry.name) for entry in (*here, *elsewhere))
    for column in columns:
        grid.add_column(column, no_wrap=len(columns) < 5, min_width={"name": longest, "kind": 10}.get(column))
    for title, entries in (("here", here), ("not here", elsewhere)):
        grid.add_row(Text(title, "bold"))
        for entry in entries:
            grid.add_row(*(entry.name, entry.kind, entry.size, entry.origin, entry.terms)[: len(columns)])
    console.print(grid)
    if len(columns) < 5:
        console.print(f"where each comes from and its terms: in {WIDE_ENOUGH} columns", style="dim")
    console.print(f"data root: {catalogue.data_root()}", style="dim", soft_wrap=True)


@command("fetch", data_commands)
def fetch_data(names: DataSets = None) -> None:
    """Downloads the data sets that are not here and checks them, so that compute nodes without a network find them."""
    _load_each(names, download=True)


@command("check", data_commands)
def check_data(names: DataSets = None) -> None:
    """Loads data sets without a download, and says which known copy each one is."""
    _load_each(names, download=False)


def _load_each(names: list[str] | None, *, download: bool) -> None:
    """Loads each data set and prints its checksum. If one cannot be loaded, the others still are."""
    missing = 0
    for name in names or [name for name, entry in catalogue.DATA_SETS.items() if entry.embedded]:
        try:
            sha256 = catalogue.load(name, download=download).sha256
            console.print(f"{name}: {sha256[:16]} ({catalogue.copy_of(name, sha256).words})", soft_wrap=True)
        except (ValueError, OSError) as error:
            complain(f"{name}: {in_one_line(error)}")
            missing += 1
    if missing:
        raise typer.Exit(2)


@command("clean")
def clean_disk(
    folders: Folders,
    which: WhichAtAnyScale,
    artefacts: Annotated[
        bool,
        typer.Option("--artefacts", help="also what finished runs keep for other runs; it is made again when needed"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="delete the files; without this they are only listed")] = False,
) -> None:
    """Lists files of finished and killed runs that nothing reads again; --yes deletes them. Rows stay."""
    meant = which.read().folders(folders.runs, complain)
    spare = spare_files(meant, artefacts=artefacts)
    kinds: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for each in spare:
        kinds[each.parent.parent.name, each.name.lstrip(".").partition(".")[0]].append(each)
    grid = Grid("paper", "kind", "files", "MB", box=None)
    for (paper, kind), files in sorted(kinds.items()):
        grid.add_row(paper, kind, str(len(files)), _megabytes(files))
    if spare:
        console.print(grid)
    size = _megabytes(spare)
    if yes:
        for each in spare:
            each.unlink(missing_ok=True)
    what = "freed" if yes else "can be freed; --yes does it" if spare else "can be freed"
    console.print(f"{len(spare)} files, {size} MB {what}")


def _megabytes(files: list[Path]) -> str:
    return f"{sum(each.stat().st_size for each in files) / 1e6:.1f}"
