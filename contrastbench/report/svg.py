"""SVG for the HTML page: the small strip in each table cell, and figures that stand inside the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from contrastbench.report.cells import JoinedCell
from contrastbench.report.style import GRID, INK

WIDTH, HEIGHT = 116, 16
PAD = 5  # room for half a mark at either end


class Axis(NamedTuple):
    low: float
    high: float

    def place(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span > 0 else 0.5
        return round(PAD + share * (WIDTH - 2 * PAD), 1)


def axis_of(cells: Sequence[JoinedCell]) -> Axis | None:
    """The range that one column's strips share; None where there is nothing to draw."""
    values: list[float] = []
    for cell in cells:
        for sample in (cell.here, cell.shipped):
            values += sample.values
            values += [end for end in sample.interval or () if cell.best_known is sample]
        values += [cell.judged.value] if cell.judged else []
    return Axis(min(values), max(values)) if values else None


def strip(cell: JoinedCell, axis: Axis | None) -> Markup:
    """Seeds as dots, the 95 % interval as a bar, the published number as a diamond; decoration, hidden from readers."""
    sample = cell.best_known
    if axis is None or not (sample.done or cell.judged):
        return Markup("")
    middle = HEIGHT // 2
    parts = [f'<path class="axis" d="M0 {middle}H{WIDTH}"/>']
    if sample.interval:
        low, high = (min(max(axis.place(end), 0), WIDTH) for end in sample.interval)
        parts.append(f'<path class="interval" d="M{low:g} {middle}H{max(high, low + 1):g}"/>')
    dots = "".join(f"M{axis.place(value):g} {middle}h0" for value in sample.values[:50])
    parts.append(f'<path class="seeds" d="{dots}"/>' if dots else "")
    if sample.done:
        parts.append(f'<circle class="centre" cx="{axis.place(sample.summary.mean):g}" cy="{middle}" r="3"/>')
    if cell.judged:
        x = axis.place(cell.judged.value)
        parts.append(f'<path class="printed" d="M{x:g} 2l5 6l-5 6l-5 -6z"/>')
    head = f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
    return Markup(head + "".join(parts) + "</svg>")  # numbers only


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
    body = re.sub(re.escape(INK), "currentColor", body, flags=re.IGNORECASE)
    body = re.sub(re.escape(GRID), "var(--line)", body, flags=re.IGNORECASE)
    return Markup(f"<svg {box[0] if box else ''}>{body}")
