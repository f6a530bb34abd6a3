"""What ``verify`` asks of the shipped rows beyond their own hash: real commits, no gap in the seeds, nothing lost."""

from __future__ import annotations

import csv
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from contrastbench.cli.app import places
from contrastbench.cli.gathering import Gathered
from contrastbench.report import checks
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.rows import Row

REPLACED = "replaced.csv"  # beside rows.jsonl: rows that a later commit replaced although no version was raised


def problems_of_rows(gathered: Gathered, standing: set[str], *, history: bool) -> list[str]:
    """One line for everything that is wrong with a paper's shipped rows.

    Args:
        standing: keys of the rows that some cell shows, or that such a row needs.
        history: whether they are the project's own, of which no row may go that an earlier commit shipped.
    """
    where = f"results/{gathered.paper.name}/rows.jsonl"
    problems = checks.check_rows(gathered.shipped, where)
    problems += checks.check_seeds(gathered.shipped, where)
    problems += checks.check_needs(gathered.shipped, where)
    problems += checks.check_shown(gathered.shipped, standing, where)
    problems += _commit_problems(gathered.shipped, where)
    return problems + (_history_problems(gathered, where) if history else [])


def history_is_here() -> bool:
    """Whether the project's whole history can be read: not in a download without git, nor in a shallow clone."""
    try:
        return _git("rev-parse", "--is-shallow-repository").strip() == b"false"
    except (OSError, subprocess.CalledProcessError):
        return False


def _commit_problems(rows: Iterable[Row], where: str) -> list[str]:
    """Rows of a commit that is not in this history, or of a checkout with changes that no commit holds."""
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    for row in rows:
        counts[str(row["git"]["commit"]), row["git"]["dirty"] is False] += 1
    known = set(_git("rev-list", "HEAD").decode().split()) if history_is_here() else None
    problems = []
    for (commit, clean), count in counts.items():
        if not clean:
            problems.append(f"{where}: {count} rows come from a checkout with changes that no commit holds ({commit})")
        elif known is not None and commit not in known:
            problems.append(f"{where}: {count} rows come from commit {commit}, which is not in this history")
    return problems


def _history_problems(gathered: Gathered, where: str) -> list[str]:
    """Rows that an earlier commit shipped and that are gone or changed, unless a version was raised or it is said."""
    if not history_is_here():
        return []
    known = {row["key"]: row for row in gathered.shipped}
    versions = checks.latest_versions(gathered.shipped)
    said = replaced(places.results / gathered.paper.name / REPLACED)
    problems: dict[str, str] = {}
    for row in _earlier_rows(f"results/{gathered.paper.name}/rows.jsonl"):
        name = f"{where}: row {row['key'][:12]} ({row['dataset']}/{row['method']}, seed {row['seed']})"
        raised = versions.get(checks.group_with_seed(row), 0) > row["protocol_version"]
        if row["key"] in said or raised:
            continue
        if row["key"] not in known:
            problems[checks.group_with_seed(row)] = (
                f"{name} was shipped once and is gone; raise the method's protocol version instead"
            )
        elif any(row[part] != known[row["key"]][part] for part in ("status", "metrics")):
            problems[checks.group_with_seed(row)] = (
                f"{name} was shipped once with other metrics; raise the method's protocol version"
            )
    return list(problems.values())


def _earlier_rows(path: str) -> Iterable[Row]:
    """Every row that some commit of this history shipped; each version of the file once."""
    blobs = _git("log", "--format=", "--raw", "--no-abbrev", "--no-renames", "HEAD", "--", path).decode().split("\n")
    for blob in dict.fromkeys(line.split()[3] for line in blobs if line and line.split()[3].strip("0")):
        yield from map(json.loads, _git("cat-file", "blob", blob).splitlines())


def replaced(path: Path) -> Mapping[str, str]:
    """The rows that a paper says it replaced without a raised version: key -> why.

    Raises:
        ValueError: a line without a reason.
    """
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        reasons = {line["key"]: line["why"] for line in csv.DictReader(file)}
    if missing := [key for key, why in reasons.items() if not why]:
        raise ValueError(f"{path}: no reason why row {missing[0][:12]} was replaced")
    return reasons


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True, check=True).stdout
