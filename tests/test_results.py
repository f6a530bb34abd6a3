"""What is committed in results/ and inside Markdown files follows from the shipped rows, and `verify` would notice."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from command_line import contrastbench

from contrastbench import drawing, papers, readmes, shipping, verifying
from contrastbench.evidence import Evidence, gather
from contrastbench.report import style
from contrastbench.report.style import new_figure
from contrastbench.runner.rows import MADE_AGAIN, read_row, rows_digest, rows_shipped, seal, write_row, write_shipped
from contrastbench.runner.vocabulary import key_of

PROJECT = Path(__file__).parents[1]


def verify(runs, results):
    return contrastbench("verify", runs=runs, results=results)


@pytest.fixture
def results(tmp_path):
    """What is shipped of one paper; `verify` then has no others to look at."""
    shutil.copytree(PROJECT / "results" / "hard_negatives", tmp_path / "results" / "hard_negatives")
    return tmp_path / "results"


def test_committed_rows_are_whole_and_tables_and_readmes_follow_from_them():
    """All that ``verify`` looks at, without drawing: figures, which take a minute, must name these rows."""
    everything = [gather(papers.paper(name)) for name in papers.names()]
    for evidence in everything:
        assert verifying.problems_of_rows(evidence, shipping.standing(evidence), history=True) == []
        assert shipping.check_generated(shipping.generated_tables(evidence)) == []
        figures = (PROJECT / "results" / evidence.paper.name / "figures").glob("*")
        assert [path for path in figures if rows_digest(evidence.shipped).encode() not in path.read_bytes()] == []
    own = [each for each in everything if each.paper.folder.parent == PROJECT / "benchmarks"]  # without toy papers
    for path, text in shipping.pages(own, PROJECT / "results"):
        assert readmes.check(path, text) == []


@pytest.mark.slow
def test_committed_figures_are_those_that_the_rows_give(tmp_path):
    done = verify(tmp_path / "runs", PROJECT / "results")
    assert done.returncode == 0, done.stderr
    assert "shipped rows, tables and figures: no problems" in done.stdout


def test_results_elsewhere_are_not_held_against_what_the_project_shipped(tmp_path, results):
    (results / "hard_negatives" / "rows.jsonl").write_text("")
    done = verify(tmp_path / "runs", results)
    assert "shipped once" not in done.stderr and "follows from no row" in done.stderr
    done = verify(tmp_path / "runs", tmp_path / "nowhere")
    assert done.returncode == 2 and "nowhere: no PAPER/rows.jsonl is there" in " ".join(done.stderr.split())


def test_a_better_number_in_a_row_is_noticed(tmp_path, results):
    path = results / "hard_negatives" / "rows.jsonl"
    first, _, rest = path.read_text().partition("\n")
    row = json.loads(first)
    row["metrics"] = dict.fromkeys(row["metrics"], 99.0)
    path.write_text(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" + rest)
    done = verify(tmp_path / "runs", results)
    assert done.returncode == 2 and "was changed after it was written" in done.stderr


def test_a_table_and_a_figure_that_do_not_follow_are_named(monkeypatch, results):
    table = results / "hard_negatives" / "tables" / "main-quick.md"
    table.write_text(table.read_text().replace("SimCLR", "SimCLR!"))
    figure = results / "hard_negatives" / "figures" / "main-quick.svg"
    figure.write_text("<svg/>")
    stray = results / "hard_negatives" / "tables" / "best-seeds.md"
    stray.write_text("| 99.0 |")
    drawn = {figure.stem: new_figure()[0]}
    monkeypatch.setattr(shipping, "standard_figures", lambda evidence: drawn)
    for path in {*figure.parent.iterdir()} - {figure}:
        path.unlink()
    evidence = gather(papers.paper("hard_negatives"), results=results)
    assert shipping.stale_files(evidence) == [
        f"{table} does not follow from the rows; make it again",
        f"{figure} was made from other rows",
        f"{stray} follows from no row",
    ]


def problems(rows, results):
    """What verify says of these rows of hard_negatives, their tables and figures apart."""
    evidence = Evidence(papers.paper("hard_negatives"), rows, results=results)
    return verifying.problems_of_rows(evidence, shipping.standing(evidence), history=True)


@pytest.fixture
def rows(results):
    """What is shipped of hard_negatives, of which the history knows every row."""
    if verifying.commit_dates() is None:
        pytest.skip("this checkout has no history to compare with")
    return rows_shipped(results, "hard_negatives")


def test_seeds_that_were_shipped_once_cannot_be_left_out(rows, results):
    """The worst seed of every method is deleted and everything made anew: the history tells."""
    assert problems(rows, results) == []
    last = max(row["seed"] for row in rows)
    found = problems([row for row in rows if row["seed"] != last], results)
    assert len(found) == sum(row["seed"] == last for row in rows)
    assert all("was shipped once and is gone" in problem for problem in found)


def test_the_second_row_of_a_needed_run_cannot_go_either(rows, tmp_path):
    """Those of novel_class_discovery, in a folder of results that has none."""
    evidence = gather(papers.paper("novel_class_discovery"))
    shown = shipping.standing(evidence)
    found = verifying.problems_of_rows(dataclasses.replace(evidence, results=tmp_path), shown, history=True)
    again = rows_shipped(evidence.results, "novel_class_discovery", MADE_AGAIN)
    gone = [problem for problem in found if "made_again.jsonl" in problem and "was shipped once and is gone" in problem]
    assert again and len(gone) == len(again)


def replaced(results, *lines):
    text = "\n".join(["key,old,new,why", *(",".join(line) for line in lines)]) + "\n"
    (results / "hard_negatives" / "replaced.csv").write_text(text)


def test_replaced_csv_excuses_no_row_that_is_gone(rows, results):
    gone = [row for row in rows if row["seed"] == max(row["seed"] for row in rows)]
    replaced(results, *((row["key"], row["sha256"], "", "it was wrong") for row in gone))
    found = problems([row for row in rows if row not in gone], results)
    assert len(found) == len(gone) and all("was shipped once and is gone" in problem for problem in found)


def changed(row, field):
    value = {
        "metrics": dict.fromkeys(row["metrics"], 99.0),
        "method": "HCL" if row["method"] != "HCL" else "SimCLR",
        "dataset": "CIFAR100",
        "series": {name: [0.0] for name in row["series"]},
        "data": dict.fromkeys(row["data"], "c0ffee"),
        "host": {**row["host"], "cpu": "another"},
        "seconds": 1.0,
    }[field]
    return seal({**row, field: value})


def test_no_field_of_a_shipped_row_can_be_changed_and_hashed_anew(rows, results):
    fields = ("metrics", "method", "dataset", "series", "data", "host", "seconds")
    forged = {
        row["key"]: field for field, row in zip(fields, [r for r in rows if r["series"] and r["data"]], strict=False)
    }
    assert len(forged) == len(fields)
    together = [changed(row, forged[row["key"]]) if row["key"] in forged else row for row in rows]
    found = problems(together, results)
    for field in fields:
        said = f"was shipped once with another {field}, and it is the same run"
        assert any(said in problem for problem in found), field
    replaced(results, *((key, "c0ffee", "c0ffee", "it was wrong") for key in forged))
    assert problems(together, results) == found, "the lines name other rows"


def test_method_labels_cannot_be_swapped(rows, results):
    """Two methods exchange their names, and every row is hashed anew: each is told."""
    swap = {"HCL": "SimCLR", "SimCLR": "HCL"}
    forged = [seal({**row, "method": swap.get(row["method"], row["method"])}) for row in rows]
    found = problems(forged, results)
    assert sum("another method, and it is the same run" in problem for problem in found) == sum(
        row["method"] in swap for row in rows
    )


def test_a_rerun_may_replace_a_row_that_it_repeats_or_that_a_line_names(rows, results):
    row, others = rows[0], rows[1:]
    again = {**row, "started": "2031-01-01T00:00:00+00:00", "finished": "2031-01-01T00:01:00+00:00"}
    assert problems([seal({**again, "seconds": 60.0}), *others], results) == []
    other = seal({**again, "metrics": dict.fromkeys(row["metrics"], 50.0)})
    (problem,) = problems([other, *others], results)
    assert "was shipped once with another metrics; raise the method's protocol version" in problem
    replaced(results, (row["key"], row["sha256"], other["sha256"], "the sum has another order"))
    assert problems([other, *others], results) == []
    raised = {**row, "protocol_version": row["protocol_version"] + 1}
    raised["key"] = key_of({part: raised[part] for part in verifying.IDENTITY})
    found = problems([seal(raised), *others], results)
    assert any("stands in no cell" in problem for problem in found)
    assert not any("shipped once" in problem for problem in found), "its version was raised"


def test_invented_seeds_with_an_old_commit_are_named(rows, results):
    """Five more seeds of one method, made from a shipped row: no table declares them, and they share its times."""
    row = max((row for row in rows if not row["needs"]), key=lambda row: (row["method"] == "HCL", row["seed"]))
    invented = []
    for seed in range(row["seed"] + 1, row["seed"] + 6):
        each = {**row, "seed": seed, "metrics": {name: value + 1 for name, value in row["metrics"].items()}}
        invented.append(seal({**each, "key": key_of(each)}))
    found = problems([*rows, *invented], results)
    assert any("has seeds that no table declares" in problem for problem in found)
    assert any("has the very times of 5 other rows" in problem for problem in found)


def test_a_row_older_than_its_commit_is_named(rows, results):
    early = seal({**rows[0], "started": "2001-01-01T00:00:00+00:00", "finished": "2001-01-01T00:01:00+00:00"})
    assert any("was started before its commit was made" in problem for problem in problems([early, *rows[1:]], results))


PRINTED = {
    **{"dataset": "MUTAG", "method": "InfoGraph", "metric": "accuracy", "where": "Table 1"},
    **{"value": "89.01", "spread": "1.13", "spread_kind": "seeds", "n": "5", "margin": "1.0"},
}


@pytest.mark.parametrize(
    ("column", "value"),
    [("value", "87.01"), ("margin", "2.0"), ("n", "3"), ("spread", "3.0"), ("spread_kind", "folds")],
)
def test_a_printed_number_cannot_change_without_a_reason(column, value):
    now = {**PRINTED, column: value}
    (problem,) = verifying.check_published([now], [PRINTED], [])
    change = f"{column} {PRINTED[column]} -> {value}"
    assert problem.startswith("MUTAG/InfoGraph accuracy (Table 1): ") and change in problem
    reason = {**{name: PRINTED[name] for name in ("dataset", "method", "metric", "where")}, "why": "misread"}
    assert verifying.check_published([now], [PRINTED], [{**reason, "change": change}]) == []
    assert verifying.check_published([now], [PRINTED], [{**reason, "change": "margin 1.0 -> 9"}])


def test_a_printed_number_cannot_go_without_a_reason():
    (problem,) = verifying.check_published([], [PRINTED], [])
    assert "gone, and published_changes.csv does not say why" in problem


@pytest.mark.parametrize(
    ("git", "message"),
    [
        ({"commit": "c0ffee", "dirty": False}, "1 rows come from commit c0ffee, which is not in this history"),
        ({"commit": "c0ffee", "dirty": True}, "1 rows come from a checkout with changes that no commit holds"),
    ],
)
def test_a_row_of_no_commit_is_named(rows, results, git, message):
    found = problems([seal({**rows[0], "git": git}), *rows[1:]], results)
    assert any(message in problem for problem in found)


def test_a_line_that_excuses_something_needs_a_reason(tmp_path):
    path = tmp_path / "replaced.csv"
    path.write_text("key,old,new,why\nabc,1,2,a1921c1 changed the last bits\nabd,1,2,\n")
    with pytest.raises(ValueError, match=r"replaced.csv:3: no reason is given"):
        verifying.read_lines(path)
    assert verifying.read_lines(tmp_path / "none.csv") == []


def test_rows_made_here_are_compared_with_the_shipped_ones(tmp_path):
    """Equal ones, one that differs on the same machine, and a cell of another machine: off by a little, off by much."""
    runs, results = tmp_path / "runs", tmp_path / "results"
    assert contrastbench("run", "toy/main", "--launcher", "inline", runs=runs).returncode == 0
    paths = {path: read_row(path) for path in runs.glob("toy/*/row.json")}
    write_shipped(results, "toy", paths.values())
    for path, row in paths.items():
        moved = {("Noise8", "Better"): 0.01, ("Noise16", "Better"): 50.0}.get((row["dataset"], row["method"]), 0.0)
        same = (row["dataset"], row["method"], row["seed"]) == ("Noise8", "Plain", 0)
        host = row["host"] if not moved else {**row["host"], "cpu": "another"}
        metrics = {name: value + moved + same for name, value in row["metrics"].items()}
        write_row(path, seal({**row, "metrics": metrics, "host": host}))
    done = verify(runs, results)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "toy, here against shipped: " in said
    for words in (
        "5 bit for bit",
        "1 differs",
        "6 other machine",
        "2 cells with these and two seeds 1 within the noise",
    ):
        assert words in said, said
    assert "toy/main/Noise16/Better" in done.stderr and "more than the noise of the seeds" in done.stderr
    assert "toy/main/Noise8/Better" not in done.stderr


def test_rows_of_more_seeds_than_declared_are_shipped_and_those_of_other_settings_are_not(tmp_path):
    runs, results = tmp_path / "runs", tmp_path / "results"
    for more in (["--seeds", "5"], ["--set", "size=6"]):
        command = ["run", "toy/main/Noise8/Plain", *more, "--launcher", "inline"]
        assert contrastbench(*command, runs=runs).returncode == 0
    paths = list(runs.glob("toy/*/row.json"))
    for path in paths:
        row = read_row(path)
        write_row(path, seal({**row, "git": {**row["git"], "dirty": False}}))
    toy = papers.paper("toy")
    rows = {row["key"]: row for row in map(read_row, paths)}
    assert len(rows) == 8
    assert shipping.ship(toy, rows, results)
    assert not shipping.ship(toy, {}, results), "again, with nothing new: all of them stay"
    assert [row["seed"] for row in rows_shipped(results, "toy")] == [0, 1, 2, 3, 4]


def test_only_a_paper_whose_rows_changed_is_drawn_anew(tmp_path, monkeypatch):
    drawn = []

    def tables(one):
        return {tmp_path / one.paper.name / "tables" / "a.md": b"1"}

    monkeypatch.setattr(shipping, "generated_tables", tables)
    monkeypatch.setattr(shipping, "generated_files", lambda one: drawn.append(one.paper.name) or tables(one))
    shipping.write_generated(tmp_path, papers.names())
    assert drawn == papers.names() == sorted(path.parent.parent.name for path in tmp_path.glob("*/tables/a.md"))
    shipping.write_generated(tmp_path, {"toy"})
    assert drawn == [*papers.names(), "toy"]
    (tmp_path / "toy" / "tables" / "a.md").write_bytes(b"0")
    shipping.write_generated(tmp_path, set())
    assert (tmp_path / "toy" / "tables" / "a.md").read_bytes() == b"1", "what does not follow is made"


def test_the_page_draws_what_rows_made_here_change_and_takes_the_rest_as_committed(tmp_path, monkeypatch):
    runs, results = tmp_path / "runs", tmp_path / "results"
    assert contrastbench("run", "toy/main", "--launcher", "inline", runs=runs).returncode == 0
    write_shipped(results, "toy", [read_row(path) for path in runs.glob("toy/*/row.json")])
    shipping.write_generated(results, {"toy"})
    drawn = []
    monkeypatch.setattr(drawing.plots, "comparison", lambda table: drawn.append(table.name) or new_figure()[0])

    def page(with_here):
        drawn.clear()
        evidence = gather(papers.paper("toy"), runs if with_here else None, results)
        drawing.write_page([evidence], tmp_path / "index.html")
        return (tmp_path / "toy.html").read_text().count('href="figures/toy/')

    assert 0 < page(with_here=False) < page(with_here=True) and drawn == ["main"], "training curves are here alone"
    page(with_here=False)
    assert drawn == []
    committed = results / "toy" / "figures" / "main-quick.svg"
    committed.write_text(committed.read_text().replace(style.creator(), "matplotlib 0.1"))
    page(with_here=False)
    assert drawn == ["main"], "another matplotlib has other strokes"


def test_shipped_rows_belong_to_papers_that_are_here():
    """The reverse does not hold: a reader's own paper, as the README makes one, has no shipped rows."""
    shipped = {path.parent.name for path in (PROJECT / "results").glob("*/rows.jsonl")}
    assert {"graph_contrastive", "hard_negatives", "loss_studies"} <= shipped <= set(papers.names())
