"""One sheet, four formats: nothing hidden, nothing lost, nothing that acts as markup."""

import csv
import io
import shutil
import subprocess

import pytest
from rich.console import Console

from contrastbench.data import catalogue
from contrastbench.report.layout import Grid
from contrastbench.report.tables import cells_frame, csv_text, latex, markdown, sheet, terminal
from contrastbench.verdicts.cells import join
from contrastbench.verdicts.published import Published

METRIC = "test_top1_percent"
NASTY = "A_100%|<b>{x}\\&#$~^ β [red]"


@pytest.fixture(scope="module")
def table(synthetic):
    cells = [synthetic.cell(method, dataset) for dataset in ("Alpha", NASTY) for method in ("SimCLR", "DCL")]
    rows = synthetic.rows(cells[0], 80.0, 0.1)
    rows += synthetic.rows(cells[1], 81.0)[:3] + [synthetic.failure(cells[1].runs[3])]
    shipped = [synthetic.row(run, value) for run, value in zip(cells[0].runs, (79.0, 81.0), strict=False)]
    numbers = [
        Published("main", "Alpha", "SimCLR", METRIC, 80.0, 0.5, "seeds", 5, True, 1.0, value_text="80.00"),
        Published("main", "Alpha", "DCL", METRIC, 84.0, None, "", None, False, 1.0, value_text="84.0"),
    ]
    return join("toy", {"main": synthetic.table()}, {"main": cells}, rows, shipped, numbers)[0]


def test_long_layout_has_the_three_columns(table):
    made = sheet(table, "long", analysis=False)
    assert made.header == ("method", "dataset", "published", "shipped", "here", "verdict")
    assert made.lines[0] == (
        *("SimCLR", "Alpha", "80.00 ± 0.5", "80.00 ± 1.41 (2/5)", "80.00 ± 0.10 (5)", "✓ reproduced"),
    )


def test_failed_missing_and_unconfirmed_are_visible(table):
    text = markdown(sheet(table, "long"))
    assert "(3/5, 1 failed)" in text
    assert "84.0 (unconfirmed)" in text
    assert text.count("– not run") == 2


def test_grid_layout_has_the_papers_columns(table):
    made = sheet(table)
    assert made.header == ("method", "", "Alpha", NASTY)
    assert [line[1] for line in made.lines] == ["published", "shipped", "here", "verdict"] * 2


def test_shipped_alone_leaves_out_what_was_measured_here(table):
    made = sheet(table, places=("shipped",))
    assert [line[1] for line in made.lines] == ["published", "shipped", "verdict"] * 2


def test_brief_layout_has_one_line_a_method_and_only_measured_columns(table):
    made = sheet(table, "brief")
    assert made.header == ("method", "Alpha")
    assert len(made.lines) == len({cell.label for cell in table.cells})
    assert "(3/5, 1 failed)" in markdown(made) and "verdict" in made.notes[0]
    assert "84.0\\*" in markdown(made) and "* not confirmed, so not judged." in made.notes


def test_brief_layout_says_below_what_would_decide_a_cell(synthetic):
    cell = synthetic.cell("SimCLR")
    number = Published("main", "Alpha", "SimCLR", METRIC, 81.0, None, "", None, True, 1.0, value_text="81.0")
    again = Published("main", "Alpha", "SimCLR", METRIC, 81.0, None, "", None, False, 1.0, value_text="81.0")
    (made,) = join(
        "toy", {"main": synthetic.table()}, {"main": [cell]}, [], synthetic.rows(cell, 80.0), [number, again]
    )
    brief = sheet(made, "brief")
    assert brief.lines[0][1] == "80.00 ± 1.00 (5) [81.0, 81.0* ?]"
    (hint,) = {each.verdict.hint for each in made.cells}
    assert hint and f"What would decide the undecided: SimCLR, Alpha: {hint}." in brief.notes


def test_an_unknown_layout_is_refused(table):
    with pytest.raises(ValueError, match="unknown layout 'wide'; possible: auto, long, grid, brief"):
        sheet(table, "wide")


def test_markdown_keeps_names_as_text(table):
    text = markdown(sheet(table, "grid"))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert "<b>" not in text
    assert {line.replace("\\|", "").count("|") for line in lines} == {5}


