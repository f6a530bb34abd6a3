"""What ``verify`` asks of the shipped rows: whole, from real commits, without a gap in their seeds, and none lost."""

from __future__ import annotations

import csv
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from contrastbench.evidence import Evidence
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.rows import Row, content_sha256
from contrastbench.runner.vocabulary import IDENTITY, canonical_json, key_of
from contrastbench.verdicts.cells import grouped

REPLACED = "replaced.csv"  # beside rows.jsonl: rows that a later commit replaced although no version was raised


def problems_of_rows(evidence: Evidence, standing: set[str], *, history: bool) -> list[str]:
    """Checks a paper's shipped rows: one line for everything that is wrong with them.

    Args:
        standing: keys of the rows that some cell shows, or that such a row needs.
        history: whether they are the project's own, of which no row may go that an earlier commit shipped.
    """
    where = f"results/{evidence.paper.name}/rows.jsonl"
    problems = check_rows(evidence.shipped, where)
    problems += check_seeds(evidence.shipped, where)
    problems += check_needs(evidence.shipped, where)
    problems += check_shown(evidence.shipped, standing, where)
    problems += _commit_problems(evidence.shipped, where)
    problems += check_measurements(evidence.results / evidence.paper.name)
    return problems + (_history_problems(evidence, where) if history else [])


def check_measurements(folder: Path) -> list[str]:
    """One line for each file of measurements beside the rows, as of speed, that does not name clean commits of ours."""
    known = _commits()
    problems = []
    for path in sorted(folder.glob("*.csv")):
        if path.name == REPLACED:
            continue
        with open(path, newline="", encoding="utf-8") as file:
            commits = {line.get("commit") for line in csv.DictReader(file)}
        if None in commits:
            problems.append(f"{path} does not name the commit that measured it, in a column `commit`")
        elif known is not None and (unknown := commits - known):
            problems.append(
                f"{path} names {', '.join(sorted(map(str, unknown)))}, which is no clean commit of this history"
            )
    return problems


def check_rows(rows: Iterable[Row], where: str) -> list[str]:
    """One line for each row that is not what its sha256 or its key says, and for each key that appears twice."""
    problems = []
    seen: set[str] = set()
    for row in rows:
        name = _named(row, where)
        if content_sha256(row) != row.get("sha256"):
            problems.append(f"{name} was changed after it was written: its sha256 does not match")
        elif key_of(row) != row["key"]:
            problems.append(f"{name} is not the run that its key names: config, seed or version were changed")
        if row.get("key") in seen:
            problems.append(f"{name} appears twice")
        seen.add(str(row.get("key")))
    return problems


def check_needs(rows: Sequence[Row], where: str) -> list[str]:
    """One line for each row that needs a missing row, or that read another artefact than the needed row kept."""
    known = {row["key"]: row for row in rows}
    problems = []
    for row in rows:
        for name, key in row["needs"]:
            needed, read = known.get(key), row.get("artefacts_read", {}).get(name)
            if needed is None:
                problems.append(f"{_named(row, where)} needs {name!r}, row {key[:12]}, which is not there")
            elif read and read != needed["artefact_sha256"]:
                problems.append(f"{_named(row, where)} read another artefact {name!r} than row {key[:12]} kept")
    return problems


def _named(row: Row, where: str) -> str:
    return f"{where}: row {str(row.get('key'))[:12]} ({row.get('dataset')}/{row.get('method')}/{row.get('seed')})"


def check_seeds(rows: Iterable[Row], where: str) -> list[str]:
    """One line for each run whose seeds have a gap: the missing seed may have been run and left out."""
    problems = []
    for alike in grouped(rows, lambda row: canonical_json({**_without_needs(row), "seed": None})).values():
        row, seeds = alike[-1], {each["seed"] for each in alike}
        if gap := sorted(set(range(max(seeds))) - seeds):
            name = f"{where}: {row['dataset']}/{row['method']} ({row['scale']} scale, stage {row['stage']})"
            problems.append(f"{name} has seeds up to {max(seeds)} and lacks {', '.join(map(str, gap))}")
    return problems


