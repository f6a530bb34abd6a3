"""The report: a page that sums up, and one for each paper. They work from files, without a server or a network.

``paper_page`` renders a paper's page and returns what the summary says of it; ``index_page`` renders the summary. With
``--watch`` both are written anew whenever new rows have come, and an open page reloads itself. Cells and curves travel
as JSON.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from contrastbench.report.details import Details, View, table_view
from contrastbench.report.layout import published_text, words
from contrastbench.runner.vocabulary import duration
from contrastbench.verdicts.cells import JoinedTable, Row, count_numbers
from contrastbench.verdicts.judging import Judged, count_outcomes
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.verdict import JUDGED, Kind

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class PaperPage:
    """A paper's page, and what the summary says of the paper.

    Attributes:
        address: the page's file, in the folder of the summary.
        html: the page.
        claims: the table of its claims.
        outcomes, outcome: of the claims, counted and in words.
        counts: verdict -> cells.
        numbers: what ``count_numbers`` counted.
        runs: status -> number of runs on this machine; ``seconds`` is what they have taken.
        answers: what a search finds: address, name and text.
    """

    name: str
    title: str
    address: str
    html: str
    claims: Markup
    outcomes: Counter[str]
    outcome: str
    counts: Counter[str]
    numbers: Counter[str]
    runs: Mapping[str, int]
    seconds: float
    answers: Sequence[tuple[str, str, str]]


def index_page(
    papers: Sequence[PaperPage],
    *,
    provenance: Mapping[str, str] = NOTHING,
    generated: str = "",
    figures: Mapping[str, bytes] = NOTHING,
    problems: Sequence[str] = (),
    reload_seconds: int | None = None,
) -> str:
    """The page that sums up all papers, in their order.

    Args:
        provenance: label -> text: commit, machine, packages, ...
        generated: when, as text; the only thing in the report that no row says.
        figures: those of the whole suite, name -> SVG.
        problems: lines that must not be overlooked, e.g. rows that cannot be read.
        reload_seconds: the page reloads itself this often; None for never.
    """
    counts = sum((paper.counts for paper in papers), Counter[str]())
    return _render(
        "index.html",
        [answer for paper in papers for answer in paper.answers],
        reload_seconds,
        papers=papers,
        provenance=provenance,
        generated=generated,
        problems=problems,
        outcomes=sum((paper.outcomes for paper in papers), Counter[str]()),
        counts=counts,
        judged=sum(counts[str(kind)] for kind in JUDGED),
        figures=[_picture(f"What {name} does", svg) for name, svg in figures.items()],
        duration=duration,
    )


def paper_page(
    name: str,
    title: str,
    tables: Sequence[JoinedTable],
    rows: Sequence[Row],
    *,
    states: Mapping[str, int] = NOTHING,
    figures: Mapping[str, bytes] = NOTHING,
    claims: Sequence[Judged] = (),
    links: Mapping[str, str] = NOTHING,
    published: Sequence[Published] = (),
    home: str = "index.html",
    reload_seconds: int | None = None,
) -> PaperPage:
    """A paper's page.

    Args:
        name, title: as its ``tables.py`` says.
        tables: what ``join`` returned, at every scale to be shown.
        rows: those of this machine.
        states: status -> number of runs on this machine (queued, running, done, ...); else counted in ``rows``.
        figures: name -> what ``style.svg_bytes`` made.
        claims: what the paper claims, judged.
        links: name -> the file of a figure that is not on the page, relative to it.
        published: everything in its ``published.csv``; numbers of tables that the paper does not declare are listed.
        home: the file of the summary beside it.
    """
    details, address = Details(), f"{name}.html"
    views = [table_view(table, details, [each.claim for each in claims]) for table in tables]
    known = {table.name for table in tables}
    # Each claim links to the table that decides it.
    numbers = {(view["table"].name, view["table"].scale): view["number"] for view in views}
    seen = Counter(each.claim.seen for each in claims if each.claim.seen)
    template = _environment().get_template("claims.html")
    of_claims = Markup(template.render(claims=claims, address=address, numbers=numbers, seen=seen) if claims else "")
    said: dict[str, Any] = {
        "title": title,
        "claims": of_claims,
        "outcome": count_outcomes(claims),
        "counts": Counter(str(cell.verdict.kind) for table in tables for cell in table.cells),
    }
    html = _render(
        "paper.html",
        details.as_json(),
        reload_seconds,
        **said,
        home=home,
        tables=views,
        scales=sorted({table.scale for table in tables}),
        failures=[row for row in rows if row["status"] != "done"],
        figures=[_picture(figure, svg) for figure, svg in figures.items()],
        linked=[(_caption(figure), file) for figure, file in links.items()],
        carried=[
            f"{n.table}: {n.dataset} / {n.method}, {words(n.metric)}: {published_text(n)}"
            for n in published
            if n.table not in known
        ],
    )
    return PaperPage(
        **said,
        name=name,
        address=address,
        html=html,
        outcomes=Counter(str(each.outcome) for each in claims),
        numbers=count_numbers(published, tables),
        runs=states or Counter(str(row["status"]) for row in rows),
        seconds=sum(row["seconds"] or 0 for row in rows),
        answers=[answer for view in views for answer in _answers(address, view)],
    )


def _answers(address: str, view: View) -> list[tuple[str, str, str]]:
    """One for each line of the table with a measured cell: the table's address, names to search, and the numbers."""
    table, found = view["table"], []
    for label, views in view["lines"]:
        numbers = [f"{words(each['cell'].metric)} {each['cell'].dataset}: {each['mean']}" for each in views if each]
        place = f"{table.paper}/{table.name}, {table.scale} scale"
        found.append((f"{address}#table-{view['number']}", f"{label} in {place}", "; ".join(numbers)))
    return found


def _caption(name: str) -> str:
    return name.replace("-", " ").replace("_", " ")


def _picture(name: str, svg: bytes) -> tuple[str, str, bool]:
    """The figure's caption, itself as an address, and whether it is wide enough for a line of its own.

    As an image it shares no id with another figure, and what a name in it says is text and no script.
    """
    box = re.search(rb'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    is_wide = box is not None and float(box[1]) > 1.7 * float(box[2])
    return _caption(name), f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}", is_wide


def _render(template: str, data: Any, reload_seconds: int | None, **shown: Any) -> str:
    return _environment().get_template(template).render(
        **shown,
        kinds=list(Kind),
        data=htmlsafe_json_dumps(
            data, json.dumps, separators=(",", ":"), ensure_ascii=False, default=str, allow_nan=False
        ),
        reload_seconds=reload_seconds,
    )  # fmt: skip


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), undefined=jinja2.StrictUndefined,
        autoescape=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
