"""Figures: the same bytes for the same rows, the same colour for the same method, and what they draw."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from contrastbench.report import curves, plots, run_plots, style
from contrastbench.runner.log import read_curve
from contrastbench.verdicts.cells import join
from contrastbench.verdicts.published import Published

METRIC = "test_top1_percent"
BETAS = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)


@pytest.fixture(scope="module")
def rows(synthetic):
    cells = [synthetic.cell(method, beta=beta, seeds=range(3)) for method in ("HCL", "BCL") for beta in BETAS]
    return [row for cell in cells for row in synthetic.rows(cell, 80.0 + cell.runs[0].config.beta, 0.5)]


@pytest.fixture(scope="module")
def table(synthetic):
    cells = [
        synthetic.cell(m, d, protocol=p) for d in ("A", "B") for m in ("SimCLR", "HCL") for p in ("published", "clean")
    ]
    made = [row for cell in cells for row in synthetic.rows(cell, 80.0 - 2 * (cell.runs[0].protocol == "clean"), 0.5)]
    numbers = [Published("main", "A", "HCL", METRIC, 79.0, 1.0, "seeds", 5, True, 1.0)]
    return join("toy", {"main": synthetic.table()}, {"main": cells}, made, made[:9], numbers)[0]


def texts(figure) -> set[str]:
    root = ElementTree.fromstring(style.svg_bytes(figure))
    return {"".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")}


@pytest.mark.parametrize(
    ("x", "y", "group", "message"),
    [
        ("gamma", METRIC, "method", "unknown x 'gamma'; the finished rows have: beta"),
        ("beta", "f1", "method", "unknown y 'f1'; the finished rows have: test_top1_percent"),
        ("beta", METRIC, "colour", "unknown group 'colour'; the finished rows have: beta, dataset, method"),
    ],
)
def test_unknown_names_get_one_line_with_what_is_possible(rows, x, y, group, message):
    with pytest.raises(ValueError, match=message):
        curves.check_known(rows, x, y, group)


def test_every_point_of_a_curve_is_drawn():
    made = {name: {beta: [79.5 + beta, 80.0 + beta, 80.5 + beta] for beta in BETAS} for name in ("HCL", "BCL")}
    (axes,) = curves.curve(made, "beta", METRIC, {"HCL": {0.5: 80.1}}).axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["HCL"].get_xydata()[:, 1] == pytest.approx([80.0 + beta for beta in BETAS])
    assert sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == ".") == 2 * 6 * 3
    assert any(line.get_marker() == "D" and list(line.get_ydata()) == [80.1] for line in axes.lines)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.25", "0.5", "1", "2", "5"]


def test_an_ablation_takes_the_setting_out_of_the_name(synthetic):
    cells = [synthetic.cell(f"HCL beta={beta}", beta=beta) for beta in (0.5, 1.0, 2.0)]
    made = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, made)
    assert "HCL" in texts(curves.ablation(table, "beta"))
    assert curves.ablation(table, "alpha") is None


def test_comparison_and_gap_show_every_method(table):
    shown = texts(plots.comparison(table))
    assert {"SimCLR", "SimCLR (clean)", "HCL", "HCL (clean)", "A", "B"} <= shown
    assert "+2.00" in texts(plots.protocol_gap(table))


def test_a_method_has_one_colour_everywhere():
    assert style.look("HCL") == style.look("HCL (as_code)") == style.look("HCL, beta 0.5") == style.look("hcl")
    assert style.look("My own loss") == style.look("My own loss")
    methods = ["SimCLR", "DCL", "HCL", "BCL", "MoCo", "GraphCL"]
    assert len({style.look(method).colour for method in methods}) == len(methods)


def test_one_figure_never_gives_two_methods_the_same_look():
    many = [f"Method {number}" for number in range(40)]
    assert len(set(style.looks(many).values())) == 40


SCRIPT = """
import pathlib, sys
from contrastbench.report import curves, style
figure = curves.curve({"HCL": {0.5: [1, 2, 3], 1: [2, 3, 4]}, "x<y": {0.5: [2.0]}}, "beta", "test_percent")
for name in ("a.svg", "a.pdf", "a.png"):
    style.save(figure, pathlib.Path(sys.argv[1], name), "rows")