def check_shown(rows: Iterable[Row], standing: set[str], where: str) -> list[str]:
    """One line for each row that no cell shows and no shown row needs.

    Args:
        standing: keys of the rows that some cell shows, or that such a row needs.
    """
    return [f"{_named(row, where)} stands in no cell" for row in rows if row["key"] not in standing]


def group_with_seed(row: Row) -> str:
    """What a raised protocol version leaves the same: the run and its seed."""
    return canonical_json(_without_needs(row))


def _without_needs(row: Row) -> dict[str, object]:
    return {part: row[part] for part in IDENTITY if part not in ("protocol_version", "needs")}


def latest_versions(rows: Iterable[Row]) -> dict[str, int]:
    """The highest protocol version of each run and seed."""
    versions: dict[str, int] = {}
    for row in rows:
        group = group_with_seed(row)
        versions[group] = max(versions.get(group, 0), row["protocol_version"])
    return versions


def history_is_here() -> bool:
    """Whether git knows the project's whole history; not so in a download without git or a shallow clone."""
    try:
        return _git("rev-parse", "--is-shallow-repository").strip() == b"false"
    except (OSError, subprocess.CalledProcessError):
        return False


def _commits() -> set[str] | None:
    """The commits of this history; None where git does not know it."""
    return set(_git("rev-list", "HEAD").decode().split()) if history_is_here() else None


def _commit_problems(rows: Iterable[Row], where: str) -> list[str]:
    """One line for each commit of rows that is not in this history, or whose checkout had changes."""
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    for row in rows:
        counts[str(row["git"]["commit"]), row["git"]["dirty"] is False] += 1
    known = _commits()
    problems = []
    for (commit, clean), count in counts.items():
        if not clean:
            problems.append(f"{where}: {count} rows come from a checkout with changes that no commit holds ({commit})")
        elif known is not None and commit not in known:
            problems.append(f"{where}: {count} rows come from commit {commit}, which is not in this history")
    return problems


def _history_problems(evidence: Evidence, where: str) -> list[str]:
    """One line for each row that was shipped once and is gone or changed.

    Such a row is no problem if its protocol version was raised since, or if ``REPLACED`` says why.
    """
    if not history_is_here():
        return []
    known = {row["key"]: row for row in evidence.shipped}
    versions = latest_versions(evidence.shipped)
    said = replaced(evidence.results / evidence.paper.name / REPLACED)
    problems: dict[str, str] = {}
    for row in _earlier_rows(f"results/{evidence.paper.name}/rows.jsonl"):
        name = f"{where}: row {row['key'][:12]} ({row['dataset']}/{row['method']}, seed {row['seed']})"
        raised = versions.get(group_with_seed(row), 0) > row["protocol_version"]
        if row["key"] in said or raised:
            continue
        if row["key"] not in known:
            problems[group_with_seed(row)] = (
                f"{name} was shipped once and is gone; raise the method's protocol version instead"
            )
        elif any(row[part] != known[row["key"]][part] for part in ("status", "metrics")):
            problems[group_with_seed(row)] = (
                f"{name} was shipped once with other metrics; raise the method's protocol version"
            )
    return list(problems.values())


def _earlier_rows(path: str) -> Iterable[Row]:
    """Every row that some commit of this history shipped. Each version of the file is read once."""
    blobs = _git("log", "--format=", "--raw", "--no-abbrev", "--no-renames", "HEAD", "--", path).decode().split("\n")
    for blob in dict.fromkeys(line.split()[3] for line in blobs if line and line.split()[3].strip("0")):
        yield from map(json.loads, _git("cat-file", "blob", blob).splitlines())


def replaced(path: Path) -> Mapping[str, str]:
    """Reads why a paper replaced rows without raising their version: key -> reason.

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
