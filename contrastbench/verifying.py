"""What ``verify`` asks of shipped rows and printed numbers: whole, from real commits, and as they were shipped once.

Nothing here believes a hash alone: whoever changes a row can make its hash anew. What was shipped once is in git.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from contrastbench.evidence import Evidence
from contrastbench.runner.provenance import PROJECT, ask_git, commit_dates, history_is_here
from contrastbench.runner.rows import MADE_AGAIN, Row, content_sha256, result_of, rows_shipped
from contrastbench.runner.vocabulary import IDENTITY, SCALES, canonical_json, chain, key_of
from contrastbench.verdicts.cells import group_by

REPLACED = "replaced.csv"  # beside rows.jsonl, key,old,new,why: rows that another result replaced under the same key
MORE_SEEDS = "more_seeds.csv"  # dataset,method,scale,seeds,why: seeds beyond those that the tables declare
CHANGES = "published_changes.csv"  # beside published.csv, dataset,method,metric,where,change,why
NOT_MEASURED = (REPLACED, MORE_SEEDS)
FIXED = ("value", "spread", "spread_kind", "n", "margin")  # of a printed number: what may not change silently
ALIKE = 3  # so many rows with the very same times were not all run


def problems_of_rows(evidence: Evidence, standing: set[str], *, history: bool) -> list[str]:
    """Checks a paper's shipped rows: one line for everything that is wrong with them.

    Args:
        standing: keys of the rows that some cell shows, or that such a row needs.
        history: whether they are the project's own, of which no row may go that an earlier commit shipped.
    """
    where, rows = f"results/{evidence.paper.name}/rows.jsonl", evidence.shipped
    folder = evidence.results / evidence.paper.name
    made_again = rows_shipped(evidence.results, evidence.paper.name, MADE_AGAIN)
    problems = [*check_rows(rows, where), *check_seeds(rows, where), *check_needs(rows, where, made_again)]
    problems += check_rows(made_again, str(folder / MADE_AGAIN)) + check_shown(made_again, standing, where)
    problems += [*check_shown(rows, standing, where), *check_times([*rows, *made_again], where)]
    problems += check_measurements(folder)
    if history:
        problems += check_more_seeds(evidence, read_lines(folder / MORE_SEEDS), where)
    if history and history_is_here():
        replaced = read_lines(folder / REPLACED)
        for place, now in ((where, rows), (where.replace("rows.jsonl", MADE_AGAIN), made_again)):
            earlier = dict.fromkeys(line for blob in _blobs(place) for line in blob.splitlines())  # most stand in many
            problems += check_history(now, map(json.loads, earlier), replaced, place, others=rows)
        path = evidence.paper.folder / "published.csv"
        if path.is_relative_to(PROJECT) and path.exists():
            place = str(path.relative_to(PROJECT))
            printed = csv.DictReader(io.StringIO(path.read_text("utf-8")))
            once = [number for blob in _blobs(place) for number in csv.DictReader(io.StringIO(blob))]
            problems += check_published(printed, once, read_lines(path.with_name(CHANGES)), place)
    return problems


def read_lines(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file; none where there is no such file.

    Raises:
        ValueError: a line without a reason.
    """
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    if silent := [number for number, line in enumerate(lines, start=2) if not line.get("why")]:
        raise ValueError(f"{path}:{silent[0]}: no reason is given")
    return lines


def _name_of(row: Row, where: str) -> str:
    return f"{where}: row {str(row.get('key'))[:12]} ({row.get('dataset')}/{row.get('method')}/{row.get('seed')})"


# ------------------------------------------------------------------------------------------------- rows by themselves


def check_rows(rows: Iterable[Row], where: str) -> list[str]:
    """One line for each row that is not what its sha256 or its key says, and for each key that appears twice."""
    problems = []
    seen: set[str] = set()
    for row in rows:
        name = _name_of(row, where)
        if content_sha256(row) != row.get("sha256"):
            problems.append(f"{name} was changed after it was written: its sha256 does not match")
        elif key_of(row) != row["key"]:
            problems.append(f"{name} is not the run that its key names: config, seed or version were changed")
        if row.get("key") in seen:
            problems.append(f"{name} appears twice")
        seen.add(str(row.get("key")))
    return problems


