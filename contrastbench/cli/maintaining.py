"""Commands that ship rows and check what is shipped: `collect`, `export` and `verify`.

What they need of scipy and matplotlib is imported inside them: ``plan`` and ``run`` must not wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contrastbench import papers
from contrastbench.cli.app import app, complain, console, one_line_errors, places
from contrastbench.cli.choosing import asked_for
from contrastbench.cli.options import AnyScale, Seeds, Settings, Targets


@app.command("collect")
@one_line_errors
def collect_rows(
    what: Annotated[
        list[str] | None, typer.Argument(help="papers, or files and folders with rows made elsewhere")
    ] = None,
    into: Annotated[Path | None, typer.Option(help="the results folder that finished rows are promoted into")] = None,
    seeds: Seeds = None,
    settings: Settings = None,
) -> None:
    """Counts the rows made here, or in files from elsewhere; `--into results` ships them and makes the tables anew.

    A row from elsewhere must be whole, its key must fit its content, and it must come from a clean commit of this
    history. It never replaces a shipped row. Tables and figures are made anew for the papers that are named and for
    those whose rows changed.
    """
    from contrastbench.cli import carrying, shipping

    check_is_results_folder(into)
    paths = [Path(each) for each in what or () if each not in papers.names() and Path(each).exists()]
    named = [each for each in what or () if Path(each) not in paths]
    asked = asked_for(named, None, seeds, settings)
    changed = {each.paper.name for each in asked.selections} if named else set()
    if paths:
        changed |= carrying.collect_files(paths, into)
    for selection in asked.selections if named or not paths else ():
        rows, problems = shipping.promotable_rows(selection.paper)
        if seeds or settings or not selection.whole:
            wanted = {folder.name for folder in asked.folders(places.runs, complain)}
            rows = {key: row for key, row in rows.items() if key in wanted}
        for problem in problems:
            complain(problem)
        console.print(f"{selection.paper.name}: {len(rows)} finished rows here stand in a table")
        if into is not None and rows:
            changed |= {selection.paper.name} if shipping.ship(selection.paper, rows, into) else set()
            console.print(str(into / selection.paper.name / "rows.jsonl"), soft_wrap=True)
    if into is not None:
        places.results = into.absolute()
        shipping.write_generated(changed)


def check_is_results_folder(folder: Path | None) -> None:
    """Refuses a folder for shipped rows unless it holds results, is empty or is new.

    Raises:
        ValueError: it is a file, or a folder of other things.
    """
    if folder is None or not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"--into {folder} is a file; give a results folder, as --into results")
    if any(folder.iterdir()) and not any(folder.glob("*/rows.jsonl")):
        raise ValueError(
            f"--into {folder} is not a results folder: no PAPER/rows.jsonl is in it; give results, or a new one"
        )


@app.command("export")
@one_line_errors
def export_rows(
    out: Annotated[Path, typer.Argument(help="the file to write, one row a line; `collect` reads it elsewhere")],
    targets: Targets = None,
    scale: AnyScale = None,
    seeds: Seeds = None,
    settings: Settings = None,
) -> None:
    """Writes this machine's rows, also those of failed runs, to one file for `collect` in another checkout."""
    from contrastbench.cli import carrying

    carrying.export(out, targets, scale, seeds, settings)


@app.command("verify")
@one_line_errors
def verify_results() -> None:
    """Checks that rows are whole, that tables, figures and READMEs follow from them, and that rows here agree."""
    from contrastbench.cli import agreeing, shipping
    from contrastbench.cli.gathering import gather

    if not any(places.results.glob("*/rows.jsonl")):
        raise ValueError(f"no results in {places.results}: no PAPER/rows.jsonl is there")
    problems = shipping.stale_results()
    console.print(f"shipped rows, tables and figures: {len(problems) or 'no'} problems")
    for name in papers.names():
        gathered = gather(papers.paper(name))
        agreement = agreeing.agreement(gathered)
        if agreement.counts:
            console.print(f"{name}, here against shipped: {agreement}")
        problems += [*gathered.problems, *agreement.differing]
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)
