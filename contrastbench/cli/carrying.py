"""Carries rows between machines: writes them to one file, and checks and collects them elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from contrastbench import papers
from contrastbench.cli.app import complain, console, places
from contrastbench.cli.choosing import asked_for
from contrastbench.cli.gathering import Gathered
from contrastbench.cli.shipping import SHIPPED, ship, standing
from contrastbench.papers import Paper
from contrastbench.runner import files, provenance
from contrastbench.runner.rows import RESULT_FIELDS, Row, rows_in, rows_shipped, run_folders, sort_key
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import canonical_json, key_of

TAKEN = "new and in a table or needed by one"
FIELDS = {*RESULT_FIELDS, "needs", "git", "device", "host", "artefact_sha256"}  # what a row must at least have


def export(
    out: Path,
    targets: Sequence[str] | None,
    scale: str | None,
    seeds: str | None = None,
    settings: Sequence[str] | None = None,
) -> None:
    """Writes the rows of the chosen runs, and of the runs that they need, to one file: sorted, one a line."""
    some = targets or scale or seeds or settings
    asked = asked_for(targets, scale, seeds, settings)
    folders = asked.folders(places.runs, complain) if some else list(run_folders(places.runs))
    states = [state_of(folder) for folder in folders]
    for problem in (state.problem for state in states if state.problem):
        complain(problem)
    rows = sorted((state.row for state in states if state.row), key=sort_key)
    files.write_text(out, "".join(canonical_json(row) + "\n" for row in rows))
    dirty = sum(row["git"]["dirty"] is not False for row in rows)
    refused = f"; {dirty} come from a changed checkout, which `collect` refuses" if dirty else ""
    console.print(f"{out}: {len(rows)} rows{refused}", soft_wrap=True)


def collect_files(paths: Iterable[Path], into: Path | None) -> set[str]:
    """Checks rows from elsewhere and says which stand in a table; ships those if ``into`` is given.

    Returns:
        The papers whose shipped rows changed.

    Raises:
        ValueError: a row cannot be trusted; each is named and none was taken.
    """
    by_paper: dict[str, dict[str, Row]] = defaultdict(dict)
    problems: list[str] = []
    for path in paths:
        for row in rows_in(path):
            problem = _problem(row)
            if not problem and by_paper[row["paper"]].setdefault(row["key"], row) != row:
                problem = "appears twice, with other content"
            problems += [f"{path}: row {str(row.get('key'))[:12]} {problem}"] if problem else []
    for problem in problems:
        complain(problem)
    if problems:
        raise ValueError(f"{len(problems)} rows cannot be trusted, so none was taken")
    return {name for name, rows in by_paper.items() if _collect(papers.paper(name), rows, into)}


def _problem(row: Row) -> str:
    """Why a row from elsewhere cannot be trusted; "" if it can."""
    if missing := FIELDS - row.keys():
        return f"lacks {', '.join(sorted(missing))}"
    if key_of(row) != row["key"]:
        return "has another key than what it says it is"
    if row["paper"] not in papers.names():
        return f"is of the unknown paper {row['paper']!r}"
    commit = row["git"]["commit"]
    if commit is None or row["git"]["dirty"] is not False:
        return "comes from a checkout with changes that no commit holds"
    return "" if provenance.is_in_history(commit) else f"comes from commit {commit[:12]}, which is not in this history"


def _collect(paper: Paper, rows: dict[str, Row], into: Path | None) -> bool:
    """Takes the rows that are new, and in a table or needed by one; failures too. Says why the others are left.

    Returns whether the shipped rows changed.
    """
    shipped = {row["key"]: row for row in rows_shipped(into or places.results, paper.name)}
    standing_keys = standing(Gathered(paper, [*shipped.values(), *(r for k, r in rows.items() if k not in shipped)]))
    reasons: dict[str, list[Row]] = defaultdict(list)
    for key, row in rows.items():
        if key in shipped:
            reasons["already shipped" if shipped[key] == row else "shipped already, made elsewhere"].append(row)
        elif row["status"] not in SHIPPED:
            reasons[f"to be run again ({row['status']})"].append(row)
        elif key not in standing_keys:
            reasons["in no table"].append(row)
        else:
            reasons[TAKEN].append(row)
    devices = ", ".join(dict.fromkeys(row["device"] for row in rows.values()))
    console.print(f"{paper.name}: {len(rows)} rows from {devices}", soft_wrap=True)
    for reason, found in reasons.items():
        failed = sum(row["status"] != "done" for row in found)
        counted = f", {failed} of them failed" if failed and reason == TAKEN else ""
        console.print(f"  {len(found)} {reason}{_examples(found) if reason != TAKEN else counted}", soft_wrap=True)
    if into is None or not reasons[TAKEN]:
        return False
    console.print(str(into / paper.name / "rows.jsonl"), soft_wrap=True)
    return ship(paper, {row["key"]: row for row in reasons[TAKEN]}, into)


def _examples(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(f"{row['dataset']}/{row['method']}" for row in rows))
    return f": {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
