"""For maintainers: ships rows, and makes the committed tables, figures and READMEs that follow from them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from contrastbench import papers, readmes, verifying
from contrastbench.drawing import side_by_side, standard_figures, summary_figures
from contrastbench.evidence import Evidence, gather
from contrastbench.papers import Paper
from contrastbench.report import style
from contrastbench.report.style import svg_bytes
from contrastbench.report.tables import cells_frame, csv_text, latex, markdown, sheet
from contrastbench.runner import files, provenance
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.rows import MADE_AGAIN, Row, rows_digest, rows_in, rows_shipped, write_shipped
from contrastbench.runner.vocabulary import key_of

# What a run's settings brought about, failures too. Memory and time are limits of a machine: such a run is run again.
SHIPPED = ("done", "failed", "diverged")
TAKEN = "new and in a table or needed by one"
AGAIN = "shipped already, made elsewhere"


def ship(paper: Paper, rows: Mapping[str, Row], results: Path, made_again: Sequence[Row] = ()) -> bool:
    """Adds the rows to the shipped ones. Rows of the same key are replaced; rows that stand in no table are dropped.

    Args:
        made_again: shipped runs as another machine made them. Those stay beside the others whose artefact a row read.

    Returns:
        Whether the shipped rows changed.

    Raises:
        ValueError: a row that another one needs would be missing; nothing was written.
    """
    before = {row["key"]: row for row in rows_shipped(results, paper.name)}
    together = {**before, **rows}
    shown = standing(Evidence(paper, list(together.values())))
    kept = [row for key, row in together.items() if key in shown]
    beside = _read_by(kept, [*rows_shipped(results, paper.name, MADE_AGAIN), *made_again])
    if problem := next(verifying.check_needs(kept, beside), ""):
        raise ValueError(
            f"{paper.name}: {problem}, so nothing was shipped; do the needed run here, or collect its row too"
        )
    write_shipped(results, paper.name, kept)
    if beside:
        write_shipped(results, paper.name, beside, MADE_AGAIN)
    return {row["key"]: row for row in kept} != before


def _read_by(rows: Sequence[Row], made_again: Iterable[Row]) -> list[Row]:
    """Those whose artefact one of the rows read, and what these read in turn."""
    own = {(row["key"], row["artefact_sha256"]) for row in rows}
    others = {(row["key"], row["artefact_sha256"]): row for row in made_again}
    waiting, found = list(rows), {}
    while waiting:
        row = waiting.pop()
        for name, key in row["needs"]:
            read = key, row.get("artefacts_read", {}).get(name)
            if read in others and read not in own and read not in found:
                found[read] = others[read]
                waiting.append(others[read])
    return list(found.values())


def standing(evidence: Evidence) -> set[str]:
    """The keys of the rows that some cell shows (its declared runs, and more seeds of them) and of those they need."""
    samples = [sample for table in evidence.tables for cell in table.cells for sample in (cell.here, cell.shipped)]
    waiting = [row["key"] for sample in samples for row in (*sample.done, *sample.failed)]
    needed = {row["key"]: [key for _, key in row["needs"]] for row in (*evidence.shipped, *evidence.here)}
    found: set[str] = set()
    while waiting:
        if (key := waiting.pop()) not in found:
            found.add(key)
            waiting += needed.get(key, [])
    return found


# --------------------------------------------------------------------------------------------- rows from elsewhere


def read_rows(paths: Iterable[Path]) -> tuple[dict[str, dict[str, Row]], list[str]]:
    """Reads rows made elsewhere: paper -> key -> row, and a line for each row that cannot be trusted."""
    by_paper: dict[str, dict[str, Row]] = defaultdict(dict)
    problems: list[str] = []
    for path in paths:
        for row in rows_in(path):
            problem = _problem(row)
            if not problem and by_paper[row["paper"]].setdefault(row["key"], row) != row:
                problem = "appears twice, with other content"
            problems += [f"{path}: row {str(row.get('key'))[:12]} {problem}"] if problem else []
    return by_paper, problems


def _problem(row: Row) -> str:
    """Why a row from elsewhere cannot be trusted; "" if it can."""
    if key_of(row) != row["key"]:
        return "has another key than what it says it is"
    if row["paper"] not in papers.names():
        return f"is of the unknown paper {row['paper']!r}"
    commit = row["git"]["commit"]
    if commit is None or row["git"]["dirty"] is not False:
        return "comes from a checkout with changes that no commit holds"
    if (known := provenance.commit_dates()) is None:
        raise ValueError(f"{PROJECT} has no git history, so nobody can say which commits are its own; use a clone")
    return "" if commit in known else f"comes from commit {commit[:12]}, which is not in this history"


def sort_rows(paper: Paper, rows: Mapping[str, Row], results: Path) -> dict[str, list[Row]]:
    """Why each row would be shipped (``TAKEN``: new, and in a table or needed by one) or left: reason -> rows."""
    shipped = {row["key"]: row for row in rows_shipped(results, paper.name)}
    shown = standing(Evidence(paper, [*shipped.values(), *(r for k, r in rows.items() if k not in shipped)]))
    reasons: dict[str, list[Row]] = defaultdict(list)
    for key, row in rows.items():
        if key in shipped:
            reasons["already shipped" if shipped[key] == row else AGAIN].append(row)
        elif row["scale"] == "smoke":
            reasons["at smoke scale, whose numbers mean nothing"].append(row)
        elif row["status"] not in SHIPPED:
            reasons[f"to be run again ({row['status']})"].append(row)
        else:
            reasons[TAKEN if key in shown else "in no table"].append(row)
    return reasons


def reason_text(reason: str, rows: Sequence[Row]) -> str:
    """``12 in no table: MUTAG/InfoGraph, ...``"""
    if reason == TAKEN:
        failed = sum(row["status"] != "done" for row in rows)
        return f"{len(rows)} {reason}" + (f", {failed} of them failed" if failed else "")
    names = list(dict.fromkeys(f"{row['dataset']}/{row['method']}" for row in rows))
    return f"{len(rows)} {reason}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"


# ------------------------------------------------------------------------------------------------ what follows


def write_generated(results: Path, changed: Collection[str]) -> None:
    """Makes the committed tables and figures from the shipped rows, and the READMEs.

    Args:
        changed: the papers whose rows changed. Figures take seconds each, so those of another paper are drawn only if
            its tables do not follow from its rows.
    """
    everything = _everything_shipped(results)
    stale = [each for each in everything if each.paper.name in changed or check_generated(generated_tables(each))]
    made = [*side_by_side(generated_files, stale), summary_files(everything, results) if stale else {}]
    made.append({path: text.encode() for path, text in pages(everything, results)})
    for path, content in (file for each in made for file in each.items()):
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, content)


def generated_files(evidence: Evidence) -> dict[Path, bytes]:
    """A paper's committed tables and figures, made anew: path -> content."""
    source, folder = rows_digest(evidence.shipped), evidence.results / evidence.paper.name / "figures"
    figures = standard_figures(evidence).items()
    return generated_tables(evidence) | {folder / f"{name}.svg": svg_bytes(figure, source) for name, figure in figures}


