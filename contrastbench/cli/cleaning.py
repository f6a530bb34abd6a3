"""The command that frees disk: `clean`."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

import typer
from rich.table import Table as Grid

from contrastbench.cli.app import app, complain, console, one_line_errors, places
from contrastbench.cli.choosing import asked_for
from contrastbench.cli.options import AnyScale, Targets
from contrastbench.runner.rows import run_folders
from contrastbench.runner.states import Spare, spare_files


@app.command("clean")
@one_line_errors
def clean_disk(
    targets: Targets = None,
    scale: AnyScale = None,
    artefacts: Annotated[
        bool,
        typer.Option("--artefacts", help="also what finished runs keep for other runs; it is made again when needed"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="delete the files; without this they are only listed")] = False,
) -> None:
    """Lists files of finished and killed runs that nothing reads again; --yes deletes them. Rows stay."""
    asked = asked_for(targets, scale)
    folders = asked.folders(places.runs, complain) if targets or scale else list(run_folders(places.runs))
    spare = spare_files(folders, artefacts=artefacts)
    if spare:
        console.print(_grid(spare))
    if yes:
        for each in spare:
            each.path.unlink(missing_ok=True)
    said = "freed" if yes else "can be freed; --yes does it" if spare else "can be freed"
    console.print(f"{len(spare)} files, {_megabytes(spare)} MB {said}")


def _grid(spare: list[Spare]) -> Grid:
    """A line for each paper and kind of file."""
    kinds: dict[tuple[str, str], list[Spare]] = defaultdict(list)
    for each in spare:
        kinds[each.path.parent.parent.name, each.kind].append(each)
    grid = Grid("paper", "kind", "files", "MB", box=None)
    for (paper, kind), files in sorted(kinds.items()):
        grid.add_row(paper, kind, str(len(files)), _megabytes(files))
    return grid


def _megabytes(files: list[Spare]) -> str:
    return f"{sum(each.size for each in files) / 1e6:.1f}"
