"""Commands that read rows and make tables, figures and the report of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contrastbench import papers
from contrastbench.cli.app import app, complain, console, one_line_errors, places, selections
from contrastbench.cli.planning import Targets
from contrastbench.runner.rows import rows_here, rows_shipped, write_shipped


@app.command("collect")
@one_line_errors
def collect_rows(
    targets: Targets = None,
    into: Annotated[Path | None, typer.Option(help="the results folder that finished rows are promoted into")] = None,
) -> None:
    """Gathers the rows of this machine; with `--into results` promotes the finished, declared ones to shipped rows."""
    for selection in selections(targets):
        name = selection.paper.name
        here, problems = rows_here(places.runs, name)
        for problem in problems:
            complain(problem)
        declared = {run.key for _, cell in selection.paper.all_cells() for run in cell.runs}
        promoted = {row["key"]: row for row in here if row["status"] == "done" and row["key"] in declared}
        console.print(f"{name}: {len(here)} rows here, {len(promoted)} of them done and in a table")
        if into is not None:
            dirty = sum(row["git"]["dirty"] is not False for row in promoted.values())
            if dirty:
                raise ValueError(f"{dirty} rows of {name} come from a changed checkout; run them from a commit")
            old = {row["key"]: row for row in rows_shipped(into, name) if row["key"] in declared}
            if merged := {**old, **promoted}:
                path = write_shipped(into, name, merged.values())
                console.print(f"{path}: {len(merged)} rows")


_ = papers, typer  # the tables, plots and the report join here
