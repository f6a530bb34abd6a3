"""Generated tables inside Markdown files, between two comments that GitHub does not show:

    <!-- table: hard_negatives/main/quick -->
    ...
    <!-- end -->

The name is paper/table/scale; ``/long``, ``/grid`` or ``/brief`` behind it fixes the layout. In a paper's own README
the paper may be left out, and so may the scale where the table was measured at one scale only. Such tables show shipped
rows; what was measured on the reader's machine is in the report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from contrastbench.report.join import JoinedTable
from contrastbench.report.tables import LAYOUTS, markdown, sheet
from contrastbench.runner import files
from contrastbench.runner.vocabulary import SCALES

BLOCK = re.compile(r"(<!-- table: *(?P<name>[^\n]*?) *-->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)
START = re.compile(r"<!-- table:")


def fill(text: str, table_of: Callable[[str], str], where: str) -> str:
    """``text`` with every block's body made anew by ``table_of(name)``.

    Raises:
        ValueError: a block has no end, or its name is unknown; the message names the file.
    """
    if len(START.findall(text)) != len(BLOCK.findall(text)):
        raise ValueError(f"{where}: a <!-- table: ... --> has no <!-- end --> below it")
    try:
        return BLOCK.sub(lambda match: f"{match[1]}{table_of(match['name'])}{match[4]}", text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def tables_by_name(tables: Iterable[JoinedTable], paper: str = "") -> Callable[[str], str]:
    """Finds a table by the name that a block gives, and prints it.

    Args:
        tables: everything measured.
        paper: the paper whose README it is; then names may leave it out.
    """
    known = list(tables)

    def table_of(name: str) -> str:
        parts = [part.strip() for part in name.split("/")]
        layout = parts.pop() if parts[-1] in LAYOUTS else "auto"
        if paper and parts[0] != paper:
            parts.insert(0, paper)
        scale = parts.pop() if parts[-1] in SCALES else ""
        found = [t for t in known if [t.paper, t.name] == parts and scale in ("", t.scale)]
        measured = [t for t in found if any(cell.best_known for cell in t.cells)] or found
        if len(measured) != 1:
            raise ValueError(_not_one(name, measured or known))
        return "\n" + markdown(sheet(measured[0], layout, places=("shipped",)), title=False) + "\n"

    return table_of


def _not_one(name: str, among: Sequence[JoinedTable]) -> str:
    possible = ", ".join(dict.fromkeys(f"{table.paper}/{table.name}/{table.scale}" for table in among))
    return f"not one table is named {name!r}; possible: {possible or 'none'}"


def fill_file(path: Path, tables: Iterable[JoinedTable], paper: str = "") -> bool:
    """Fills the blocks of one Markdown file; True if that changed it."""
    old = path.read_text(encoding="utf-8")
    new = fill(old, tables_by_name(tables, paper), str(path))
    if new != old:
        files.write_text(path, new)
    return new != old


def check_file(path: Path, tables: Iterable[JoinedTable], paper: str = "") -> list[str]:
    """One line for each block of the file that does not follow from the rows."""
    text = path.read_text(encoding="utf-8")
    fresh = fill(text, tables_by_name(tables, paper), str(path))
    old, new = BLOCK.finditer(text), BLOCK.finditer(fresh)
    return [
        f"{path}: the table {a['name']} does not follow from the rows; fill it again"
        for a, b in zip(old, new, strict=True)
        if a["body"] != b["body"]
    ]


FINDINGS = re.compile(r"<!-- findings -->\n(.*?)<!-- end -->", re.DOTALL)


def findings_of(path: Path) -> list[str]:
    """What a paper's README says first: the items between <!-- findings --> and <!-- end -->, as plain text."""
    match = FINDINGS.search(path.read_text(encoding="utf-8")) if path.exists() else None
    if not match:
        return []
    text = re.sub(r"<!--.*?-->", "", match[1], flags=re.DOTALL)
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("**", "").replace("`", "")
    return [" ".join(item.split()) for item in re.split(r"^(?:\d+\.|-) ", text, flags=re.MULTILINE) if item.strip()]
