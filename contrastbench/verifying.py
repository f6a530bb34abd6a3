"""What ``verify`` asks of shipped rows and printed numbers: whole, from real commits, and as they were shipped once.

Nothing here believes a hash alone: whoever changes a row can make its hash anew. What was shipped once is in git.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from contrastbench.evidence import Evidence
from contrastbench.runner import files
from contrastbench.runner.provenance import PROJECT, ask_git, commit_dates
from contrastbench.runner.rows import MADE_AGAIN, SHIPPED, Row, result_of, rows_shipped
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
    rows, folder = evidence.shipped, evidence.results / evidence.paper.name
    made_again = rows_shipped(evidence.results, evidence.paper.name, MADE_AGAIN)
    found = {SHIPPED: [*check_seeds(rows), *check_needs(rows, made_again)], MADE_AGAIN: []}
    of_files = {SHIPPED: rows, MADE_AGAIN: made_again}
    for file, those in of_files.items():
        found[file] += [*check_rows(those), *check_shown(those, standing), *check_times(those)]
    if history:
        found[SHIPPED] += check_more_seeds(evidence, read_lines(folder / MORE_SEEDS))
    printed, problems = evidence.paper.folder / "published.csv", list(check_measurements(folder))
    if history and commit_dates() is not None:
        replaced = read_lines(folder / REPLACED)
        for file, those in of_files.items():
            blobs = _blobs(f"results/{evidence.paper.name}/{file}")
            earlier = dict.fromkeys(line for blob in blobs for line in blob.splitlines())  # most stand in many
            found[file] += check_history(those, map(json.loads, earlier), replaced, others=rows)
        if printed.is_relative_to(PROJECT) and printed.exists():
            place = str(printed.relative_to(PROJECT))
            once = (number for blob in _blobs(place) for number in csv.DictReader(io.StringIO(blob)))
            changes = read_lines(printed.with_name(CHANGES))
            problems += [f"{place}: {each}" for each in check_published(files.read_csv(printed), once, changes)]
    return problems + [f"{folder / file}: {each}" for file, lines in found.items() for each in lines]


def read_lines(path: Path) -> list[dict[str, str]]:
    """The lines of a file of exceptions; none where there is no such file.

    Raises:
        ValueError: a line without a reason.
    """
    lines = files.read_csv(path) if path.exists() else []
    if silent := [number for number, line in enumerate(lines, start=2) if not line.get("why")]:
        raise ValueError(f"{path}:{silent[0]}: no reason is given")
    return lines


def _name_of(row: Row) -> str:
    return f"row {row['key'][:12]} ({row['dataset']}/{row['method']}/{row['seed']})"


# ------------------------------------------------------------------------------------------------- rows by themselves


def check_rows(rows: Iterable[Row]) -> Iterator[str]:
    """One line for each row that is not what its key says, and for each key that appears twice."""
    seen: set[str] = set()
    for row in rows:
        if key_of(row) != row["key"]:
            yield f"{_name_of(row)} is not the run that its key names: config, seed or version were changed"
        if row["key"] in seen:
            yield f"{_name_of(row)} appears twice"
        seen.add(row["key"])


def check_needs(rows: Sequence[Row], made_again: Sequence[Row] = ()) -> Iterator[str]:
    """One line for each row that needs a missing row, or that read another artefact than the needed row kept.

    Args:
        made_again: needed runs that another kind of machine made again: their artefacts may be read as well.
    """
    known = {row["key"] for row in rows}
    kept = {(row["key"], row["artefact_sha256"]) for row in (*rows, *made_again)}
    for row in (*rows, *made_again):
        for name, key in row["needs"]:
            read = row.get("artefacts_read", {}).get(name)
            if key not in known:
                yield f"{_name_of(row)} needs {name!r}, row {key[:12]}, which is not there"
            elif read and (key, read) not in kept:
                yield f"{_name_of(row)} read another artefact {name!r} than row {key[:12]} kept"


def check_seeds(rows: Iterable[Row]) -> Iterator[str]:
    """One line for each run whose seeds have a gap: the missing seed may have been run and left out."""
    for alike in group_by(rows, lambda row: _run_and_seed(row, seed=None)).values():
        row, seeds = alike[-1], {each["seed"] for each in alike}
        if gap := sorted(set(range(max(seeds))) - seeds):
            name = f"{row['dataset']}/{row['method']} ({row['scale']} scale, stage {row['stage']})"
            yield f"{name} has seeds up to {max(seeds)} and lacks {', '.join(map(str, gap))}"


def check_more_seeds(evidence: Evidence, lines: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """One line for each method with more seeds than the tables declare, unless a line of ``MORE_SEEDS`` says why."""
    cells = [cell for table in evidence.paper.tables for scale in SCALES for cell in evidence.paper.cells(table, scale)]
    declared = chain(run for cell in cells for run in cell.runs)
    others = (row for row in evidence.shipped if row["key"] not in declared)
    allowed = {(line["dataset"], line["method"], line["scale"], line["seeds"]) for line in lines}
    for place, alike in group_by(others, lambda row: (row["dataset"], row["method"], row["scale"])).items():
        seeds = " ".join(str(seed) for seed in sorted({row["seed"] for row in alike}))
        if (*place, seeds) not in allowed:
            name = f"{place[0]}/{place[1]} ({place[2]} scale)"
            yield f"{name} has seeds that no table declares: {seeds}; declare them, or say why in {MORE_SEEDS}"


def check_shown(rows: Iterable[Row], standing: set[str]) -> Iterator[str]:
    """One line for each row that no cell shows and no shown row needs.

    Args:
        standing: keys of the rows that some cell shows, or that such a row needs.
    """
    return (f"{_name_of(row)} stands in no cell" for row in rows if row["key"] not in standing)


def check_times(rows: Sequence[Row]) -> Iterator[str]:
    """One line for each commit of rows that is not in this history or not clean, and for times that cannot be."""
    dates = commit_dates()
    commits = group_by(rows, lambda row: (str(row["git"]["commit"]), row["git"]["dirty"] is False))
    for (commit, clean), alike in commits.items():
        count = f"{len(alike)} rows come from"
        if not clean:
            yield f"{count} a checkout with changes that no commit holds ({commit})"
        elif dates is not None and commit not in dates:
            yield f"{count} commit {commit}, which is not in this history"
        elif dates is not None:
            early = (row for row in alike if datetime.fromisoformat(row["started"]).timestamp() < dates[commit] - 1)
            yield from (f"{_name_of(row)} was started before its commit was made" for row in early)
    times = group_by(rows, lambda row: (row["started"], row["finished"], row["seconds"]))
    for alike in times.values():
        if len(alike) >= ALIKE and (alike[0]["seconds"] or 0) >= 1:
            yield f"{_name_of(alike[0])} has the very times of {len(alike) - 1} other rows"


def check_measurements(folder: Path) -> Iterator[str]:
    """One line for each file of measurements beside the rows, as of speed, that does not name clean commits of ours."""
    dates = commit_dates()
    for path in sorted(path for path in folder.glob("*.csv") if path.name not in NOT_MEASURED):
        commits = {line.get("commit") for line in files.read_csv(path)}
        if None in commits:
            yield f"{path} does not name the commit that measured it, in a column `commit`"
        elif dates is not None and (unknown := commits - dates.keys()):
            yield f"{path} names {', '.join(sorted(map(str, unknown)))}, which is no clean commit of this history"


# --------------------------------------------------------------------------------------- against what was shipped once


def check_history(
    rows: Sequence[Row], earlier: Iterable[Row], replaced: Iterable[Mapping[str, str]], others: Sequence[Row] = ()
) -> list[str]:
    """One line for each row that was shipped once and is gone or changed.

    A row may go if its protocol version was raised since. It may be run again, which its start tells: then all that a
    rerun must repeat is equal, or a line of ``REPLACED`` names the old and the new sha256 and the reason.

    Args:
        others: rows of another file that tell of raised versions too.
    """
    known = {row["key"]: row for row in rows}
    versions: dict[str, int] = {}  # the highest of each run and seed
    for row in (*rows, *others):
        versions[_run_and_seed(row)] = max(versions.get(_run_and_seed(row), 0), row["protocol_version"])
    excused = {(line["key"], line["old"], line["new"]) for line in replaced}
    problems: dict[str, str] = {}
    for row in earlier:
        now, name = known.get(row["key"]), f"{_name_of(row)} was shipped once"
        if now is None:
            if versions.get(_run_and_seed(row), 0) <= row["protocol_version"]:
                problems[_run_and_seed(row)] = f"{name} and is gone; raise the method's protocol version instead"
        elif now["sha256"] != row["sha256"] and (row["key"], row["sha256"], now["sha256"]) not in excused:
            is_same_run = now["started"] == row["started"]
            if is_same_run or result_of(now) != result_of(row):
                compared = now.keys() - {"sha256"} if is_same_run else result_of(now)
                differing = ", ".join(name for name in now if name in compared and now[name] != row.get(name))
                end = ", and it is the same run" if is_same_run else "; raise the method's protocol version"
                problems[row["key"]] = f"{name} with another {differing}{end}"
    return list(problems.values())


def _run_and_seed(row: Row, **changed: object) -> str:
    """What a raised protocol version leaves the same: the run and its seed."""
    return canonical_json({part: row[part] for part in IDENTITY if part not in ("protocol_version", "needs")} | changed)


def check_published(
    lines: Iterable[Mapping[str, str]], earlier: Iterable[Mapping[str, str]], changes: Iterable[Mapping[str, str]]
) -> list[str]:
    """One line for each printed number that has gone, or whose value, n or margin changed, unless ``CHANGES`` says why.

    A number is known by its data set, method, metric and where it is printed.
    """
    now: dict[tuple[str, ...], list[Mapping[str, str]]] = group_by(lines, _place)
    excused = {(*_place(line), line["change"]) for line in changes}
    problems: dict[str, None] = {}
    for line in earlier:
        place, name = _place(line), f"{line['dataset']}/{line['method']} {line['metric']} ({line['where']})"
        found = [[f"{column} {line[column]} -> {other[column]}" for column in FIXED if other[column] != line[column]]
                 for other in now.get(place, ())]  # fmt: skip
        nearest = min(found, key=lambda each: len(each)) if found else ["gone"]
        for change in sorted(nearest):
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
