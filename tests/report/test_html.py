"""The page as text: self-contained, escaped, small and fast. What a browser makes of it is in test_html_browser.py."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from xml.etree import ElementTree

from contrastbench.report import html, style
from contrastbench.report.curves import Panel, curve_panels
from contrastbench.report.html import inline_svg
from contrastbench.verdicts.cells import join
from contrastbench.verdicts.published import Published

METRIC = "test_top1_percent"
EVIL = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def page_of(synthetic, method="SimCLR", dataset="Alpha", **fields) -> str:
    cell = synthetic.cell(method, dataset)
    rows = synthetic.rows(cell, 80.0)[:4] + [synthetic.failure(cell.runs[4], message=fields.pop("message", "nan"))]
    tables = join("toy", {"main": synthetic.table()}, {"main": [cell]}, rows)
    return html.page(html.ReportInput([html.PaperInput("toy", fields.pop("title", "Toy"), tables, rows, **fields)]))


def test_nothing_comes_from_elsewhere(synthetic):
    elements = Elements(page_of(synthetic)).found
    assert all(tag not in ("iframe", "object", "embed", "base") for tag, _ in elements)
    addresses = [a.get(name) for _, a in elements for name in ("src", "href", "action") if a.get(name)]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    (policy,) = [a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_names_stay_text_wherever_they_stand(synthetic):
    figures = {EVIL: drawn(EVIL)}
    page = page_of(synthetic, EVIL, EVIL, message=EVIL, title=EVIL, findings=[EVIL], figures=figures, states={EVIL: 1})
    plain = Elements(page_of(synthetic)).found
    tags = [tag for tag, _ in Elements(page).found]
    assert tags.count("script") == [tag for tag, _ in plain].count("script")
    assert "img" not in tags
    assert "onerror" not in {name for _, attributes in Elements(page).found for name in attributes}


def test_the_data_of_the_page_is_whole_json(synthetic):
    page = page_of(synthetic, EVIL, message=EVIL)
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    data = json.loads(text)
    (cell,) = data["cells"]
    assert cell["name"] == f"{EVIL}, Alpha"
    assert [seed[0] for seed in cell["here"]["seeds"]] == [0, 1, 2, 3]
    assert cell["here"]["failed"][0][3] == f"FloatingPointError: {EVIL}"
    assert cell["command"].startswith("contrastbench run ")


def test_the_page_is_the_same_for_the_same_rows(synthetic):
    assert page_of(synthetic) == page_of(synthetic)


def drawn(name: str) -> bytes:
    """A figure with a legend, a clipped line and two texts."""
    lines = {name: {0.0: {0: 1.0, 1: 2.0}, 1.0: {0: 3.0, 1: 2.5}}}
    return style.svg_bytes(curve_panels([Panel("A", "test_percent", lines)], "beta"))


def test_names_in_a_figure_stay_text():
    made = inline_svg(drawn("<script>alert(1)</script>"), "f1")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made
    assert not re.search(r"<(script|style|metadata|foreignObject)", made) and "http" not in made


def test_two_figures_share_no_id():
    first, second = (inline_svg(drawn("HCL"), prefix) for prefix in ("f1", "f2"))
    ids = re.findall(r' id="([^"]+)"', first)
    assert ids and len(ids) == len(set(ids)) and all(name.startswith("f1-") for name in ids)
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', first)) == set(ids)
    assert first.replace("f1-", "f2-") == second


def test_a_figure_is_whole_and_takes_the_pages_colours():
    made = inline_svg(drawn("HCL"), "f3")
    ElementTree.fromstring(made)
    assert "currentColor" in made and style.INK not in made and len(made) < 0.8 * len(drawn("HCL"))


def test_an_empty_report_is_a_page(tmp_path):
    path = html.build(
        html.ReportInput([], problems=["runs/toy/abc/row.json is not whole JSON"]), tmp_path / "a" / "b.html"
    )
    text = path.read_text()
    assert "No cell has been judged" in text
    assert "is not whole JSON" in text


def test_ten_thousand_rows_are_a_small_page_soon(synthetic, tmp_path):
    """2,000 cells of 5 seeds, all judged, here and shipped. Alone on a core this takes 1.5 s."""
    cells = {f"t{t}": [synthetic.cell(f"M{i}", f"D{t}{j}") for i in range(50) for j in range(10)] for t in range(4)}
    rows = [row for table in cells.values() for cell in table for row in synthetic.rows(cell, 80.0)]
    numbers = [
        Published(name, c.dataset, c.method, METRIC, 80.0 + i % 3, 0.5, "seeds", 5, True, 1.0)
        for name, table in cells.items()
        for i, c in enumerate(table)
    ]
    assert len(rows) == 10_000
    started = time.process_time()
    tables = join("toy", {name: synthetic.table() for name in cells}, cells, rows, rows, numbers)
    path = html.build(html.ReportInput([html.PaperInput("toy", "Toy", tables, rows)]), tmp_path / "index.html")
    assert time.process_time() - started < 10
    assert path.stat().st_size < 5_000_000


def test_published_numbers_of_other_tables_are_listed(synthetic):
    number = Published("appendix", "STL10", "MoCo", METRIC, 88.1, margin=1.0, value_text="88.10", confirmed=False)
    page = page_of(synthetic, published=[number])
    assert "appendix: STL10 / MoCo, test top-1 (%): 88.10 (unconfirmed)" in page
    assert "1 published number of other tables" in page


def test_every_paper_has_room_for_figures_of_its_own(monkeypatch):
    """The figures of one paper take no room from those of another; what is left out is named."""
    figure = drawn("HCL")
    monkeypatch.setattr(html, "FIGURES_BYTES", int(1.5 * len(inline_svg(figure, "toy-1"))))
    papers = [html.PaperInput(name, name, [], [], figures={"one": figure, "two": figure}) for name in ("a", "b")]
    page = html.page(html.ReportInput(papers))
    assert page.count('aria-label="one"') == 2 and 'aria-label="two"' not in page
    assert page.count("Left out to keep the page small") == 2