"""


def test_figures_are_the_same_bytes_in_another_process(tmp_path):
    figure = curves.curve({"HCL": {0.5: [1, 2, 3], 1: [2, 3, 4]}, "x<y": {0.5: [2.0]}}, "beta", "test_percent")
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True)
    for name in ("a.svg", "a.pdf", "a.png"):
        assert style.save(figure, tmp_path / "here" / name, "rows").read_bytes() == (tmp_path / name).read_bytes()


def test_figures_are_saved_as_svg_and_pdf_and_say_what_they_are_made_of(tmp_path):
    figure = curves.curve({"HCL": {0.5: [80.0, 81.0]}}, "beta", METRIC)
    svg, pdf = (style.save(figure, tmp_path / "new" / f"beta{end}", source="rows 1234abcd") for end in (".svg", ".pdf"))
    assert b"rows 1234abcd" in svg.read_bytes()
    assert b"<dc:date>" not in svg.read_bytes()
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in pdf.read_bytes()


def test_training_curves_show_seeds_and_their_mean():
    runs = {"HCL": [[{"epoch": e, "loss": 3.0 - e + seed} for e in range(3)] for seed in (0, 1)]}
    (axes,) = run_plots.training_curves(runs).axes
    assert list(axes.lines[-1].get_ydata()) == [3.5, 2.5, 1.5]
    assert len(axes.lines) == 3


def test_training_curves_of_many_methods_leave_room_for_the_curves():
    runs = {f"method {n}": [[{"epoch": e, "loss": 3.0 - e} for e in range(3)]] for n in range(60)}
    figure = run_plots.training_curves(runs)
    style.svg_bytes(figure)  # lays it out; where nothing is left for the axes, matplotlib warns
    assert figure.axes[0].get_position().width > 0.4 and not figure.axes[0].get_legend()


def test_a_cut_off_curve_is_read_up_to_the_cut(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0, "loss": 1.0}\n{"epoch": 1, "lo')
    assert read_curve(tmp_path) == [{"epoch": 0, "loss": 1.0}]


def test_histograms_are_densities(synthetic):
    run = synthetic.run("HCL")
    series = {"positive_density": [0.0] * 10 + [1.0] * 10, "negative_density": [0.5] * 20}
    (axes,) = run_plots.similarity_histograms([synthetic.row(run, 80.0, series=series)]).axes
    heights, bins, _ = axes.patches[0].get_data()
    assert sum(heights * (bins[1:] - bins[:-1])) == pytest.approx(1.0)
    assert (bins[0], bins[-1]) == (-1.0, 1.0)


def test_a_map_draws_every_class(synthetic):
    series = {"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 0.0], "label": [3, 7, 7]}
    figure = run_plots.embedding_map(synthetic.row(synthetic.run("HCL"), 80.0, series=series))
    assert {"3", "7", "class"} <= texts(figure)


def test_every_figure_of_runs_is_found(synthetic):
    curve = [{"epoch": epoch, "loss": 2.0 - epoch} for epoch in range(3)]
    density, points = (
        {"positive_density": [0.5] * 4, "negative_density": [0.5] * 4},
        {"x": [0.0], "y": [1.0], "label": [2]},
    )
    rows = [
        synthetic.row(synthetic.run("HCL", scale="quick"), 80.0, series=density),
        synthetic.row(synthetic.run("SimCLR", scale="paper"), 80.0, series=points),
        synthetic.failure(synthetic.run("DCL", scale="lite")),
    ]
    figures = run_plots.run_figures(rows, lambda row: curve if row["method"] == "HCL" else [])
    assert list(figures) == [
        *("training-train-Alpha-quick", "similarities-train-Alpha-quick", "map-train-Alpha-paper-SimCLR"),
    ]


def test_a_page_has_no_map_of_a_method_that_is_another_one_with_a_setting(synthetic):
    names = ("HCL", "HCL beta=2", "HCL, positives by label", "HCLoss")
    rows = [synthetic.row(synthetic.run(name), 80.0, series={"x": [0.0], "y": [1.0]}) for name in names]
    every, few = (list(run_plots.run_figures(rows, lambda row: [], every_map=every)) for every in (True, False))
    assert len(every) == 4 and [name.split("-")[-1] for name in few] == ["HCL", "HCLoss"]