def summary_files(everything: Sequence[Evidence], results: Path) -> dict[Path, bytes]:
    """The figures that sum up the suite, made anew: path -> content."""
    source = rows_digest(row for evidence in everything for row in evidence.shipped)
    figures = summary_figures({evidence.paper.name: evidence for evidence in everything})
    return {results / "figures" / f"{name}.svg": svg_bytes(figure, source) for name, figure in figures.items()}


def generated_tables(evidence: Evidence) -> dict[Path, bytes]:
    folder = evidence.results / evidence.paper.name / "tables"
    made: dict[Path, bytes] = {}
    for table in evidence.measured:
        shown = sheet(table, places=("shipped",))
        made[folder / f"{table.name}-{table.scale}.md"] = markdown(shown).encode()
        made[folder / f"{table.name}-{table.scale}.tex"] = latex(shown).encode()
    if evidence.measured:
        made[folder / "cells.csv"] = csv_text(cells_frame(evidence.measured)).encode()
    return made


def stale_results(results: Path) -> list[str]:
    """One line for each shipped row that is not whole and each committed file that does not follow from the rows."""
    everything = _everything_shipped(results)
    problems = [line for lines in side_by_side(_stale_results_of, everything) for line in lines]
    if _are_the_projects_own(results):
        source = rows_digest(row for evidence in everything for row in evidence.shipped)
        problems += check_generated(summary_files(everything, results), source)
    return problems + [line for path, text in pages(everything, results) for line in readmes.check(path, text)]


def _stale_results_of(evidence: Evidence) -> list[str]:
    history = _are_the_projects_own(evidence.results)
    return verifying.problems_of_rows(evidence, standing(evidence), history=history) + stale_files(evidence)


def stale_files(evidence: Evidence) -> list[str]:
    """One line for each committed table and figure of a paper that does not follow from its rows.

    No other file may stand beside them.
    """
    made = generated_files(evidence)
    folder = evidence.results / evidence.paper.name
    there = [path for kind in ("tables", "figures") for path in sorted((folder / kind).glob("*"))]
    strays = [f"{path} follows from no row" for path in there if path not in made]
    return check_generated(made, rows_digest(evidence.shipped)) + strays


def check_generated(expected: Mapping[Path, bytes], source: str = "") -> list[str]:
    """One line for each generated file that is missing or stale.

    Files are compared byte by byte. A figure made by another version of matplotlib has other strokes: such a figure has
    to name the digest of its rows.

    Args:
        expected: what each file has to hold, made anew from the rows.
        source: the digest of the rows.
    """
    problems = []
    for path, content in expected.items():
        there = path.read_bytes() if path.exists() else None
        if there is None:
            problems.append(f"{path} is missing; make it again from the rows")
        elif path.suffix == ".svg" and style.creator().encode() not in there:
            problems += [f"{path} was made from other rows"] if source.encode() not in there else []
        elif there != content:
            problems.append(f"{path} does not follow from the rows; make it again")
    return problems


def _everything_shipped(results: Path) -> list[Evidence]:
    return [gather(papers.paper(name), None, results) for name in papers.names()]


def _are_the_projects_own(results: Path) -> bool:
    """Whether the results folder is the one that is committed with the suite, and not one given by ``--results``."""
    return results.resolve() == PROJECT / "results"


def pages(everything: Sequence[Evidence], results: Path) -> Iterator[tuple[Path, str]]:
    """The pages that take tables and numbers from rows, made anew from the templates beside them: path, content.

    Only the project's own results fill them; for any other results folder there are none.
    """
    if not _are_the_projects_own(results):
        return
    tables = [table for evidence in everything for table in evidence.tables]
    claims = {evidence.paper.name: evidence.claims for evidence in everything if evidence.claims}
    templates = [(PROJECT / "README.md.jinja", "")]
    templates += [(path, e.paper.name) for e in everything for path in sorted(e.paper.folder.glob("*.md.jinja"))]
    for template, paper in templates:
        yield template.with_suffix(""), readmes.render(template, tables, claims, paper, results)
