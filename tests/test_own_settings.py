"""A user's own settings are seen everywhere: at the end of `run`, in tables, curves, status and retry."""

import re

import pytest

from contrastbench.cli.launch import fetch_missing_data
from contrastbench.drawing import curve_over
from contrastbench.evidence import gather
from contrastbench.selection import select
from contrastbench.verdicts.cells import without_setting


def run(invoke, *arguments):
    return invoke("run", *arguments, "--launcher", "inline")


def test_run_with_a_setting_ends_with_its_metrics(invoke):
    told = run(invoke, "toy/main/Noise8/Plain", "--seeds", "2", "--set", "gain=2,3")
    lines = [line.split() for line in told.stdout.splitlines()]
    assert lines[1] == ["cell", "metric", "mean", "±", "sd", "(seeds)"]
    for line, gain in zip(lines[2:4], ("2.0", "3.0"), strict=True):
        assert line[:3] == ["Noise8/Plain", f"[gain={gain}]", "test_top1_percent"] and line[-1] == "(2)"
    assert told.stdout.splitlines()[-1] == "now: 4 done"


def test_a_table_begins_with_the_users_own_runs_compared_with_the_baseline(invoke):
    run(invoke, "toy/main", "--seeds", "2")
    run(invoke, "toy/main/Plain", "--seeds", "2", "--set", "gain=2.5")
    told = invoke("table", "toy/main").stdout
    title, own = told[: told.index("toy / main", 1)].split("\n", 1)
    assert title.endswith("yours: settings and data sets that the paper's table does not have")
    assert "Plain [gain=2.5]" in own and "Noise16" in own and "Better" not in own
    assert re.search(r"Gain of Plain \[gain=2.5\] over Plain, Noise8.*: measured \+\S+ \[.*\] over 2 paired seeds", own)


def test_under_the_same_settings_the_users_own_baseline_is_the_one(invoke):
    run(invoke, "toy/main/Noise8", "--seeds", "2", "--set", "size=5")
    told = invoke("table", "toy/main").stdout
    assert "Gain of Better [size=5] over Plain [size=5]" in told


def test_a_table_keeps_to_its_cell_and_to_the_largest_scale(invoke):
    for scale in ("smoke", "quick"):
        run(invoke, "toy/main/Noise8", "--seeds", "1", "--scale", scale)
    told = invoke("table", "toy/main/Noise8/Better")
    assert "quick scale" in told.stdout and "smoke scale" not in told.stdout
    assert "Plain" not in told.stdout.split("\n", 1)[1] and "Better" in told.stdout
    assert "toy is also measured at: smoke (see --scale)" in told.stderr
    assert "smoke scale" in invoke("table", "toy/main/Noise8", "--scale", "smoke").stdout
    told = invoke("table", "toy/main/nothing")
    assert told.returncode == 2 and "unknown cell 'nothing'; toy/main has: Noise8/Plain" in told.stderr


def test_a_part_of_a_table_is_not_tested(invoke):
    """Holm's correction over the claims that happen to be shown would call a chance significant."""
    run(invoke, "toy/main", "--seeds", "3")
    assert "Gain of Better over Plain" in invoke("table", "toy/main").stdout
    assert "Gain of Better over Plain" not in invoke("table", "toy/main/Noise8").stdout


def test_a_table_under_settings_and_seeds_shows_exactly_those(invoke):
    run(invoke, "toy/main/Noise8/Plain", "--seeds", "3", "--set", "gain=2")
    told = invoke("table", "toy/main/Noise8/Plain", "--set", "gain=2", "--seeds", "2").stdout
    assert re.search(r"Plain \[gain=2.0\].*\(2\)", told), told


