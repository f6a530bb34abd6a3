"""Rows: what one finished or failed run leaves. Read from run folders ("here") and from results/ ("shipped")."""

import hashlib
import math
import os
from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Any

from contrastbench.runner import files
from contrastbench.runner.vocabulary import canonical_json, sha256_of

SCHEMA = 1
Row = dict[str, Any]

FAILURES = ("failed", "diverged", "out_of_memory", "timed_out")
STATUSES = ("done", *FAILURES)
# What must be equal, bit for bit, between two runs of the same key on the same kind of machine.
RESULT_FIELDS = (
    *("key", "paper", "stage", "scale", "variant", "protocol", "protocol_version", "dataset", "method", "config"),
    *("seed", "metrics", "series", "selection", "epoch", "status", "data"),
)
SHIPPED = "rows.jsonl"
# Beside it: shipped runs that another kind of machine made again, whose artefact a shipped row read.
MADE_AGAIN = "made_again.jsonl"
# The fields that every row has, and what may stand there: types, a list of them, or an object; "*" is any name.
# Some rows have more: gpu, code, artefacts_read.
TEXT, WHOLE, NUMBER = (str,), (int,), (float, int)
FIELDS: dict[str, Any] = {
    **dict.fromkeys(("key", "paper", "stage", "scale", "variant", "protocol", "dataset", "method"), TEXT),
    **dict.fromkeys(("selection", "status", "device", "finished"), TEXT),
    **dict.fromkeys(("seed", "protocol_version", "attempt", "resumes", "threads"), WHOLE),
    **dict.fromkeys(("cells", "needs"), [[TEXT]]),
    **dict.fromkeys(("seconds", "peak_mb"), (*NUMBER, NoneType)),
    **dict.fromkeys(("config", "data", "versions"), {}),
    **{"metrics": {"*": NUMBER}, "series": {"*": [NUMBER]}},
    **{"epoch": (*WHOLE, NoneType), "artefact_sha256": (*TEXT, NoneType)},
    **{"git": {"commit": (*TEXT, NoneType), "dirty": (bool, NoneType)}, "host": {"machine": TEXT}},
}


def result_of(row: Row) -> Row:
    """The part of a row that a rerun must repeat: no times, no host."""
    return {name: row[name] for name in RESULT_FIELDS}


def content_sha256(row: Row) -> str:
    """sha256 over the row's canonical JSON without its own ``sha256``."""
    return sha256_of({name: value for name, value in row.items() if name != "sha256"})


def seal(row: Row) -> Row:
    return {**row, "sha256": content_sha256(row)}


def read_row(path: Path) -> Row:
    """One row file.

    Raises:
        ValueError: it is cut off, of another schema, or its content is not what its sha256 says.
    """
    return _parse_row(path.read_bytes(), str(path))


def write_row(path: Path, row: Row) -> None:
    """Writes a row as one canonical line, whole or not at all."""
    files.write_text(path, canonical_json(row) + "\n")


def _parse_row(line: bytes, where: str) -> Row:
    row = files.parse_json(line, where)
    if not isinstance(row, dict) or row.get("schema") != SCHEMA:
        raise ValueError(f"{where} is not a row of schema {SCHEMA}; move it away and the run is done again")
    sealed_content = line.strip().replace(b'"sha256":"%s",' % str(row.get("sha256")).encode(), b"", 1)
    if hashlib.sha256(sealed_content).hexdigest() != row.get("sha256"):
        raise ValueError(f"{where} was changed after it was written: its sha256 does not match; remove it, run again")
    if problem := _problem(row):
        raise ValueError(f"{where} {problem}; move it away and the run is done again")
    return row


def _problem(row: Row) -> str:
    """What of a row's values no run has written; "" where all are as they should be."""
    if missing := (FIELDS.keys() | {"error"}) - row.keys():
        return f"lacks {', '.join(sorted(missing))}"
    error = {"type": TEXT, "message": TEXT} if row["error"] is not None else (NoneType,)
    for name, shape in {**FIELDS, "error": error}.items():
        if not _fits(row[name], shape):
            return f"has {name} = {row[name]!r}"[:200]
    return "" if row["status"] in STATUSES else f"has status = {row['status']!r}; possible: {', '.join(STATUSES)}"


def _fits(value: Any, shape: Any) -> bool:
    """Whether the value is of one of these types and finite, or all inside it fit this list's or object's shape."""
    if isinstance(shape, tuple):
        return type(value) in shape and (type(value) is not float or math.isfinite(value))
    if type(value) is not type(shape):
        return False
    if isinstance(shape, list):
        return all(_fits(each, shape[0]) for each in value)
    inside = dict.fromkeys(value, shape["*"]) if "*" in shape else shape
    return all(_fits(value.get(name), each) for name, each in inside.items())


def rows_in(path: Path) -> list[Row]:
    """The rows of a file with one a line, or of all such files and run folders below a folder.

    Raises:
        ValueError: a row is cut off, of another schema or changed; or there is none.
    """
    below = sorted([*path.rglob("*.jsonl"), *path.rglob("row.json")]) if path.is_dir() else [path]
    files_of_rows = [each for each in below if each.name != "metrics.jsonl"]
    lines = [(each, line) for each in files_of_rows for line in enumerate(each.read_bytes().splitlines(), start=1)]
    if not lines:
        raise ValueError(f"there are no rows in {path}; give a file that `export` wrote, a rows.jsonl or a runs folder")
    return [_parse_row(line, f"{each}:{number}") for each, (number, line) in lines]


def run_folders(runs_folder: Path, paper: str | None = None) -> Iterable[Path]:
    """Every run folder below ``runs_folder``, of one paper or of all."""
    papers = [runs_folder / paper] if paper else _folders(runs_folder)
    for folder in papers:
        yield from _folders(folder)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        paths = sorted(entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    return [Path(path) for path in paths]


def rows_digest(rows: Iterable[Row]) -> str:
    """One sha256 for a set of rows in any order. A figure names it, to say what it was made from."""
    return hashlib.sha256("\n".join(sorted(str(row["sha256"]) for row in rows)).encode()).hexdigest()


def sort_key(row: Row) -> tuple[Any, ...]:
    return (row["paper"], row["scale"], row["dataset"], row["method"], row["variant"], row["seed"], row["key"])


def rows_shipped(results_folder: Path, paper: str, file: str = SHIPPED) -> list[Row]:
    """The rows that came with the suite, from ``results/<paper>/rows.jsonl``; none where there is no such file."""
    path = results_folder / paper / file
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    try:
        return [_parse_row(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    except ValueError as error:
        damage = str(error).split("; ")[0]
        raise ValueError(f"{damage}; shipped rows come back with `git checkout -- {path}`") from error


def write_shipped(results_folder: Path, paper: str, rows: Iterable[Row], file: str = SHIPPED) -> Path:
    """Writes ``results/<paper>/rows.jsonl``: sorted, one canonical line a row, the same bytes for the same rows."""
    path = results_folder / paper / file
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, "".join(canonical_json(row) + "\n" for row in sorted(rows, key=sort_key)))
    return path
