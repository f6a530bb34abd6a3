"""The page in a real browser: no errors, no request, sorting, filtering, details, curves, keyboard, phone."""

import pytest

pytest.importorskip("websocket", reason="websocket-client is not installed")
from report_browser import Browser, find_chromium  # noqa: E402

from contrastbench.report import page as pages
from contrastbench.report import style  # noqa: E402
from contrastbench.report.plots import comparison  # noqa: E402
from contrastbench.verdicts.cells import join  # noqa: E402
from contrastbench.verdicts.claims import Greater  # noqa: E402
from contrastbench.verdicts.judging import judge  # noqa: E402
from contrastbench.verdicts.published import Published  # noqa: E402

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium in PATH")

METRIC = "test_top1_percent"
MEANS = {"SimCLR": 80.0, "DCL": 83.0, "<script>HCL": 81.0}


@pytest.fixture(scope="module")
def report(synthetic, tmp_path_factory):
    """A grid table at paper scale, a flat one at quick scale with a failure, and an ablation."""
    grid = [synthetic.cell(method, dataset) for dataset in ("Alpha", "Omega") for method in MEANS]
    flat = [synthetic.cell(method, "MNIST", scale="quick") for method in MEANS]
    sweep = [synthetic.cell(f"HCL beta={beta}", beta=beta) for beta in (0.5, 1.0, 2.0, 5.0)]
    rows = [row for cell in grid + flat for row in synthetic.rows(cell, MEANS[cell.method], 0.2)]
    rows[-1] = synthetic.failure(flat[-1].runs[-1], message="<img src=x> is nan")
    rows += [row for cell in sweep for row in synthetic.rows(cell, 80 + cell.settings["beta"], 0.5)]
    published = {"SimCLR": 80.0, "DCL": 70.0}
    numbers = [
        Published("main", d, m, METRIC, v, 0.2, "seeds", 5, True, 1.0)
        for d in ("Alpha", "Omega")
        for m, v in published.items()
    ]
    numbers.append(Published("beta", "Alpha", "HCL beta=1.0", METRIC, 81.0, margin=1.0))
    tables = {"main": synthetic.table(), "beta": synthetic.table(title="What does beta do?")}
    joined = join("toy", tables, {"main": grid + flat, "beta": sweep}, rows, rows[:7], numbers)
    figures = {"all-methods": style.svg_bytes(comparison(joined[1]))}
    gain = Greater("gain", "HCL beats SimCLR.", "", ("main/quick",), METRIC, matters=1.0, method="DCL", over="SimCLR")
    claims = judge([gain], joined)
    folder = tmp_path_factory.mktemp("page")
    made = pages.paper_page("toy", "A paper", joined, rows, figures=figures, claims=claims)
    (folder / made.address).write_text(made.html)
    (folder / "index.html").write_text(pages.index_page([made], provenance={"commit": "c0ffee"}, generated="today"))
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(chromium, report):
    """The page of the paper."""
    yield from opened(chromium, report / "toy.html")


@pytest.fixture
def summary(chromium, report):
    yield from opened(chromium, report / "index.html")


def opened(chromium, path):
    chromium.problems.clear()
    chromium.resize(1280, 900)
    chromium.open(path)
    yield chromium
    assert chromium.problems == []


def type_into_search(page, text):
    page.run(
        f"{{const s = document.getElementById('search'); s.value = '{text}'; s.dispatchEvent(new Event('input'))}}"
    )


def rows_of(page, table: str) -> list[str]:
    shown = f"[...document.querySelectorAll('{table} tbody tr')].filter(row => !row.hidden)"
    return page.run(f"{shown}.map(row => row.cells[0].textContent.trim())")


def test_the_summary_opens_without_errors_and_counts_claims_and_verdicts(summary):
    said = summary.run("document.body.innerText")
    assert "Does what the papers claim hold?" in said and "Of 1 claims 1 hold" in said
    assert "2 reproduced" in said and "2 differ" in said


def test_a_search_answers_at_the_top_and_its_links_show_their_heading(summary):
    type_into_search(summary, "hcl")
    answers = summary.run("[...document.querySelectorAll('#answers li')].map(line => line.textContent)")
    assert answers[0].startswith("✓ holds: HCL beats SimCLR.") and "HCL in toy/main" in answers[1]
    assert summary.run("document.getElementById('answers').getBoundingClientRect().bottom") < 900
    summary.run("[...document.querySelectorAll('#answers a')].pop().click()")
    check_heading_is_seen(summary)


def test_the_link_of_a_claim_shows_its_table(summary):
    summary.run("document.querySelector('.claims td a').click()")
    check_heading_is_seen(summary)


def check_heading_is_seen(page):
    """A link has led to another page, which shows the heading that it names."""
    page.wait_for("document.readyState === 'complete' && location.hash !== ''", "the link led nowhere")
    place = "document.querySelector(location.hash + ' h3').getBoundingClientRect()"
    page.wait_for(f"(box => box.top >= 0 && box.bottom <= 900)({place})", "the heading is not in sight")


def test_the_paper_s_page_opens_without_errors(page):
    assert page.run("document.querySelectorAll('section.table').length") == 3
    assert page.run("document.querySelector('.figures img').naturalWidth") > 300
    assert page.run("document.querySelectorAll('.strip .seeds').length") > 5
    assert page.run("document.getElementById('shown').textContent") == "13 cells"