def test_status_and_retry_take_settings_and_keys(invoke, tmp_path):
    mended = tmp_path / "mended"
    settings = ("--set", "fail_at=0", "--set", f"fail_unless={mended}")
    told = run(invoke, "toy/main/Noise8/Plain", "--seeds", "2", *settings)
    assert told.returncode == 1
    retry = told.stdout.splitlines()[-1]
    assert re.fullmatch(r"again: contrastbench retry [0-9a-f]{12} [0-9a-f]{12}", retry), retry
    status = invoke("status", "toy/main/Noise8/Plain", "--seeds", "2", *settings).stdout.split()
    assert status == ["table", "failed", "toy/main", "2"]
    mended.write_text("")
    for kind in ("--killed", "--timeout"):
        assert "0 runs to do again" in invoke("retry", retry.split()[-1], kind, "--launcher", "inline").stdout
    told = invoke("retry", retry.split()[-1], "--failed", "--launcher", "inline")
    assert told.returncode == 0 and "1 runs to do again" in told.stdout and "now: 1 done" in told.stdout
    told = invoke("retry", "toy/main/Noise8/Plain", "--seeds", "2", *settings, "--launcher", "inline")
    assert told.returncode == 0 and "now: 1 done" in told.stdout


def test_a_field_given_twice_is_an_error(invoke):
    told = run(invoke, "toy/main", "--set", "gain=1", "--set", "gain=2")
    assert told.returncode == 2 and "--set gain is given twice (1 and 2); a sweep is --set gain=1,2" in told.stderr


def test_methods_that_do_not_use_a_setting_are_named(invoke):
    told = invoke("plan", "hard_negatives/main", "--set", "temperature=0.2").stdout
    assert "SimCLR [temperature=0.2]" in told and "untrained" not in told.split("left out")[0]


def test_data_that_is_not_here_is_asked_for_before_anything_starts(invoke, tmp_path):
    told = invoke("--data-root", str(tmp_path), "run", "graph_contrastive/main/PTC_MR", "--scale", "paper")
    assert told.returncode == 2 and not (tmp_path / "runs").exists()
    assert f"PTC_MR is not here (looked in {tmp_path}); `contrastbench data fetch PTC_MR` gets it" in told.stderr


def test_a_setting_called_like_a_data_set_asks_for_no_data(tmp_path, monkeypatch):
    """Pictures of one's own are normalised by CIFAR-10's mean and deviation, as the code does it for every set."""
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    cells = select("hard_negatives/main/CIFAR10/SimCLR", "lite", [0]).cells()
    runs = [run.with_config(dataset="digits") for _, cell in cells for run in cell.runs]
    assert {run.config.statistics for run in runs} == {"cifar10"}
    assert fetch_missing_data(runs) is None


def test_data_that_nothing_downloads_is_asked_for_by_its_place(invoke, tmp_path):
    told = invoke("--data-root", str(tmp_path), "run", "hard_negatives/main/TinyImageNet/SimCLR", "--scale", "paper")
    assert told.returncode == 2 and not (tmp_path / "runs").exists()
    said = f"tinyimagenet is not here (looked in {tmp_path}); what cannot be downloaded must be put there by hand: tiny"
    assert said in told.stderr and "tiny-imagenet-200.zip, unpacked" in told.stderr and "fetch" not in told.stderr


def test_embedded_data_needs_no_question():
    runs = [run for _, cell in select("graph_contrastive/main", "quick").cells() for run in cell.runs]
    assert fetch_missing_data(runs) is None


def test_a_folder_that_cannot_be_used_stops_one_run(invoke, tmp_path):
    run(invoke, "toy/main/Noise8/Plain", "--seeds", "1")
    (folder,) = (tmp_path / "runs" / "toy").iterdir()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    told = run(invoke, "toy/main", "--seeds", "1")
    assert told.returncode == 1 and "; the other runs go on" in told.stderr
    assert "now: 3 done, 1 killed" in told.stdout


def test_a_curve_has_a_line_for_each_method_and_the_users_own_on_it(invoke, tmp_path):
    run(invoke, "toy/main", "--seeds", "2")
    run(invoke, "toy/main/Plain", "--seeds", "1", "--set", "gain=2,3")
    selection = select("toy/main/Noise8")
    evidence = gather(selection.paper, tmp_path / "runs", tmp_path / "results")
    figure, metric = curve_over(evidence, selection, "gain", None, "method", None)
    assert metric == "test_top1_percent"
    assert lines_of(figure) == {"Plain": 3, "Better": 1}


def lines_of(figure):
    """What was measured: line -> the number of its points."""
    drawn = [line for line in figure.axes[0].lines if line.get_marker() != "None"]  # not those across
    lines = {line.get_label(): len(line.get_xdata()) for line in drawn}
    return {name: count for name, count in lines.items() if not name.startswith("_") and count}


