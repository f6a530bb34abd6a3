"""Commands that ship rows and check what is shipped: `collect`, `export` and `verify`.

What they need of scipy and matplotlib is imported inside them: ``plan`` and ``run`` must not wait for it.
"""

from pathlib import Path
from typing import Annotated

import typer

from contrastbench import papers
from contrastbench.cli.app import Folders, command, complain, complain_of, console
from contrastbench.cli.options import WhichAtAnyScale
from contrastbench.runner import files
from contrastbench.runner.provenance import SUITE
from contrastbench.runner.rows import sort_key
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import canonical_json


@command("collect")
def collect_rows(
    folders: Folders,
    what: Annotated[
        list[str] | None,
        typer.Argument(help="files and folders with rows, this machine's runs if not given; or papers to draw anew"),
    ] = None,
    into: Annotated[Path | None, typer.Option(help="the results folder that the rows are shipped into")] = None,
) -> None:
    """Says which rows of a file or folder stand in a table; `--into results` ships them and makes the tables anew.

    A row must be whole, its key must fit its content, and it must come from a clean commit of this history. It never
    replaces a shipped row. Tables and figures are made anew for the papers that are named and for those whose rows
    changed.
    """
    from contrastbench import shipping

    if into and into.exists() and not any(into.glob("*/rows.jsonl")) and (into.is_file() or any(into.iterdir())):
        raise ValueError(f"--into {into} is not a results folder: no PAPER/rows.jsonl is in it; give results")
    named = [each for each in what or () if each in papers.names() or not Path(each).exists()]
    here = [folders.runs] if not what and any(folders.runs.glob("*/*/row.json")) else []
    by_paper, problems = shipping.read_rows([*here, *(Path(each) for each in what or () if each not in named)])
    changed = {papers.paper(name).name for name in named}
    complain_of(problems)
    if problems:
        raise ValueError(
            f"{len(problems)} rows cannot be trusted, so none was taken; export the others to a file and collect that"
        )
    for name, rows in by_paper.items():
        reasons = shipping.sort_rows(papers.paper(name), rows, into or folders.results)
        devices = ", ".join(dict.fromkeys(row["device"] for row in rows.values()))
        console.print(f"{name}: {len(rows)} rows from {devices}", soft_wrap=True)
        for reason, alike in reasons.items():
            console.print(f"  {shipping.reason_text(reason, alike)}", soft_wrap=True)
        if into and (new := {row["key"]: row for row in reasons.get(shipping.TAKEN, ())}):
            console.print(str(into / name / "rows.jsonl"), soft_wrap=True)
            again = reasons.get(shipping.AGAIN, ())
            changed |= {name} if shipping.ship(papers.paper(name), new, into, again) else set()
    if into is not None:
        shipping.write_generated(into.absolute(), changed)


@command("export")
def export_rows(
    folders: Folders,
    out: Annotated[Path, typer.Argument(help="the file to write, one row a line; `collect` reads it elsewhere")],
    which: WhichAtAnyScale,
) -> None:
    """Writes this machine's rows, also those of failed runs, to one file for `collect` in another checkout."""
    meant = which.read().folders(folders.runs, complain)
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