def test_terminal_takes_no_markup_from_names(table):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal(sheet(table), console.width))
    assert NASTY in console.export_text()


def test_csv_keeps_full_precision(table):
    lines = list(csv.DictReader(io.StringIO(csv_text(cells_frame([table])))))
    assert len(lines) == 4
    assert float(lines[0]["here_mean"]) == table.cells[0].here.summary.mean
    assert [line["verdict"] for line in lines] == ["reproduced", "not comparable", "not run", "not run"]
    assert (lines[1]["failed"], lines[1]["missing"], lines[3]["here_mean"]) == ("1", "1", "")


@pytest.mark.parametrize("layout", ["long", "grid"])
def test_latex_has_only_signs_it_can_set(table, layout):
    text = latex(sheet(table, layout))
    assert text.isascii()
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")
    body = text.split("\\midrule")[1].split("\\bottomrule")[0]
    columns = len(sheet(table, layout).header)
    assert {line.replace("\\&", "").count("&") for line in body.splitlines() if line.endswith("\\\\")} == {columns - 1}


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
@pytest.mark.parametrize("layout", ["long", "grid"])
def test_latex_compiles(table, layout, tmp_path):
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
    (tmp_path / "table.tex").write_text(head + latex(sheet(table, layout)) + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_more_seeds_than_declared_are_counted_and_said(synthetic):
    few, many = synthetic.cell("SimCLR", seeds=range(3)), synthetic.cell("SimCLR", seeds=range(5))
    (table,) = join("toy", {"main": synthetic.table()}, {"main": [few]}, synthetic.rows(many, 80.0))
    assert sheet(table).lines[0][4] == "80.00 ± 1.00 (5, 3 declared)"


def test_a_wide_table_is_cut_between_columns(synthetic):
    cells = [synthetic.cell("SimCLR", f"Dataset {number}") for number in range(12)]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal(sheet(table), console.width))
    text = console.export_text()
    assert all(f"Dataset {number} " in text for number in range(12))
    assert text.count("SimCLR") == text.count(" method ") > 1


def test_settings_tell_apart_what_would_share_a_place(synthetic):
    cells = [synthetic.cell("HCL", beta=beta) for beta in (0.5, 1.0)]
    made = sheet(join("toy", {"main": synthetic.table()}, {"main": cells})[0])
    assert [line[0] for line in made.lines] == ["HCL, beta 0.5", "HCL, beta 1"]


def test_several_datasets_under_columns_of_metrics_have_rows_of_their_own(synthetic):
    cells = [
        synthetic.cell(method, dataset, metric=metric)
        for dataset in ("Alpha", "Beta")
        for method in ("SimCLR", "HCL")
        for metric in ("test_knn_percent", "test_linear_percent")
    ]
    (table,) = join("toy", {"main": synthetic.table(columns="metric")}, {"main": cells})
    assert list(Grid(table).rows) == ["Alpha: SimCLR", "Alpha: HCL", "Beta: SimCLR", "Beta: HCL"]
    assert Grid(table).columns == ["test kNN (%)", "test linear (%)"]
    apart = Grid(table, by_dataset=True)  # as figures want it, whose panels must not mix data sets
    assert list(apart.rows) == ["SimCLR", "HCL"] and len(apart.columns) == 4


def test_numbers_made_on_a_copy_of_the_data_carry_its_mark(synthetic):
    (sha256,) = catalogue.DATA_SETS["cifar10"].known
    copied, original = synthetic.cell("HCL"), synthetic.cell("SimCLR")
    rows = [*synthetic.rows(copied, 80.0, data={"cifar10": sha256}), *synthetic.rows(original, 79.0)]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": [original, copied]}, rows_here=rows)
    made = sheet(table, "long")
    assert [line[-1].endswith("; JPEG copy of the data") for line in made.lines] == [False, True]
    assert "JPEG copy of the data: Alpha/HCL." in made.notes
    assert "JPEG copy of the data: Alpha/HCL." in sheet(table, "brief").notes
    (all_of_it,) = join("toy", {"main": synthetic.table()}, {"main": [copied]}, rows_here=rows)
    assert "JPEG copy of the data: every measured number." in sheet(all_of_it, "long").notes
