"""Ships rows: writes those that are committed, and the tables, figures and READMEs that follow from them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from contrastbench import papers
from contrastbench.cli import verifying
from contrastbench.cli.app import places
from contrastbench.cli.drawing import standard_figures
from contrastbench.cli.gathering import Gathered, gather
from contrastbench.cli.side_by_side import side_by_side
from contrastbench.papers import Paper
from contrastbench.readmes import blocks
from contrastbench.report import style
from contrastbench.report.formats import latex, markdown
from contrastbench.report.style import svg_bytes
from contrastbench.report.tables import csv_text, sheet
from contrastbench.runner import files, provenance
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.rows import Row, rows_digest, rows_shipped, write_shipped

# What a run's settings brought about, failures too. Memory and time are limits of a machine: such a run is run again.
SHIPPED = ("done", "failed", "diverged")


def promotable_rows(paper: Paper) -> tuple[dict[str, Row], list[str]]:
    """The rows here that may be shipped, in a table or needed by one; and a line for each unreadable row.

    Raises:
        ValueError: some come from a checkout with changes that no commit holds.
    """
    gathered = gather(paper)
    shown = standing(gathered)
    rows = {row["key"]: row for row in gathered.here if row["status"] in SHIPPED and row["key"] in shown}
    if rows and (refused := provenance.why_no_commit()) and any(row["git"]["commit"] is None for row in rows.values()):
        raise ValueError(f"rows of {paper.name} name no commit: {refused}")
    if changed := sum(row["git"]["dirty"] is not False for row in rows.values()):
        raise ValueError(f"{changed} rows of {paper.name} come from a changed checkout; run them from a commit")
    return rows, gathered.problems


def ship(paper: Paper, rows: dict[str, Row], results: Path) -> bool:
    """Adds the rows to the shipped ones. Rows of the same key are replaced; rows that stand in no table are dropped.

    Returns:
        Whether the shipped rows changed.

    Raises:
        ValueError: a row that another one needs would be missing; nothing was written.
    """
    before = {row["key"]: row for row in rows_shipped(results, paper.name)}
    together = before | rows
    shown = standing(Gathered(paper, list(together.values())))
    kept = [row for key, row in together.items() if key in shown]
    if problems := verifying.check_needs(kept, paper.name):
        raise ValueError(f"{problems[0]}, so nothing was shipped; do the needed run here, or collect its row too")
    write_shipped(results, paper.name, kept)
    return {row["key"]: row for row in kept} != before


def standing(gathered: Gathered) -> set[str]:
    """The keys of the rows that some cell shows (its declared runs, and more seeds of them) and of those they need."""
    samples = [sample for table in gathered.tables for cell in table.cells for sample in (cell.here, cell.shipped)]
    waiting = [row["key"] for sample in samples for row in (*sample.done, *sample.failed)]
    needed = {row["key"]: [key for _, key in row["needs"]] for row in (*gathered.shipped, *gathered.here)}
    found: set[str] = set()
    while waiting:
        if (key := waiting.pop()) not in found:
            found.add(key)
            waiting += needed.get(key, [])
    return found


def write_generated(changed: Collection[str] | None = None) -> None:
    """Makes the committed tables and figures from the shipped rows, and fills the Markdown files.

    Args:
        changed: the papers whose rows changed; all if None. Figures take seconds each, so those of another paper are
            drawn only if its tables do not follow from its rows.
    """
    everything = _everything_shipped()
    stale = [
        gathered
        for gathered in everything
        if changed is None or gathered.paper.name in changed or check_generated(generated_tables(gathered))
    ]
    for made in side_by_side(generated_files, stale):
        for path, content in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, content)
    tables = [table for gathered in everything for table in gathered.tables]
    for path, paper in markdown_files():
        blocks.fill_file(path, tables, paper, places.results)


def generated_files(gathered: Gathered) -> dict[Path, bytes]:
    """A paper's committed tables and figures, made anew: path -> content."""
    source, folder = rows_digest(gathered.shipped), places.results / gathered.paper.name / "figures"
    figures = standard_figures(gathered).items()
    return generated_tables(gathered) | {folder / f"{name}.svg": svg_bytes(figure, source) for name, figure in figures}


