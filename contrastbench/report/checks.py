"""Does what is committed follow from what was measured? Rows against their hash, key, seeds and chain; files against
the rows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from contrastbench.report.cells import JoinedCell
from contrastbench.report.statistics import LEVEL, Printed, difference, difference_interval
from contrastbench.runner.rows import Row, content_sha256
from contrastbench.runner.vocabulary import canonical_json, key_of

IDENTITY = ("paper", "stage", "config", "seed", "scale", "variant", "protocol", "protocol_version", "needs")


def check_rows(rows: Iterable[Row], where: str) -> list[str]:
    """One line for each row that is not what its sha256 or its key says, and for each key that appears twice."""
    problems = []
    seen: set[str] = set()
    for row in rows:
        name = _named(row, where)
        if content_sha256(row) != row.get("sha256"):
            problems.append(f"{name} was changed after it was written: its sha256 does not match")
        elif key_of({part: row[part] for part in IDENTITY}) != row["key"]:
            problems.append(f"{name} is not the run that its key names: config, seed or version were changed")
        if row.get("key") in seen:
            problems.append(f"{name} appears twice")
        seen.add(str(row.get("key")))
    return problems


def check_needs(rows: Sequence[Row], where: str) -> list[str]:
    """One line for each row that needs another one which is not there, or which kept another artefact than it read."""
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
    """One line for each run whose seeds have a gap: somebody ran the missing one, and it is not here."""
    seeds: dict[str, list[int]] = defaultdict(list)
    names: dict[str, str] = {}
    for row in rows:
        group = canonical_json({**_without_needs(row), "seed": None})
        seeds[group].append(row["seed"])
        names[group] = f"{where}: {row['dataset']}/{row['method']} ({row['scale']} scale, stage {row['stage']})"
    gaps = {group: sorted(set(range(max(found) + 1)) - set(found)) for group, found in seeds.items()}
    return [
        f"{names[group]} has seeds up to {max(seeds[group])} and lacks {', '.join(map(str, gap))}"
        for group, gap in gaps.items()
        if gap
    ]


def check_shown(rows: Iterable[Row], standing: set[str], where: str) -> list[str]:
    """One line for each row that no cell shows and no shown row needs.

    Args:
        standing: keys of the rows that some cell shows, or that such a row needs.
    """
    return [f"{_named(row, where)} stands in no cell" for row in rows if row["key"] not in standing]


def group_with_seed(row: Row) -> str:
    """The run whatever its version: what a raised protocol version leaves the same."""
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


def rows_digest(rows: Iterable[Row]) -> str:
    """One sha256 for a set of rows, whatever their order: what a figure says it was made from."""
    return hashlib.sha256("\n".join(sorted(str(row["sha256"]) for row in rows)).encode()).hexdigest()


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


def compare_rows(here: Sequence[Row], shipped: Sequence[Row]) -> list[tuple[Row, Row, str]]:
    """Rows of the same key from two places: (here, shipped, what they agree on).

    Returns:
        "bit for bit" where status, metrics and series are equal; "other machine" where they differ and the two ran on
        different kinds of machine, with other packages or another device; else "differs".
    """
    known = {row["key"]: row for row in shipped}
    return [(row, known[row["key"]], _agreement(row, known[row["key"]])) for row in here if row["key"] in known]


def outside_noise(cells: Iterable[JoinedCell]) -> tuple[int, list[JoinedCell]]:
    """Of the cells measured here and shipped, two seeds or more each: how many, and those whose means differ.

    They differ where the interval of the difference leaves 0 out, at a level so high (Bonferroni) that a machine that
    computes the same gets a single one in 5 % of all comparisons at most.
    """
    both = [cell for cell in cells if cell.here.summary.n > 1 and cell.shipped.summary.n > 1]
    level = 1 - (1 - LEVEL) / max(1, len(both))

    def differs(cell: JoinedCell) -> bool:
        shipped = Printed(cell.shipped.summary.mean, cell.shipped.summary.sd, cell.shipped.summary.n)
        return difference_interval(difference(cell.here.summary, shipped), level).excludes_zero()

    return len(both), [cell for cell in both if differs(cell)]


def _agreement(here: Row, shipped: Row) -> str:
    if all(here.get(name) == shipped.get(name) for name in ("status", "metrics", "series")):
        return "bit for bit"
    same = all(here.get(name) == shipped.get(name) for name in ("host", "device", "threads", "data"))
    return "differs" if same and _same_packages(here, shipped) else "other machine"


def _same_packages(here: Row, shipped: Row) -> bool:
    """Whether the packages that both rows name are of one version; older rows name fewer."""
    ours, theirs = here.get("versions") or {}, shipped.get("versions") or {}
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())
