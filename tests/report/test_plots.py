"""Figures: the same bytes for the same rows, the same colour for the same method, and what they draw."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from contrastbench.report import curves, plots, style
from contrastbench.report.layout import sample_text
from contrastbench.runner.log import read_curve
from contrastbench.verdicts.cells import join
from contrastbench.verdicts.claims import Curve
from contrastbench.verdicts.published import Published

METRIC = "test_top1_percent"


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
def test_unknown_names_get_one_line_with_what_is_possible(synthetic, x, y, group, message):
    cell = synthetic.cell("HCL", beta=0.5)
    (table,) = join("toy", {"main": synthetic.table()}, {"main": [cell]}, synthetic.rows(cell, 80.0))
    with pytest.raises(ValueError, match=message):
        curves.cells_over(table.cells, x, y, group)


def panel(lines, y="test_percent", **fields):
    points = {name: {x: dict(enumerate(values)) for x, values in by_x.items()} for name, by_x in lines.items()}
    return curves.Panel("A", y, points, **fields)


def curve(lines, **fields):
    return curves.curve_panels([panel(lines, **fields)], "beta")


def test_the_points_of_a_curve_share_their_seeds():
    gains = {
        0.0: {0: 0.0, 1: 0.0, 2: 0.0},
        1.0: {0: 1.0, 1: 2.0, 2: 3.0, 3: 90.0},
        2.0: {1: 5.0, 2: 7.0},
        3.0: {9: 1.0},
    }
    points = curves.paired_points(gains)
    assert {x: list(seeds) for x, seeds in points.items()} == {0.0: [1, 2], 1.0: [1, 2], 2.0: [1, 2]}
    assert points[2.0] == {1: 5.0, 2: 7.0}


def test_a_point_with_more_seeds_makes_no_gain(synthetic):
    """Three seeds everywhere and two more at beta = 1, both good: the mean there is higher, the gain is not."""
    cells = [synthetic.cell(f"HCL beta={beta:g}", beta=beta, seeds=range(3)) for beta in (0.5, 1.0, 2.0)]
    rows = [synthetic.row(run, 80.0 + run.seed) for cell in cells for run in cell.runs]
    rows += [synthetic.row(run, 99.0) for run in synthetic.cell("HCL beta=1", beta=1.0, seeds=(3, 4)).runs]
    (table,) = join("toy", {"main": synthetic.table(baseline="HCL beta=0.5")}, {"main": cells}, rows)
    drawn = curves.panel_of(table.cells, "beta")
    assert drawn.baseline == "HCL beta=0.5"
    assert drawn.lines == {"HCL": {x: {0: 0.0, 1: 0.0, 2: 0.0} for x in (0.5, 1.0, 2.0)}}
    assert drawn.is_empty and curves.ablation(table, "beta") is None, "zero everywhere is a sentence, not a figure"


def test_a_curve_shows_gains_over_the_baseline_others_across_and_printed_gains(synthetic):
    cells = [synthetic.cell(f"HCL beta={beta:g}", beta=beta) for beta in (0.5, 1.0)]
    cells += [synthetic.cell("SimCLR"), synthetic.cell("Raw pixels")]
    means = {"SimCLR": 80.0, "Raw pixels": 70.0, "HCL beta=0.5": 81.0, "HCL beta=1": 83.0}
    rows = [synthetic.row(run, means[cell.method] + run.seed) for cell in cells for run in cell.runs]
    numbers = [Published("main", "Alpha", method, METRIC, value, margin=1.0, where="Table 1")
               for method, value in (("SimCLR", 60.0), ("HCL beta=1", 62.5))]  # fmt: skip
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, rows, published=numbers)
    drawn = curves.panel_of(table.cells, "beta")
    assert {x: set(seeds.values()) for x, seeds in drawn.lines["HCL"].items()} == {0.5: {1.0}, 1.0: {3.0}}
    assert (drawn.flat, drawn.published) == ({"Raw pixels": -10.0}, {"HCL": {1.0: 2.5}})
    claims = [claim(best=(1.0,)), claim(best=(0.5,), ours=True), claim(best=(0.5,), at=("other/paper",))]
    figure = curves.ablation(table, "beta", claims)
    shown = texts(figure)
    assert {"HCL", "Raw pixels", "published", "claimed best", "gain over SimCLR", "SimCLR"} <= shown
    assert figure.get_suptitle().replace("\n", " ") == "toy/main, paper scale, Alpha, 5 seeds"
    assert curves.panel_of(table.cells, "beta", claims).marks == (1.0,), "neither ours nor another table's"


def claim(at=("main/paper",), **fields):
    return Curve("beta", "HCL is best there.", "Figure 1", at, METRIC, matters=1.0, x="beta", line="HCL", **fields)


def test_where_hardness_is_zero_the_axis_says_dcl():
    shown = texts(curve({"HCL": {0.0: [1.0, 2.0], 1.0: [2.0, 3.0]}}))
    assert "DCL" in shown and "DCL" not in texts(curve({"InfoGraph": {0.0: [1.0, 2.0], 1.0: [2.0, 3.0]}}))


def test_two_seeds_are_points_without_an_interval_and_fifty_an_interval_without_points():
    def drawn(seeds):
        (axes,) = curve({"HCL": {x: [x + seed for seed in range(seeds)] for x in (1.0, 2.0)}}).axes
        dots = [line for line in axes.lines if line.get_marker() == "."]
        bars = [line for line in axes.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
        return bool(dots), bool(bars)

    assert drawn(2) == (True, False) and drawn(5) == (True, True) and drawn(50) == (False, True)


def test_several_metrics_of_a_data_set_name_their_panels(synthetic):
    cells = [synthetic.cell("HCL", beta=beta, metric=metric) for metric in ("a_top1", "b_top1") for beta in (0.5, 1.0)]
    rows = [synthetic.row(run, run.config.beta, metrics={"a_top1": run.config.beta, "b_top1": 1 + run.config.beta})
            for cell in cells[:2] for run in cell.runs]  # fmt: skip
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, rows)
    assert {"a top-1", "b top-1"} <= {axes.get_title("left") for axes in curves.ablation(table, "beta").axes}


def test_a_line_is_drawn_by_its_gains_where_the_baseline_was_measured_unless_values_are_asked_for(synthetic):
    cells = [synthetic.cell("SimCLR"), *(synthetic.cell("HCL", beta=beta) for beta in (0.5, 1.0))]
    rows = [synthetic.row(run, 80.0 + run.config.beta + run.seed) for cell in cells for run in cell.runs]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, rows)
    drawn = curves.panel_of(curves.cells_over(table.cells, "beta", METRIC), "beta")
    assert drawn.baseline == "SimCLR" and drawn.lines["HCL"][1.0] == dict.fromkeys(range(5), 1.0)
    drawn = curves.panel_of(curves.cells_over(table.cells, "beta", METRIC), "beta", values=True)
    assert (drawn.baseline, drawn.flat, drawn.lines["HCL"][1.0][0]) == ("", {"SimCLR": 82.0}, 81.0)
    drawn = curves.panel_of(curves.cells_over(table.cells[1:], "beta", METRIC), "beta")
    assert drawn.baseline == "" and drawn.lines["HCL"][1.0][0] == 81.0


def test_data_sets_are_pooled_with_the_interval_over_them():
    parts = [panel({"HCL": {1.0: values}}, baseline="SimCLR") for values in ([1.0, 2.0, 3.0], [3.0, 4.0, 5.0])]
    (mean, interval) = curves.pooled_panel("both", parts).pooled["HCL"][1.0]
    assert mean == 3.0 and interval.low < 3.0 < interval.high


def test_zero_stands_apart_on_an_axis_of_doublings():
    place = curves.placing([0.0, 0.25, 0.5, 1.0, 2.0])
    assert [place(x) for x in (-0.25, 0.0, 0.25, 0.5, 2.0)] == [-1.0, 0.0, 1.0, 2.0, 4.0]
    straight = curves.placing([0.0, 1.0, 2.0, 3.0])
    assert [straight(x) for x in (0.0, 1.0, 3.0)] == [0.0, 1.0, 3.0]


def test_a_share_of_runs_has_wilsons_interval_and_counts(synthetic):
    cell = synthetic.cell("NCL", metric="collapsed_percent")
    rows = [synthetic.row(run, 100.0 * (run.seed < 2), "collapsed_percent") for run in cell.runs]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": [cell]}, rows)
    assert sample_text(table.cells[0].here, "collapsed_percent") == "2 of 5"
    assert table.cells[0].here.interval == pytest.approx((11.76, 76.93), abs=0.01)


def test_comparison_and_gap_show_every_method(table):
    shown = texts(plots.comparison(table))
    assert {"SimCLR", "SimCLR (clean)", "HCL", "HCL (clean)", "A", "B"} <= shown
    assert "+2.00" in texts(plots.protocol_gap(table))


def test_a_method_has_one_colour_everywhere():
    assert style.look("HCL") == style.look("HCL (as_code)") == style.look("HCL, beta 0.5") == style.look("hcl")
    assert style.look("My own loss") == style.look("My own loss")
    shades = style.looks(["HCL", "HCL, annealed", "HCL, long"])
    assert len({each.colour for each in shades.values()}) == len({each.marker for each in shades.values()}) == 3
    methods = ["SimCLR", "DCL", "HCL", "BCL", "MoCo", "GraphCL"]
    assert len({style.look(method).colour for method in methods}) == len(methods)


def test_one_figure_never_gives_two_methods_the_same_look():
    many = [f"Method {number}" for number in range(40)]
    assert len(set(style.looks(many).values())) == 40


SCRIPT = """
import pathlib, sys
from contrastbench.report import curves, style
lines = {"HCL": {0.5: {0: 1, 1: 2, 2: 3}, 1: {0: 2, 1: 3, 2: 4}}, "x<y": {0.5: {0: 2.0}}}
figure = curves.curve_panels([curves.Panel("A", "test_percent", lines)], "beta")
for name in ("a.svg", "a.pdf", "a.png"):
    style.save(figure, pathlib.Path(sys.argv[1], name), "rows")
