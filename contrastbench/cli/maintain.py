"""Commands that ship rows and check what is shipped: `collect`, `export` and `verify`.

What they need of scipy and matplotlib is imported inside them: ``plan`` and ``run`` must not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from contrastbench import papers
from contrastbench.cli.app import Folders, command, complain, complain_of, console
from contrastbench.cli.options import Seeds, Settings, WhichAtAnyScale
from contrastbench.runner import files
from contrastbench.runner.provenance import SUITE
from contrastbench.runner.rows import run_folders, sort_key
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import canonical_json


@command("collect")
def collect_rows(
    folders: Folders,
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
    from contrastbench import shipping
    from contrastbench.evidence import gather

    if into and into.exists() and not any(into.glob("*/rows.jsonl")) and (into.is_file() or any(into.iterdir())):
        raise ValueError(f"--into {into} is not a results folder: no PAPER/rows.jsonl is in it; give results")
    runs, results = folders.runs, folders.results
    paths = [Path(each) for each in what or () if each not in papers.names() and Path(each).exists()]
    named = [each for each in what or () if Path(each) not in paths]
    asked = WhichAtAnyScale(named, None, seeds, settings).read()
    changed = {each.paper.name for each in asked.selections} if named else set()
    if paths:
        changed |= _collect_files(paths, into, results)
    for selection in asked.selections if named or not paths else ():
        evidence = gather(selection.paper, runs, results)
        rows = shipping.promotable_rows(evidence)
        if seeds or settings or not selection.whole:
            wanted = {folder.name for folder in asked.folders(runs, complain)}
            rows = {key: row for key, row in rows.items() if key in wanted}
        complain_of(evidence.problems)
        console.print(f"{selection.paper.name}: {len(rows)} finished rows here stand in a table")
        if into is not None and rows:
            changed |= {selection.paper.name} if shipping.ship(selection.paper, rows, into) else set()
            console.print(str(into / selection.paper.name / "rows.jsonl"), soft_wrap=True)
    if into is not None:
        shipping.write_generated(into.absolute(), changed)


def _collect_files(paths: Sequence[Path], into: Path | None, results: Path) -> set[str]:
    """Says which rows of the files stand in a table, and ships those if ``into`` is given; the papers that changed."""
    from contrastbench import shipping

    by_paper, problems = shipping.read_rows(paths)
    complain_of(problems)
    if problems:
        raise ValueError(f"{len(problems)} rows cannot be trusted, so none was taken")
    changed = set()
    for name, rows in by_paper.items():
        reasons = shipping.sort_rows(papers.paper(name), rows, into or results)
        devices = ", ".join(dict.fromkeys(row["device"] for row in rows.values()))
        console.print(f"{name}: {len(rows)} rows from {devices}", soft_wrap=True)
        for reason, alike in reasons.items():
            console.print(f"  {shipping.reason_text(reason, alike)}", soft_wrap=True)
        if into and (new := {row["key"]: row for row in reasons.get(shipping.TAKEN, ())}):
            console.print(str(into / name / "rows.jsonl"), soft_wrap=True)
            again = reasons.get(shipping.AGAIN, ())
            changed |= {name} if shipping.ship(papers.paper(name), new, into, again) else set()
    return changed


@command("export")
def export_rows(
    folders: Folders,
    out: Annotated[Path, typer.Argument(help="the file to write, one row a line; `collect` reads it elsewhere")],
    which: WhichAtAnyScale,
) -> None:
    """Writes this machine's rows, also those of failed runs, to one file for `collect` in another checkout."""
    meant = run_folders(folders.runs) if which.is_everything else which.read().folders(folders.runs, complain)
    states = [state_of(folder) for folder in meant]
    complain_of(state.problem for state in states if state.problem)
    rows = sorted((state.row for state in states if state.row), key=sort_key)
    files.write_text(out, "".join(canonical_json(row) + "\n" for row in rows))
    dirty = sum(row["git"]["dirty"] is not False for row in rows)
    refused = f"; {dirty} come from a changed checkout, which `collect` refuses" if dirty else ""
    console.print(f"{out}: {len(rows)} rows{refused}", soft_wrap=True)


@command("verify")
def verify_results(folders: Folders) -> None:
    """Checks that rows are whole, that tables, figures and READMEs follow from them, and that rows here agree."""
    from contrastbench import shipping
    from contrastbench.evidence import agreement, gather

    runs, results = folders.runs, folders.results
    if not any(results.glob("*/rows.jsonl")):
        raise ValueError(f"no results in {results}: no PAPER/rows.jsonl is there")
    problems: list[str] = []
    if results == SUITE / "results":
        console.print("shipped rows, tables and figures: not checked, which needs a checkout of the repository")
    else:
        problems += shipping.stale_results(results)
        console.print(f"shipped rows, tables and figures: {len(problems) or 'no'} problems")
    for name in papers.names():
        evidence = gather(papers.paper(name), runs, results)
        agreed = agreement(evidence)
        if agreed.counts:
            console.print(f"{name}, here against shipped: {agreed}")
        problems += [*evidence.problems, *agreed.differing]
    complain_of(problems)
    if problems:
        raise typer.Exit(1)