def check_needs(rows: Sequence[Row], where: str, made_again: Sequence[Row] = ()) -> list[str]:
    """One line for each row that needs a missing row, or that read another artefact than the needed row kept.

    Args:
        made_again: needed runs that another kind of machine made again: their artefacts may be read as well.
    """
    known = {row["key"] for row in rows}
    kept = {(row["key"], row["artefact_sha256"]) for row in (*rows, *made_again)}
    problems = []
    for row in (*rows, *made_again):
        for name, key in row["needs"]:
            read = row.get("artefacts_read", {}).get(name)
            if key not in known:
                problems.append(f"{_name_of(row, where)} needs {name!r}, row {key[:12]}, which is not there")
            elif read and (key, read) not in kept:
                problems.append(f"{_name_of(row, where)} read another artefact {name!r} than row {key[:12]} kept")
    return problems


def check_seeds(rows: Iterable[Row], where: str) -> list[str]:
    """One line for each run whose seeds have a gap: the missing seed may have been run and left out."""
    problems = []
    for alike in group_by(rows, lambda row: _run_and_seed(row, seed=None)).values():
        row, seeds = alike[-1], {each["seed"] for each in alike}
        if gap := sorted(set(range(max(seeds))) - seeds):
            name = f"{where}: {row['dataset']}/{row['method']} ({row['scale']} scale, stage {row['stage']})"
            problems.append(f"{name} has seeds up to {max(seeds)} and lacks {', '.join(map(str, gap))}")
    return problems


def check_more_seeds(evidence: Evidence, lines: Sequence[Mapping[str, str]], where: str) -> list[str]:
    """One line for each method with more seeds than the tables declare, unless a line of ``MORE_SEEDS`` says why."""
    cells = [cell for table in evidence.paper.tables for scale in SCALES for cell in evidence.paper.cells(table, scale)]
    declared = chain(run for cell in cells for run in cell.runs)
    others = (row for row in evidence.shipped if row["key"] not in declared)
    found = group_by(others, lambda row: (row["dataset"], row["method"], row["scale"]))
    allowed = {(line["dataset"], line["method"], line["scale"], line["seeds"]) for line in lines}
    problems = []
    for place, alike in found.items():
        seeds = " ".join(str(seed) for seed in sorted({row["seed"] for row in alike}))
        if (*place, seeds) not in allowed:
            name = f"{where}: {place[0]}/{place[1]} ({place[2]} scale)"
            problems.append(
                f"{name} has seeds that no table declares: {seeds}; declare them, or say why in {MORE_SEEDS}"
            )
    return problems


def check_shown(rows: Iterable[Row], standing: set[str], where: str) -> list[str]:
    """One line for each row that no cell shows and no shown row needs.

    Args:
        standing: keys of the rows that some cell shows, or that such a row needs.
    """
    return [f"{_name_of(row, where)} stands in no cell" for row in rows if row["key"] not in standing]


def check_times(rows: Sequence[Row], where: str) -> list[str]:
    """One line for each commit of rows that is not in this history or not clean, and for times that cannot be."""
    dates, problems = commit_dates(), []
    commits = group_by(rows, lambda row: (str(row["git"]["commit"]), row["git"]["dirty"] is False))
    for (commit, clean), alike in commits.items():
        count = f"{where}: {len(alike)} rows come from"
        if not clean:
            problems.append(f"{count} a checkout with changes that no commit holds ({commit})")
        elif dates is not None and commit not in dates:
            problems.append(f"{count} commit {commit}, which is not in this history")
        elif dates is not None:
            early = [row for row in alike if datetime.fromisoformat(row["started"]).timestamp() < dates[commit] - 1]
            problems += [f"{_name_of(row, where)} was started before its commit was made" for row in early]
    times = group_by(rows, lambda row: (row["started"], row["finished"], row["seconds"]))
    for alike in times.values():
        if len(alike) >= ALIKE and (alike[0]["seconds"] or 0) >= 1:
            problems.append(f"{_name_of(alike[0], where)} has the very times of {len(alike) - 1} other rows")
    return problems