"""


def test_figures_are_the_same_bytes_in_another_process(tmp_path):
    figure = curve({"HCL": {0.5: [1, 2, 3], 1: [2, 3, 4]}, "x<y": {0.5: [2.0]}})
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True)
    for name in ("a.svg", "a.pdf", "a.png"):
        assert style.save(figure, tmp_path / "here" / name, "rows").read_bytes() == (tmp_path / name).read_bytes()


def test_figures_are_saved_as_svg_and_pdf_and_say_what_they_are_made_of(tmp_path):
    figure = curve({"HCL": {0.5: [80.0, 81.0]}})
    svg, pdf = (style.save(figure, tmp_path / "new" / f"beta{end}", source="rows 1234abcd") for end in (".svg", ".pdf"))
    assert b"rows 1234abcd" in svg.read_bytes()
    assert b"<dc:date>" not in svg.read_bytes()
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in pdf.read_bytes()


def test_training_curves_show_seeds_and_their_mean():
    runs = {"HCL": [[{"epoch": e, "loss": 3.0 - e + seed} for e in range(3)] for seed in (0, 1)]}
    (axes,) = plots.training_curves(runs).axes
    assert list(axes.lines[-1].get_ydata()) == [3.5, 2.5, 1.5]
    assert len(axes.lines) == 3


def test_training_curves_of_many_methods_leave_room_for_the_curves():
    runs = {f"method {n}": [[{"epoch": e, "loss": 3.0 - e} for e in range(3)]] for n in range(60)}
    figure = plots.training_curves(runs)
    style.svg_bytes(figure)  # lays it out; where nothing is left for the axes, matplotlib warns
    assert figure.axes[0].get_position().width > 0.4 and not figure.axes[0].get_legend()


def test_a_cut_off_curve_is_read_up_to_the_cut(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0, "loss": 1.0}\n{"epoch": 1, "lo')
    assert read_curve(tmp_path) == [{"epoch": 0, "loss": 1.0}]


def test_histograms_are_densities(synthetic):
    run = synthetic.run("HCL")
    series = {"positive_density": [0.0] * 10 + [1.0] * 10, "negative_density": [0.5] * 20}
    (axes,) = plots.similarity_histograms([synthetic.row(run, 80.0, series=series)]).axes
    heights, bins, _ = axes.patches[0].get_data()
    assert sum(heights * (bins[1:] - bins[:-1])) == pytest.approx(1.0)
    assert (bins[0], bins[-1]) == (-1.0, 1.0)


def test_a_map_draws_every_class(synthetic):
    series = {"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 0.0], "label": [3, 7, 7]}
    figure = plots.embedding_map(synthetic.row(synthetic.run("HCL"), 80.0, series=series))
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
    figures = plots.run_figures(rows, lambda row: curve if row["method"] == "HCL" else [])
    assert list(figures) == [
        *("training-train-Alpha-quick", "similarities-train-Alpha-quick", "map-train-Alpha-paper-SimCLR"),
    ]


def test_a_page_has_no_map_of_a_method_that_is_another_one_with_a_setting(synthetic):
    names = ("HCL", "HCL beta=2", "HCL, positives by label", "HCLoss")
    rows = [synthetic.row(synthetic.run(name), 80.0, series={"x": [0.0], "y": [1.0]}) for name in names]
    every, few = (list(plots.run_figures(rows, lambda row: [], every_map=every)) for every in (True, False))
    assert len(every) == 4 and [name.split("-")[-1] for name in few] == ["HCL", "HCLoss"]
