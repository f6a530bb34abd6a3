"""Does what is committed follow from what was measured? Rows against their hash, files against the manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from contrastbench.report.join import JoinedCell
from contrastbench.report.statistics import LEVEL, Printed, difference, difference_interval
from contrastbench.runner import files
from contrastbench.runner.rows import Row, content_sha256

MANIFEST = "manifest.json"
GENERATED = ("report",)  # folders of results/ that are made anew on every machine


def check_rows(rows: Iterable[Row], where: str) -> list[str]:
    """One line for each row whose content is not what its sha256 says, and for each key that appears twice."""
    problems = []
    seen: set[str] = set()
    for row in rows:
        name = _named(row, where)
        if content_sha256(row) != row.get("sha256"):
            problems.append(f"{name} was changed after it was written: its sha256 does not match")
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


def rows_digest(rows: Iterable[Row]) -> str:
    """One sha256 for a set of rows, whatever their order: what a figure says it was made from."""
    return hashlib.sha256("\n".join(sorted(str(row["sha256"]) for row in rows)).encode()).hexdigest()


def manifest(results: Path) -> dict[str, str]:
    """sha256 of every committed file below ``results``, by its path there."""
    paths = sorted(path for path in results.rglob("*") if path.is_file() and _is_committed(path.relative_to(results)))
    return {path.relative_to(results).as_posix(): _sha256(path) for path in paths}


def _is_committed(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.parts[0] not in GENERATED and path.as_posix() != MANIFEST


def write_manifest(results: Path) -> Path:
    """Writes ``results/manifest.json``: the same bytes for the same files."""
    path = results / MANIFEST
    files.write_text(path, json.dumps(manifest(results), indent=1, sort_keys=True) + "\n")
    return path


def check_manifest(results: Path) -> list[str]:
    """One line for each file that the manifest and the folder do not agree on."""
    path = results / MANIFEST
    if not path.exists():
        return [f"{path} is missing; write it with the results"]
    listed, found = files.read_json(path), manifest(results)
    problems = [f"{results / name} is in the manifest but not there" for name in listed if name not in found]
    problems += [f"{results / name} is not in the manifest" for name in found if name not in listed]
    changed = [name for name in found if name in listed and listed[name] != found[name]]
    return problems + [f"{results / name} is not what the manifest says" for name in changed]


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
    same = all(here.get(name) == shipped.get(name) for name in ("host", "versions", "device", "threads", "data"))
    return "differs" if same else "other machine"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