def generated_tables(gathered: Gathered) -> dict[Path, bytes]:
    folder = places.results / gathered.paper.name
    made: dict[Path, bytes] = {}
    for table in gathered.measured:
        shown = sheet(table, places=("shipped",))
        made[folder / "tables" / f"{table.name}-{table.scale}.md"] = markdown(shown).encode()
        made[folder / "tables" / f"{table.name}-{table.scale}.tex"] = latex(shown).encode()
    if gathered.measured:
        made[folder / "tables" / "cells.csv"] = csv_text(gathered.measured).encode()
    return made


def stale_results() -> list[str]:
    """One line for each shipped row that is not whole and each committed file that does not follow from the rows."""
    everything = _everything_shipped()
    problems = [line for lines in side_by_side(_stale_results_of, everything) for line in lines]
    tables = [table for gathered in everything for table in gathered.tables]
    return problems + [
        line for path, paper in markdown_files() for line in blocks.check_file(path, tables, paper, places.results)
    ]


def _stale_results_of(gathered: Gathered) -> list[str]:
    problems = verifying.problems_of_rows(gathered, standing(gathered), history=_are_the_projects_own())
    return problems + stale_files(gathered)


def stale_files(gathered: Gathered) -> list[str]:
    """One line for each committed table and figure of a paper that does not follow from its rows.

    Files are compared byte by byte, and no other file may stand beside them. A figure made by another version of
    matplotlib has other strokes: of such a figure the digest of the rows that it names is compared.
    """
    made = generated_files(gathered)
    source = rows_digest(gathered.shipped).encode()
    expected = {
        path: content if path.suffix != ".svg" or _same_matplotlib(path) else None for path, content in made.items()
    }
    problems = check_generated({path: content for path, content in expected.items() if content is not None})
    for path in (path for path, content in expected.items() if content is None):
        if source not in path.read_bytes():
            problems.append(f"{path} was made from other rows")
    folder = places.results / gathered.paper.name
    there = [path for kind in ("tables", "figures") for path in sorted((folder / kind).glob("*"))]
    return problems + [f"{path} follows from no row" for path in there if path not in made]


def check_generated(expected: Mapping[Path, str | bytes]) -> list[str]:
    """One line for each generated file that is missing or stale.

    Args:
        expected: what each file has to hold, made anew from the rows.
    """
    problems = []
    for path, content in expected.items():
        wanted = content.encode() if isinstance(content, str) else content
        if not path.exists():
            problems.append(f"{path} is missing; make it again from the rows")
        elif path.read_bytes() != wanted:
            problems.append(f"{path} does not follow from the rows; make it again")
    return problems


def _same_matplotlib(path: Path) -> bool:
    """Whether the committed figure was made by the matplotlib that is installed here; True if there is no figure."""
    return not path.exists() or style.creator().encode() in path.read_bytes()


def _everything_shipped() -> list[Gathered]:
    return [gather(papers.paper(name), with_here=False) for name in papers.names()]


def _are_the_projects_own() -> bool:
    """Whether the results folder is the one that is committed with the suite, and not one given by ``--results``."""
    return places.results.resolve() == PROJECT / "results"


def markdown_files() -> Iterator[tuple[Path, str]]:
    """The Markdown files that take tables and numbers from rows, each with its paper ("" for the project's).

    Only the project's own results fill them; for any other results folder there are none.
    """
    if not _are_the_projects_own():
        return
    yield PROJECT / "README.md", ""
    for name in papers.names():
        path = papers.paper(name).folder / "README.md"
        if path.exists():
            yield path, name
