"""The report: one self-contained page that works from a file, without a server or a network.

The command line assembles a ``ReportInput`` and calls ``build(report, path)``. With ``--watch`` it does so again
whenever new rows have come, and sets ``reload_seconds``, so that an open page reloads itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from contrastbench.report.layout import published_text, words
from contrastbench.report.page import Details, script_json, table_view
from contrastbench.report.style import GRID, INK, look
from contrastbench.runner import files
from contrastbench.verdicts.cells import JoinedTable, Row
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.verdict import Kind

FIGURES_BYTES = 2_500_000  # the room for one paper's figures; those beyond it are named only
TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("page.js", "tables.js", "details.js", "chart.js")


@dataclass(frozen=True)
class PaperInput:
    """One paper of the report.

    Attributes:
        name, title: as its ``tables.py`` says.
        tables: what ``join`` returned, at every scale to be shown.
        rows: those of this machine.
        states: status -> number of runs on this machine (queued, running, done, ...); else counted in ``rows``.
        figures: name -> what ``style.svg_bytes`` made.
        findings: what its README says first, plain text.
        published: everything in its ``published.csv``; numbers of tables that the paper does not declare are listed.
    """

    name: str
    title: str
    tables: Sequence[JoinedTable]
    rows: Sequence[Row]
    states: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)
    findings: Sequence[str] = ()
    published: Sequence[Published] = ()

    @property
    def runs(self) -> Mapping[str, int]:
        return self.states or Counter(str(row["status"]) for row in self.rows)

    @property
    def failures(self) -> list[Row]:
        return [row for row in self.rows if row["status"] != "done"]

    @property
    def seconds(self) -> float:
        """Seconds that the runs on this machine have taken so far."""
        return sum(row["seconds"] or 0 for row in self.rows)


@dataclass(frozen=True)
class ReportInput:
    """Everything the page shows.

    Attributes:
        papers: in the order of the page.
        provenance: label -> text: commit, machine, packages, ...
        generated: when, as text; the only thing on the page that no row says.
        problems: lines that must not be overlooked, e.g. rows that cannot be read.
        reload_seconds: the page reloads itself this often; None for never.
    """

    papers: Sequence[PaperInput]
    provenance: Mapping[str, str] = field(default_factory=dict)
    generated: str = ""
    problems: Sequence[str] = ()
    reload_seconds: int | None = None


def build(report: ReportInput, path: Path) -> Path:
    """Writes the page, whole or not at all; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, page(report))
    return path


def page(report: ReportInput) -> str:
    """The page as text."""
    details = Details()
    papers = [_paper_view(paper, details) for paper in report.papers]
    counts = Counter(dict.fromkeys(Kind, 0))
    for paper in papers:
        counts.update(paper["counts"])
    return _template().render(
        report=report,
        papers=papers,
        counts=counts,
        kinds=list(Kind),
        look=look,
        scales=sorted({table.scale for paper in report.papers for table in paper.tables}),
        data=script_json(details.as_json()),
        css=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        scripts=[Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in SCRIPTS],
        duration=duration,
    )


def _paper_view(paper: PaperInput, details: Details) -> dict[str, Any]:
    tables = [table_view(table, details) for table in paper.tables]
    figures, free = [], FIGURES_BYTES
    for number, (name, svg) in enumerate(paper.figures.items(), start=1):
        drawing, wide = _drawing(svg, f"{paper.name}-{number}")
        free -= len(drawing)
        figures.append((name.replace("-", " ").replace("_", " "), drawing if free > 0 else None, wide))
    counts = Counter(cell.verdict.kind for table in paper.tables for cell in table.cells)
    known = {table.name for table in paper.tables}
    carried = [
        f"{n.table}: {n.dataset} / {n.method}, {words(n.metric)}: {published_text(n)}"
        for n in paper.published
        if n.table not in known
    ]
    return {"paper": paper, "tables": tables, "figures": figures, "counts": counts, "carried": carried}


def _drawing(svg: bytes, prefix: str) -> tuple[Markup, bool]:
    """The figure for the page, and whether it is wide enough for a line of its own."""
    drawing = inline_svg(svg, prefix)
    box = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', drawing)
    return drawing, box is not None and float(box[1]) > 1.7 * float(box[2])


def inline_svg(source: bytes, prefix: str) -> Markup:
    """A figure of ``style.svg_bytes`` as it may stand in the page beside others.

    Ids get ``prefix``, so that two figures do not share them; ink and grid follow the page's colours, so that the
    figure can be read in the dark; indentation and unused ids go, a third of the size. Names in a figure are text:
    matplotlib escapes them.
    """
    text = source.decode()
    root, _, body = text[text.index("<svg") :].partition(">")
    box = re.search(r'viewBox="[^"]*"', root)
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r">\s*\n\s*<", "><", body).replace("xlink:href", "href").rstrip()
    used = {name for names in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', body) for name in names}
    body = re.sub(r' id="([^"]+)"', lambda id: f' id="{prefix}-{id[1]}"' if id[1] in used else "", body)
    body = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", body)
    body = re.sub(r'<g id="patch_1">.*?</g>', "", body, count=1, flags=re.DOTALL)  # the white ground of the file
    body = re.sub(r"fill: #ffffff", "fill: none", body)
    body = re.sub(re.escape(INK), "currentColor", body, flags=re.IGNORECASE)
    body = re.sub(re.escape(GRID), "var(--line)", body, flags=re.IGNORECASE)
    return Markup(f"<svg {box[0] if box else ''}>{body}")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("page.html")


def duration(seconds: float) -> str:
    """Seconds as people say them: 41 s, 3.2 min, 5.6 h, 2.1 days."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
