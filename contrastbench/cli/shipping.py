"""What is committed with the suite: shipped rows, and the tables and figures that follow from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from contrastbench import papers
from contrastbench.cli import verifying
from contrastbench.cli.app import places
from contrastbench.cli.drawing import standard_figures
from contrastbench.cli.gathering import Gathered, gather
from contrastbench.papers import Paper
from contrastbench.report import blocks, checks, style
from contrastbench.report.cells import JoinedCell
from contrastbench.report.formats import latex, markdown
from contrastbench.report.style import svg_bytes
from contrastbench.report.tables import csv_text, sheet
from contrastbench.runner import files, provenance
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.rows import Row, rows_shipped, write_shipped


def promotable_rows(paper: Paper) -> tuple[dict[str, Row], list[str]]:
    """The finished rows here that stand in a table or are needed by such, and one line for each that cannot be read.

    Raises:
        ValueError: some come from a checkout with changes that no commit holds.
    """
    gathered = gather(paper)
    shown = standing(gathered)
    rows = {row["key"]: row for row in gathered.here if row["status"] == "done" and row["key"] in shown}
    if rows and (refused := provenance.why_no_commit()) and any(row["git"]["commit"] is None for row in rows.values()):
        raise ValueError(f"rows of {paper.name} name no commit: {refused}")
    if changed := sum(row["git"]["dirty"] is not False for row in rows.values()):
        raise ValueError(f"{changed} rows of {paper.name} come from a changed checkout; run them from a commit")
    return rows, gathered.problems


def ship(paper: Paper, rows: dict[str, Row], results: Path) -> bool:
    """Adds the rows to the shipped ones, those of the same key replaced, those that stand in no table dropped.

    Returns:
        Whether the shipped rows are others than before.

    Raises:
        ValueError: a row that another one needs would be missing; nothing was written.
    """
    before = {row["key"]: row for row in rows_shipped(results, paper.name)}
    together = before | rows
    shown = standing(Gathered(paper, list(together.values())))
    kept = [row for key, row in together.items() if key in shown]
    if problems := checks.check_needs(kept, paper.name):
        raise ValueError(f"{problems[0]}, so nothing was shipped; do the needed run here, or collect its row too")
    write_shipped(results, paper.name, kept)
    return {row["key"]: row for row in kept} != before


def standing(gathered: Gathered) -> set[str]:
    """The keys of the rows that some cell shows - its declared runs and more seeds of the same - or that they need."""
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
    """Makes the committed tables and figures from the shipped rows, and what Markdown files take from them.

    Args:
        changed: the papers whose rows are others than before; all where not given. The figures of another paper, which
            take seconds each, are drawn only if its tables do not follow from its rows.
    """
    everything = _everything_shipped()
    for gathered in everything:
        same = changed is not None and gathered.paper.name not in changed
        if same and not checks.check_generated(generated_tables(gathered)):
            continue
        for path, content in generated_files(gathered).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, content)
    tables = [table for gathered in everything for table in gathered.tables]
    for path, paper in _markdown_files():
        blocks.fill_file(path, tables, paper, places.results)


def generated_files(gathered: Gathered) -> dict[Path, bytes]:
    """A paper's committed tables and figures, made anew: path -> content."""
    digest, folder = checks.rows_digest(gathered.shipped), places.results / gathered.paper.name / "figures"
    figures = standard_figures(gathered).items()
    return generated_tables(gathered) | {folder / f"{name}.svg": svg_bytes(figure, digest) for name, figure in figures}


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
    problems = []
    for gathered in everything:
        problems += verifying.problems_of_rows(gathered, standing(gathered), history=_are_the_projects_own())
        problems += stale_files(gathered)
    tables = [table for gathered in everything for table in gathered.tables]
    return problems + [
        line for path, paper in _markdown_files() for line in blocks.check_file(path, tables, paper, places.results)
    ]


def stale_files(gathered: Gathered) -> list[str]:
    """One line for each committed table and figure of a paper that does not follow from its rows.

    They are compared byte by byte, and no file may stand among them that the rows do not make.

    A figure of another matplotlib has other strokes: there the digest of the rows that it names must be right.
    """
    made = generated_files(gathered)
    digest = checks.rows_digest(gathered.shipped).encode()
    expected = {
        path: content if path.suffix != ".svg" or _same_matplotlib(path, content) else None
        for path, content in made.items()
    }
    problems = checks.check_generated({path: content for path, content in expected.items() if content is not None})
    for path in (path for path, content in expected.items() if content is None):
        if digest not in path.read_bytes():
            problems.append(f"{path} was made from other rows")
    folder = places.results / gathered.paper.name
    there = [path for kind in ("tables", "figures") for path in sorted((folder / kind).glob("*"))]
    return problems + [f"{path} follows from no row" for path in there if path not in made]


def _same_matplotlib(path: Path, content: bytes) -> bool:
    """Whether the committed figure names the matplotlib that is installed here; True where there is no figure."""
    return not path.exists() or style.creator().encode() in path.read_bytes()


def agreement(paper: Paper) -> tuple[str, list[str]]:
    """How the rows here compare with the shipped ones of the same keys, and one line for each that should be equal
    and is not: a row on the same kind of machine, a cell's mean on others."""
    gathered = gather(paper)
    compared = checks.compare_rows(gathered.here, gathered.shipped)
    counts = Counter(word for _, _, word in compared)
    differing = [
        f"row {row['key'][:12]} of {paper.name} differs from the shipped one on the same kind of machine"
        for row, _, word in compared
        if word == "differs"
    ]
    words = [f"{count} {word}" for word, count in counts.items()]
    if elsewhere := {row["key"] for row, _, word in compared if word == "other machine"}:
        judged, outside = checks.outside_noise(_cells_with(gathered, elsewhere))
        words.append(f"of the {judged} cells with these and two seeds {judged - len(outside)} within the noise")
        differing += [
            f"{paper.name}/{cell.table}/{cell.name}: {cell.here.summary.mean:.4g} here and "
            f"{cell.shipped.summary.mean:.4g} shipped ({cell.metric}) differ by more than the noise of the seeds"
            for cell in outside
        ]
    return ", ".join(words), differing


def _cells_with(gathered: Gathered, keys: set[str]) -> list[JoinedCell]:
    """The cells that have one of the rows; one that several tables show is one."""
    cells = {
        (cell.metric, *(row["key"] for row in cell.here.done)): cell
        for table in gathered.tables
        for cell in table.cells
        if any(row["key"] in keys for row in cell.here.done)
    }
    return list(cells.values())


def _everything_shipped() -> list[Gathered]:
    return [gather(papers.paper(name), with_here=False) for name in papers.names()]


def _are_the_projects_own() -> bool:
    """Whether the results folder is the one that is committed with the suite, and not one given by ``--results``."""
    return places.results.resolve() == PROJECT / "results"


def _markdown_files() -> Iterator[tuple[Path, str]]:
    """The Markdown files that take tables and numbers from rows, each with its paper ("" for the project's).

    They are the project's, so they are filled from and compared with its own results only.
    """
    if not _are_the_projects_own():
        return
    yield PROJECT / "README.md", ""
    for name in papers.names():
        path = papers.paper(name).folder / "README.md"
        if path.exists():
            yield path, name
