"""SVG for the HTML page: the small strip in each table cell, and figures made safe to stand inside the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from markupsafe import Markup

from contrastbench.report.join import JoinedCell
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


_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
ELEMENTS = frozenset(
    ("svg", "g", "path", "defs", "use", "text", "tspan", "clipPath", "rect", "circle", "ellipse", "line", "polyline")
    + ("polygon", "image")
)
ATTRIBUTES = frozenset(
    ("id", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "width", "height", "viewBox", "points")
    + ("transform", "style", "clip-path", "fill", "stroke", "opacity", "stroke-width", "fill-opacity")
    + ("stroke-opacity", "text-anchor", "font-size", "preserveAspectRatio")
)
_REFERENCE = re.compile(r"(?:url\(#|^#)([^)]+)")
_FOREIGN = re.compile(r"url\(\s*['\"]?(?!#)|expression|javascript:|@import", re.IGNORECASE)


def inline_svg(source: str | bytes, prefix: str) -> Markup:
    """A figure that may stand in the page: known elements and attributes only, no script, nothing from elsewhere.

    Ink and grid follow the page's colours, so that the figure is readable in the dark; ids get ``prefix``, so that two
    figures do not share them.

    Raises:
        ValueError: it is not whole SVG.
    """
    try:
        root = ElementTree.fromstring(source)
    except ElementTree.ParseError as error:
        raise ValueError(f"figure {prefix} is not whole SVG: {error}") from error
    if root.tag != f"{_SVG}svg":
        raise ValueError(f"figure {prefix} is not SVG but {root.tag}")
    kept = _kept(root, prefix)
    kept.attrib.pop("width", None), kept.attrib.pop("height", None)
    _forget_unused_ids(kept)
    text = ElementTree.tostring(kept, encoding="unicode")
    text = re.sub(re.escape(INK), "currentColor", text, flags=re.IGNORECASE)
    return Markup(re.sub(re.escape(GRID), "var(--line)", text, flags=re.IGNORECASE))


def _kept(element: ElementTree.Element, prefix: str) -> ElementTree.Element:
    """A copy without what is not on the lists, without namespaces."""
    copy = ElementTree.Element(element.tag.removeprefix(_SVG))
    if copy.tag in ("text", "tspan"):  # elsewhere text is indentation, a third of the file
        copy.text = element.text
    if element.tag == f"{_SVG}tspan":
        copy.tail = element.tail
    for name, value in element.attrib.items():
        if name == _XLINK or name == "href":
            _keep_reference(copy, value, prefix)
        elif name in ATTRIBUTES and not _FOREIGN.search(value) and not value.startswith("rotate(-0 "):
            value = f"{prefix}-{value}" if name == "id" else value.replace("url(#", f"url(#{prefix}-")
            copy.set(name, value)
    for child in element:
        if isinstance(child.tag, str) and child.tag.removeprefix(_SVG) in ELEMENTS:
            copy.append(_kept(child, prefix))
    return copy


def _forget_unused_ids(root: ElementTree.Element) -> None:
    values = [value for element in root.iter() for value in element.attrib.values()]
    used = {name for value in values for name in _REFERENCE.findall(value)}
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)


def _keep_reference(copy: ElementTree.Element, value: str, prefix: str) -> None:
    if value.startswith("#"):
        copy.set("href", f"#{prefix}-{value[1:]}")
    elif copy.tag == "image" and value.startswith("data:image/png;base64,"):
        copy.set("href", value)
