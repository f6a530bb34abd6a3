"""results, show, compare and the Python API: what finished runs are, told in a terminal and in pandas."""

import csv
import io
import json
from itertools import pairwise

import pandas
import pytest
from command_line import contrastbench

from contrastbench import results
from contrastbench.report.tables import csv_text


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A runs folder with the toy's main table, two settings of a user's own, and a failed run."""
    folder = tmp_path_factory.mktemp("known")
    for arguments in (
        ["run", "toy/main", "--seeds", "2"],
        ["run", "toy/main/Plain", "--seeds", "1", "--set", "gain=2,3"],
        ["run", "toy/faults/Raises", "--seeds", "1"],
    ):
        invoke(folder, *arguments, "--launcher", "inline")
    return folder


def invoke(folder, *arguments):
    return contrastbench(*arguments, runs=folder / "runs", results=folder / "results")


def key_of(folders, *arguments):
    lines = list(csv.DictReader(io.StringIO(invoke(folders, "results", *arguments, "--format", "csv").stdout)))
    return lines[0]["key"]


def test_results_are_filtered_by_data_set_method_setting_seed_and_status(folders):
    def count(*filters):
        return len(json.loads(invoke(folders, "results", *filters, "--format", "json").stdout))

    assert count("toy") == 8 + 4  # the main table; Plain on two data sets with two sizes each
    assert count("toy/main") == 12
    assert count("toy", "--dataset", "Noise16") == 4 + 2
    assert count("toy", "--method", "Plain") == 4 + 4
    assert count("toy", "--method", "Plain [[]gain=2.0]") == 2
    assert count("toy", "--set", "gain=2,3") == 4
    assert count("toy", "--seeds", "1,1") == 4
    assert count("toy", "--status", "failed") == 1
    assert count("toy", "--status", "any") == 13


def test_results_print_one_line_a_run_with_the_metric_of_its_table(folders):
    told = invoke(folders, "results", "toy/main", "--dataset", "Noise8", "--method", "Better", "--seeds", "1")
    header, line, last = told.stdout.splitlines()
    assert header.split() == ["key", "from", "dataset", "method", "seed", "test", "top1", "%"]
    assert line.split()[1:5] == ["here", "Noise8", "Better", "0"]
    assert last.startswith("1 runs; `contrastbench show KEY`")


def test_results_that_nothing_fits_say_so(folders):
    told = invoke(folders, "results", "toy", "--dataset", "nothing")
    assert told.returncode == 2 and "no finished run fits" in told.stderr


def test_show_tells_config_metrics_attempts_and_machine(folders):
    key = key_of(folders, "toy", "--set", "gain=2")
    told = invoke(folders, "show", key[:10])
    assert told.returncode == 0, told.stderr
    words = " ".join(told.stdout.split())
    for said in (
        "state done",
        "dataset Noise16",
        "method Plain [gain=2.0]",
        "scale quick",
        "gain = 2.0",
        "epochs = 3",
    ):
        assert said in words, words
    for name in (
        "test_top1_percent =",
        "attempt 1",
        "device cpu",
        "commit = ",
        "versions contrastbench",
        "toy_noise = 0000",
    ):
        assert name in words, words


def test_show_of_no_run_says_where_it_looked(folders):
    told = invoke(folders, "show", "0123456789")
    assert told.returncode == 2 and "no run's key begins with '0123456789', here or shipped" in told.stderr


def test_compare_names_the_settings_that_differ_and_the_paired_difference(folders):
    told = invoke(folders, "compare", "toy/main/Noise8/Plain", "toy/main/Noise8/Better")
    words = told.stdout.split()
    assert words[words.index("gain") : words.index("gain") + 3] == ["gain", "0.0", "1.0"]
    header, line = next(
        (above, line) for above, line in pairwise(told.stdout.splitlines()) if line.startswith("test_top1_percent")
    )
    assert "95 % interval" in header and "p (2 pairs)" in header
    mean, low, to, high, p = line.split()[-5:]
    assert (mean, to, p) == ("+10", "to", "0.5") and float(low) <= 10 <= float(high)  # the toy's gain is ten points


def test_a_tie_is_0_and_two_runs_have_no_interval(folders):
    told = invoke(folders, "compare", "toy/main/Noise8/Plain", "toy/main/Noise8/Plain")
    line = next(line for line in told.stdout.splitlines() if line.startswith("test_top1_percent"))
    assert line.split()[-5:] == ["0", "+0", "to", "+0", "1"]
    keys = [key_of(folders, "toy", "--method", name, "--seeds", "1") for name in ("Plain", "Better")]
    told = invoke(folders, "compare", *keys)
    assert told.returncode == 0 and "interval" not in told.stdout, told.stdout


def test_compare_of_several_kinds_asks_for_one_cell(folders):
    told = invoke(folders, "compare", "toy/main", "toy/main/Noise8/Better")
    assert told.returncode == 2 and "toy/main is several kinds of runs (Noise16 Better quick train; " in told.stderr


def test_the_python_function_gives_a_table_to_group(folders):
    rows = results("toy/main", runs_folder=folders / "runs", results_folder=folders / "results")
    assert set(rows["origin"]) == {"here"} and len(rows) == 12
    plain = rows[(rows["config.gain"] == 0) & (rows["config.size"] == 8)]["test_top1_percent"]
    better = rows[rows["config.gain"] == 1].query("dataset == 'Noise8'")["test_top1_percent"]
    assert better.mean() - plain.mean() == pytest.approx(10)
    with pytest.raises(ValueError, match="unknown origin 'there'; there are: best, here, shipped, both"):
        results(origin="there")


def test_no_cell_of_a_csv_is_a_formula():
    text = csv_text(
        pandas.DataFrame([["=1+1", "+x", "-x", "@x", "fine", "-1.5", -2.0, None]], columns=list("abcdefgh"))
    )
    assert text == "a,b,c,d,e,f,g,h\n'=1+1,'+x,'-x,'@x,fine,-1.5,-2.0,\n"