def test_names_are_text(page):
    assert "<script>HCL" in rows_of(page, "table.grid")
    assert page.run("document.querySelectorAll('main script, main img:not(.figures img)').length") == 0


def test_columns_sort_both_ways_and_say_so(page):
    column = "document.querySelector('table.grid thead th:nth-child(2)')"
    page.run(f"{column}.querySelector('.sort').click()")
    assert rows_of(page, "table.grid") == ["DCL", "<script>HCL", "SimCLR"]
    assert page.run(f"{column}.getAttribute('aria-sort')") == "descending"
    page.run(f"{column}.querySelector('.sort').click()")
    assert rows_of(page, "table.grid") == ["SimCLR", "<script>HCL", "DCL"]
    page.run("document.querySelector('table.grid thead th .sort').click()")
    assert rows_of(page, "table.grid") == ["<script>HCL", "DCL", "SimCLR"]


def test_words_verdicts_and_scale_filter(page):
    type_into_search(page, "dcl omega")
    assert page.run("document.getElementById('shown').textContent") == "1 cell"
    assert rows_of(page, "table.grid") == ["DCL"]
    assert page.run("document.querySelectorAll('table.grid tr:not([hidden]) td.dim').length") == 1
    type_into_search(page, "nowhere")
    assert page.run("document.getElementById('nothing').hidden") is False
    page.run("document.getElementById('reset').click()")
    assert page.run("document.getElementById('shown').textContent") == "13 cells"
    page.run("document.querySelector('.toggle[data-kind=\"ours\"]').click()")
    assert page.run("[...document.querySelectorAll('section.table')].map(t => t.hidden)") == [True, False, False]
    page.run("document.getElementById('reset').click()")
    page.run("{const s = document.getElementById('scale'); s.value = 'quick'; s.dispatchEvent(new Event('change'))}")
    assert page.run("document.getElementById('shown').textContent") == "3 cells"


def test_a_cell_opens_by_keyboard_and_shows_everything(page):
    page.run("document.querySelectorAll('table.flat .open')[2].focus()")
    page.press("Enter", 13)
    assert page.run("document.getElementById('details').open") is True
    text = page.run("document.getElementById('details').innerText")
    for wanted in (
        "<script>HCL, MNIST",
        "ours",
        "nobody printed this number",
        "contrastbench run 'toy/main/MNIST/<script>HCL'",
    ):
        assert wanted in text
    for wanted in ("--scale quick", "diverged", "<img src=x> is nan", "epoch 2 loss 9e9", "commit c0ffee", "beta"):
        assert wanted in text
    assert page.run("document.querySelectorAll('#details .seedtable tbody tr').length") == 4
    page.press("Escape", 27)
    assert page.run("document.getElementById('details').open") is False
    assert page.run("document.activeElement.className") == "open"


def test_a_judged_cell_shows_the_interval_and_both_places(page):
    page.run("document.querySelector('table.grid td:nth-child(3) .open').click()")
    text = page.run("document.getElementById('details').innerText")
    assert "reproduced" in text and "95 % interval" in text and "margin 1" in text
    assert page.run("document.querySelectorAll('#details .seedplot text').length") > 3


def test_curves_can_be_read_point_by_point_and_switched_off(page):
    labels = page.run("[...document.querySelectorAll('.chart .point')].map(p => p.getAttribute('aria-label'))")
    assert len(labels) == 4
    assert labels[1].startswith("HCL, β = 1; mean 81.00 over 5 seeds; 95 % interval")
    assert labels[1].endswith("published 81.00")
    page.run("document.querySelector('.chart .point').focus()")
    assert "HCL, β = 0.5" in page.run("document.querySelector('.tip').textContent")
    page.run("document.querySelector('.legend button').click()")
    assert page.run("document.querySelectorAll('.chart .point').length") == 0


def test_everything_that_acts_has_a_name(page):
    named = "e => e.textContent.trim() || e.ariaLabel || e.labels?.length"
    assert page.run(f"[...document.querySelectorAll('button, input, select')].every({named})")


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_the_dark(page, dark):
    page.resize(390, 844, phone=True, dark=dark)
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert page.run("document.querySelector('table.grid').scrollWidth") > 100
    ink, paper = page.run("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    brightness = [sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) for colour in (ink, paper)]
    assert (brightness[0] > brightness[1]) is dark
    assert abs(brightness[0] - brightness[1]) > 450


def test_the_theme_can_be_switched(page):
    before = page.run("getComputedStyle(document.body).backgroundColor")
    page.run("document.getElementById('theme').click()")
    assert page.run("getComputedStyle(document.body).backgroundColor") != before
    page.run("document.getElementById('theme').click()")


def test_the_contents_name_every_table_and_lead_to_it(page):
    links = page.run("[...document.querySelectorAll('.contents a')].map(link => link.hash)")
    assert links == page.run("[...document.querySelectorAll('section.table')].map(part => '#' + part.id)")
    page.run("[...document.querySelectorAll('.contents a')].pop().click()")
    check_heading_is_seen(page)


def test_the_dialog_s_chart_is_whole_on_a_phone(page):
    page.resize(390, 844, phone=True)
    page.run("document.querySelector('table.grid td:nth-child(3) .open').click()")
    inside = page.run(
        "(d => [...document.querySelectorAll('#details .seedplot, #details .seedplot *')].every(part => {"
        "const box = part.getBoundingClientRect(); return box.left >= d.left && box.right <= d.right}))"
        "(document.getElementById('details').getBoundingClientRect())"
    )
    assert inside is True