def check_measurements(folder: Path) -> list[str]:
    """One line for each file of measurements beside the rows, as of speed, that does not name clean commits of ours."""
    dates = commit_dates()
    problems = []
    for path in sorted(path for path in folder.glob("*.csv") if path.name not in NOT_MEASURED):
        with open(path, newline="", encoding="utf-8") as file:
            commits = {line.get("commit") for line in csv.DictReader(file)}
        if None in commits:
            problems.append(f"{path} does not name the commit that measured it, in a column `commit`")
        elif dates is not None and (unknown := commits - dates.keys()):
            names = ", ".join(sorted(map(str, unknown)))
            problems.append(f"{path} names {names}, which is no clean commit of this history")
    return problems


# --------------------------------------------------------------------------------------- against what was shipped once


def check_history(
    rows: Iterable[Row],
    earlier: Iterable[Row],
    replaced: Iterable[Mapping[str, str]],
    where: str,
    others: Sequence[Row] = (),
) -> list[str]:
    """One line for each row that was shipped once and is gone or changed.

    A row may go if its protocol version was raised since. It may be run again, which its start tells: then all that a
    rerun must repeat is equal, or a line of ``REPLACED`` names the old and the new sha256 and the reason.

    Args:
        others: rows of another file that tell of raised versions too.
    """
    rows = list(rows)
    known = {row["key"]: row for row in rows}
    versions: dict[str, int] = {}  # the highest of each run and seed
    for row in (*rows, *others):
        versions[_run_and_seed(row)] = max(versions.get(_run_and_seed(row), 0), row["protocol_version"])
    excused = {(line["key"], line["old"], line["new"]) for line in replaced}
    problems: dict[str, str] = {}
    for row in earlier:
        now, name = known.get(row["key"]), f"{_name_of(row, where)} was shipped once"
        if now is None:
            if versions.get(_run_and_seed(row), 0) <= row["protocol_version"]:
                problems[_run_and_seed(row)] = f"{name} and is gone; raise the method's protocol version instead"
        elif now["sha256"] != row["sha256"] and (row["key"], row["sha256"], now["sha256"]) not in excused:
            if now["started"] == row["started"]:
                differing = ", ".join(name for name in now if name != "sha256" and now[name] != row.get(name))
                problems[row["key"]] = f"{name} with another {differing}, and it is the same run"
            elif result_of(now) != result_of(row):
                differing = ", ".join(name for name, value in result_of(now).items() if value != row.get(name))
                problems[row["key"]] = f"{name} with another {differing}; raise the method's protocol version"
    return list(problems.values())


def _run_and_seed(row: Row, **changed: object) -> str:
    """What a raised protocol version leaves the same: the run and its seed."""
    return canonical_json({part: row[part] for part in IDENTITY if part not in ("protocol_version", "needs")} | changed)


def check_published(
    lines: Iterable[Mapping[str, str]],
    earlier: Iterable[Mapping[str, str]],
    changes: Iterable[Mapping[str, str]],
    where: str,
) -> list[str]:
    """One line for each printed number that has gone, or whose value, n or margin changed, unless ``CHANGES`` says why.

    A number is known by its data set, method, metric and where it is printed.
    """
    now: dict[tuple[str, ...], list[Mapping[str, str]]] = group_by(lines, _place)
    excused = {(*_place(line), line["change"]) for line in changes}
    problems: dict[str, None] = {}
    for line in earlier:
        place, name = _place(line), f"{where}: {line['dataset']}/{line['method']} {line['metric']} ({line['where']})"
        if place not in now:
            found = {"gone"}
        elif any(all(other[column] == line[column] for column in FIXED) for other in now[place]):
            continue
        else:
            nearest = min(now[place], key=lambda other: sum(other[column] != line[column] for column in FIXED))
            columns = (column for column in FIXED if nearest[column] != line[column])
            found = {f"{column} {line[column]} -> {nearest[column]}" for column in columns}
        for change in sorted(found):
            if (*place, change) not in excused:
                problems[f"{name}: {change}, and {CHANGES} does not say why"] = None
    return list(problems)


def _place(line: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in ("dataset", "method", "metric", "where"))


def _blobs(path: str) -> Iterator[str]:
    """Every version of a file that some commit of this history holds, each once."""
    log = ask_git("log", "--format=", "--raw", "--no-abbrev", "--no-renames", "HEAD", "--", path).split("\n")
    for blob in dict.fromkeys(line.split()[3] for line in log if line and line.split()[3].strip("0")):
        yield ask_git("cat-file", "blob", blob)