def test_the_readmes_curve_is_one_line_over_six_betas(monkeypatch):
    selection = select("hard_negatives/beta")
    figure, _ = curve_over(gather(selection.paper), selection, "beta", None, "method", "quick")
    assert lines_of(figure) == {"HCL": 6}


@pytest.mark.parametrize("x", ["k", "neighbours"])
def test_a_curve_takes_the_tables_word_and_the_configs(monkeypatch, x):
    selection = select("novel_class_discovery/k")
    figure, _ = curve_over(gather(selection.paper), selection, x, None, "method", "quick")
    assert lines_of(figure) == {"BCE + NCL + SCL": 5}


def test_a_curve_of_several_data_sets_has_a_panel_each(monkeypatch):
    selection = select("graph_contrastive/beta")
    figure, _ = curve_over(gather(selection.paper), selection, "beta", None, "method", "paper")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["MUTAG", "PTC_MR", "IMDB-BINARY", "IMDB-MULTI", "ENZYMES", "PROTEINS"]
    assert lines_of(figure)["Hard (paper)"] == 4 and not figure.axes[0].get_legend()


def test_several_figures_do_not_go_into_one_file(invoke, tmp_path):
    told = invoke("plot", "toy", "--out", str(tmp_path / "all.png"))
    assert told.returncode == 2 and "is one file, and without --x there are several" in told.stderr


@pytest.mark.parametrize(
    ("label", "without"),
    [
        ("HCL beta=0.5", "HCL"),
        ("HCL beta=0.5 [beta=3.0]", "HCL"),
        ("HCL beta=1 [beta=3.0, lr=0.1]", "HCL [lr=0.1]"),
        ("Hard (paper), beta=10", "Hard (paper)"),
        ("InfoGraph", "InfoGraph"),
    ],
)
def test_a_line_is_named_without_what_it_runs_over(label, without):
    assert without_setting(label, "beta") == without


def test_plot_needs_a_scale_where_there_are_several_and_writes_png(invoke, tmp_path):
    for scale in ("smoke", "quick"):
        run(invoke, "toy/main", "--seeds", "1", "--scale", scale)
    told = invoke("plot", "toy/main", "--x", "gain")
    assert told.returncode == 2 and "got smoke, quick; choose one with --scale" in told.stderr
    told = invoke("plot", "toy/main", "--x", "gain", "--scale", "quick", "--out", str(tmp_path / "a.png"))
    assert told.stdout == f"1 file: {tmp_path / 'a.png'}\n"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    told = invoke("plot", "toy/main", "--out", str(tmp_path / "figures"))
    files = list((tmp_path / "figures").iterdir())
    assert told.stdout == f"{len(files)} files (SVG and PDF) of {len(files) // 2} figures in {tmp_path / 'figures'}\n"
    told = invoke("plot", "toy/main", "--x", "gain", "--scale", "quick", "--out", str(tmp_path / "a.gif"))
    assert told.returncode == 2 and "must end in .svg or .pdf or .png, got 'a.gif'" in told.stderr


def test_a_report_goes_where_it_is_told(invoke, tmp_path):
    run(invoke, "toy/main/Plain", "--seeds", "1", "--set", "gain=2.5")
    told = invoke("report", "--out", str(tmp_path / "page.html"))
    assert told.stdout == f"report: {tmp_path / 'page.html'}\n"
    assert "Plain [gain=2.5]" in (tmp_path / "page.html").read_text()


def test_what_data_holds_is_never_read_as_markup(invoke, tmp_path):
    odd = tmp_path / "[enforce fail at x.cpp]" / "[/data/x]"
    told = run(invoke, "toy/main/Noise8/Plain", "--seeds", "1", "--set", f"gate={odd}[red]", "--set", "fail_at=0")
    assert told.returncode == 1
    assert f"gate={odd}[red]" in told.stdout.replace("\n", "")
    told = invoke("plan", "toy/main/[/data/x]")
    assert told.returncode == 2 and "unknown cell '[/data/x]'; toy/main" in told.stderr


def test_the_version_names_the_commit(invoke):
    assert re.fullmatch(r"contrastbench \d+\.\d+\.\d+ \([0-9a-f]{12}\)\n", invoke("--version").stdout)
