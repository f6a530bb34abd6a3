"""The page as text: self-contained, escaped, small and fast. What a browser makes of it is in test_html_browser.py."""

import base64
import dataclasses
import json
import re
import time
from html.parser import HTMLParser

from contrastbench.report import page as pages
from contrastbench.report import style
from contrastbench.report.curves import Panel, curve_panels
from contrastbench.verdicts.cells import count_numbers, join
from contrastbench.verdicts.claims import Greater
from contrastbench.verdicts.judging import Judged, Outcome, judge
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
    return pages.paper_page("toy", fields.pop("title", "Toy"), tables, rows, **fields).html


def test_nothing_comes_from_elsewhere(synthetic):
    elements = Elements(page_of(synthetic)).found
    assert all(tag not in ("iframe", "object", "embed", "base") for tag, _ in elements)
    addresses = [a.get(name) for _, a in elements for name in ("src", "href", "action") if a.get(name)]
    assert all(address.startswith(("#", "data:", "index.html")) for address in addresses)
    (policy,) = [a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_names_stay_text_wherever_they_stand(synthetic):
    figures = {EVIL: drawn(EVIL)}
    declared = Greater(EVIL, EVIL, EVIL, ("main/paper",), METRIC, matters=1.0, method=EVIL, over=EVIL)
    claim = Judged(declared, Outcome.NOT_RUN)
    page = page_of(
        synthetic,
        EVIL,
        EVIL,
        message=EVIL,
        title=EVIL,
        claims=[claim],
        links={EVIL: "figures/evil.svg"},
        figures=figures,
        states={EVIL: 1},
    )
    plain = Elements(page_of(synthetic)).found
    tags = [tag for tag, _ in Elements(page).found]
    assert tags.count("script") == [tag for tag, _ in plain].count("script")
    assert tags.count("img") == 1, "the figure's, in which names are no markup of the page"
    assert "onerror" not in {name for _, attributes in Elements(page).found for name in attributes}


def test_the_data_of_the_page_is_whole_json(synthetic):
    page = page_of(synthetic, EVIL, message=EVIL)
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    data = json.loads(text)
    (cell,) = data["cells"]
    assert cell["name"] == f"{EVIL}, Alpha"
    assert [seed[0] for seed in cell["here"]["seeds"]] == [0, 1, 2, 3]
    assert cell["here"]["failed"][0][3] == f"FloatingPointError: {EVIL}"
    assert data["configs"][cell["config"]] == {"method": EVIL, "dataset": "Alpha", "beta": 0.0}


def test_the_page_is_the_same_for_the_same_rows(synthetic):
    assert page_of(synthetic) == page_of(synthetic)


def drawn(name: str) -> bytes:
    """A figure with a legend, a clipped line and two texts."""
    lines = {name: {0.0: {0: 1.0, 1: 2.0}, 1.0: {0: 3.0, 1: 2.5}}}
    return style.svg_bytes(curve_panels([Panel("A", "test_percent", lines)], "beta"))


def test_a_figure_is_an_image_of_its_own_with_its_name_beside_it(synthetic):
    (image,) = [attributes for tag, attributes in Elements(page_of(synthetic, figures={"all_runs": drawn("HCL")})).found
                if tag == "img"]  # fmt: skip
    kind, _, content = image["src"].partition(",")
    assert (kind, base64.b64decode(content), image["alt"]) == ("data:image/svg+xml;base64", drawn("HCL"), "all runs")


def test_an_empty_report_is_a_page():
    text = pages.index_page([], problems=["runs/toy/abc/row.json is not whole JSON"])
    assert "No cell has been judged" in text
    assert "is not whole JSON" in text


def test_ten_thousand_rows_are_a_small_page_soon(synthetic):
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
    page = pages.paper_page("toy", "Toy", tables, rows)
    assert time.process_time() - started < 10
    assert len(page.html) + len(pages.index_page([page])) < 5_000_000


def test_published_numbers_of_other_tables_are_listed(synthetic):
    number = Published("appendix", "STL10", "MoCo", METRIC, 88.1, margin=1.0, value_text="88.10", confirmed=False)
    page = page_of(synthetic, published=[number])
    assert "appendix: STL10 / MoCo, test top-1 (%): 88.10 (unconfirmed)" in page
    assert "1 published number of other tables" in page


def test_both_pages_begin_with_the_claims_each_with_its_effect_and_its_table(synthetic):
    cells = [synthetic.cell(method) for method in ("SimCLR", "HCL")]
    rows = [row for cell, mean in zip(cells, (80.0, 84.0), strict=True) for row in synthetic.rows(cell, mean, 0.2)]
    tables = join("toy", {"main": synthetic.table()}, {"main": cells}, rows)
    claims = [
        Greater(
            "gain", "HCL beats SimCLR.", "Table 1", ("main/paper",), METRIC, printed=3.0, method="HCL", over="SimCLR"
        ),
        Greater(
            "other",
            "Not here.",
            "Table 2",
            ("main/lite",),
            METRIC,
            matters=1.0,
            method="HCL",
            over="SimCLR",
            seen="c0ffee",
        ),
    ]
    links = {"main-paper": "figures/a.svg"}
    page = pages.paper_page("toy", "Toy", tables, rows, claims=judge(claims, tables), links=links)
    summary = pages.index_page([page])
    said = text_of(summary, "</header>")
    assert "Of 2 claims 1 hold , 0 fail and 0 are undecided ; 1 were not run." in said
    assert "toy : 1 of 2 claims holds, 0 fail, 0 are undecided, 1 not run" in said
    for text in (said, text_of(page.html, "<form")):
        assert "HCL beats SimCLR. Table 1 +4.00 [+3.6" in text and "at the published protocol, on Alpha" in text
        assert "1 of these claims was named after the rows of commit c0ffee had been seen." in text
    assert 'href="toy.html#table-1"' in summary and 'id="table-1"' in page.html and 'href="figures/a.svg"' in page.html
    assert summary.index("HCL beats SimCLR.") < summary.index('class="overview"')


def text_of(page, end):
    return " ".join(re.sub(r"<[^>]*>", " ", page[page.index("<body") : page.index(end)]).split())


def test_methods_that_differ_in_a_setting_differ_in_shade(synthetic):
    cells = [synthetic.cell(f"HCL beta={beta:g}", beta=beta) for beta in (0.5, 1.0, 2.0)]
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    tables = join("toy", {"main": synthetic.table()}, {"main": cells}, rows)
    page = pages.paper_page("toy", "Toy", tables, rows).html
    assert len(set(re.findall(r'class="swatch" style="background:(#\w+)"', page))) == 3


def test_printed_numbers_are_counted_and_not_cells(synthetic):
    """Six numbers are printed: one without a cell; one at another protocol; PopRec's two are one comparison."""
    cells = [synthetic.cell("SimCLR"), synthetic.cell("HCL")]
    counted = [synthetic.cell("PopRec", seeds=range(1), metric=metric) for metric in (METRIC, "test_hr_percent")]
    cells += [dataclasses.replace(cell, deterministic=True) for cell in counted]
    rows = [row for cell in cells[:2] for row in synthetic.rows(cell, 80.0, 0.1)]
    rows.append(synthetic.row(cells[2].runs[0], 80.0, metrics={METRIC: 80.0, "test_hr_percent": 80.0}))
    numbers = [
        Published("main", "Alpha", method, metric, value, margin=1.0, where="Table 1", protocol=protocol)
        for method, metric, value, protocol in (
            ("SimCLR", METRIC, 80.0, {}),
            ("SimCLR", METRIC, 90.0, {}),
            ("HCL", METRIC, 80.0, {"beta": "2"}),
            ("MoCo", METRIC, 80.0, {}),
            ("PopRec", METRIC, 80.0, {}),
            ("PopRec", "test_hr_percent", 70.0, {}),
        )
    ]
    tables = join("toy", {"main": synthetic.table()}, {"main": cells}, rows, published=numbers)
    assert count_numbers(numbers, tables) == {
        **{"printed": 6, "declared": 5},
        **{"reproduced": 1, "differs": 2, "not comparable": 1},
    }
