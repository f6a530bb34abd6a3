"""What is committed follows from the rows, or somebody is told which file does not."""

from __future__ import annotations

import re

import pytest

from contrastbench import evidence, shipping, verifying
from contrastbench.readmes import blocks
from contrastbench.runner import provenance
from contrastbench.runner.rows import rows_digest, sealed
from contrastbench.verdicts.cells import join


@pytest.fixture
def table(synthetic):
    cells = [synthetic.cell("SimCLR", scale="quick"), synthetic.cell("DCL", scale="quick")]
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    return join("toy", {"main": synthetic.table()}, {"main": cells}, [], rows)[0]


def test_an_untouched_row_passes_and_a_changed_one_is_named(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR"), 80.0)
    assert verifying.check_rows(rows, "rows.jsonl") == []
    rows[2]["metrics"]["test_top1_percent"] += 0.01
    (problem,) = verifying.check_rows(rows, "rows.jsonl")
    assert rows[2]["key"][:12] in problem and "sha256 does not match" in problem


def test_a_doubled_row_is_named(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR", seeds=range(1)), 80.0)
    assert "appears twice" in verifying.check_rows(rows * 2, "rows.jsonl")[0]


def test_the_digest_of_rows_knows_no_order(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR"), 80.0)
    assert rows_digest(rows) == rows_digest(rows[::-1]) != rows_digest(rows[1:])


def test_a_row_under_another_runs_key_is_named(synthetic):
    """Somebody gives a good seed's row another seed, and seals it anew: its key tells."""
    row = synthetic.rows(synthetic.cell("SimCLR", seeds=range(1)), 80.0)[0]
    forged = sealed({**row, "seed": 7})
    (problem,) = verifying.check_rows([forged], "rows.jsonl")
    assert "is not the run that its key names" in problem


def test_a_gap_in_the_seeds_is_named(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR", seeds=range(6)), 80.0)
    assert verifying.check_seeds(rows, "rows.jsonl") == []
    (problem,) = verifying.check_seeds([row for row in rows if row["seed"] not in (1, 4)], "rows.jsonl")
    assert "Alpha/SimCLR" in problem and "has seeds up to 5 and lacks 1, 4" in problem


def test_a_row_that_no_cell_shows_is_named(synthetic):
    first, last = (synthetic.row(synthetic.run(name), 80.0) for name in ("Stage", "Probe"))
    assert verifying.check_shown([first, last], {first["key"], last["key"]}, "rows.jsonl") == []
    (problem,) = verifying.check_shown([first, last], {last["key"]}, "rows.jsonl")
    assert "Alpha/Stage/0" in problem and "stands in no cell" in problem


def test_a_file_of_measurements_names_clean_commits(tmp_path):
    ours = provenance.git()["commit"]
    (tmp_path / "good.csv").write_text(f"milliseconds,commit\n1.0,{ours}\n")
    (tmp_path / verifying.REPLACED).write_text("key,why\nc0ffee,a reason\n")
    assert verifying.check_measurements(tmp_path) == []
    (tmp_path / "changed.csv").write_text(f"milliseconds,commit\n1.0,{ours} and changes\n")
    (tmp_path / "silent.csv").write_text("milliseconds\n1.0\n")
    changed, silent = verifying.check_measurements(tmp_path)
    assert "changed.csv names" in changed and "no clean commit" in changed
    assert "silent.csv does not name the commit" in silent


def test_generated_files_are_compared_byte_by_byte(tmp_path):
    good, stale, missing = (tmp_path / name for name in ("good.md", "stale.md", "missing.svg"))
    good.write_text("same")
    stale.write_text("old")
    problems = shipping.check_generated({good: b"same", stale: b"new", missing: b"svg"})
    assert [problem.split(" ")[0] for problem in problems] == [str(stale), str(missing)]


def test_rows_from_two_places_are_compared_by_what_a_rerun_must_repeat(synthetic):
    shipped = synthetic.rows(synthetic.cell("SimCLR", seeds=range(3)), 80.0)
    here = [dict(row, seconds=99.0, finished="later") for row in shipped]
    here[1]["metrics"] = {"test_top1_percent": 0.0}
    here[2] = dict(here[1], key=here[2]["key"], host={"machine": "arm64", "cpu": "another"})
    assert [said for *_, said in evidence.compare_rows(here, shipped)] == ["bit for bit", "differs", "other machine"]


def test_another_machine_may_differ_as_far_as_seeds_do_and_no_further(synthetic):
    cells = [synthetic.cell(method, dataset) for method in ("SimCLR", "HCL") for dataset in ("Alpha", "Beta")]
    shipped = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    here = [row for cell in cells[:3] for row in synthetic.rows(cell, 80.9)] + synthetic.rows(cells[3], 90.0)
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, here, shipped)
    judged, outside = evidence.outside_noise(table.cells)
    assert judged == 4
    assert [cell.name for cell in outside] == ["Beta/HCL"]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, here[-1:], shipped)
    assert evidence.outside_noise(table.cells) == (0, []), "one seed has no noise to compare with"


def test_a_block_is_filled_and_then_fresh(tmp_path, table):
    readme = tmp_path / "README.md"
    readme.write_text("Before\n<!-- table: toy/main/quick/long -->\n<!-- end -->\nafter\n")
    assert blocks.check_file(readme, [table])
    assert blocks.fill_file(readme, [table])
    text = readme.read_text()
    assert text.startswith("Before\n") and text.endswith("<!-- end -->\nafter\n")
    assert "| SimCLR | Alpha | – | 80.00 ± 1.00 (5) |" in text
    assert "here" not in text.split("-->")[1].split("\n")[2]
    assert blocks.check_file(readme, [table]) == []
    assert not blocks.fill_file(readme, [table])
    readme.write_text(text.replace("80.00", "85.00"))
    (problem,) = blocks.check_file(readme, [table])
    assert "toy/main/quick/long does not follow from the rows" in problem


def test_a_papers_own_readme_may_leave_out_paper_and_scale(tmp_path, table):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- table: main -->\n<!-- end -->\n")
    blocks.fill_file(readme, [table], paper="toy")
    assert "SimCLR" in readme.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: toy/other -->\n<!-- end -->\n", "not one table is named 'toy/other'; possible: toy/main/quick"),
        ("<!-- table: toy/main -->\n", "has no <!-- end --> below it"),
    ],
)
def test_a_wrong_block_is_refused(tmp_path, table, text, message):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ValueError, match=message):
        blocks.fill_file(readme, [table])
    assert readme.read_text() == text


def test_a_number_in_a_sentence_comes_from_the_rows_in_the_style_it_stands(tmp_path, synthetic):
    cells = [synthetic.cell(method, dataset) for dataset in ("Alpha", "Beta") for method in ("SimCLR", "DCL")]
    rows = [row for cell in cells for row in synthetic.rows(cell, 82.5 if cell.method == "DCL" else 80.0, 0.0)]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, [], rows)
    readme = tmp_path / "README.md"
    readme.write_text(
        "DCL has 0.0<!--= mean | main | Alpha | DCL --> (0<!--= n | main | Alpha | DCL --> seeds),\n"
        "+0.00 [0.0, 0.0]<!--= gain | main | Alpha | DCL | SimCLR --> there and +0.0<!--= pooled | main |\n"
        "DCL | SimCLR --> over both sets, p = 0.000<!--= p | main | DCL | SimCLR -->.\n"
    )
    assert len(blocks.check_file(readme, [table], "toy")) == 5
    blocks.fill_file(readme, [table], "toy")
    plain = re.sub(r"<!--.*?-->", "", readme.read_text(), flags=re.DOTALL)
    assert plain == (
        "DCL has 82.5 (5 seeds),\n+2.50 [2.5, 2.5] there and +2.5 over both sets, p = 0.002.\n"  # 2 of 2^10 patterns
    )
    assert blocks.check_file(readme, [table], "toy") == []
    readme.write_text(readme.read_text().replace("82.5", "83.5"))
    (problem,) = blocks.check_file(readme, [table], "toy")
    assert problem.endswith("the rows say 82.5, not 83.5 (mean | main | Alpha | DCL)")


def test_a_sentence_can_compare_two_spreads(synthetic):
    narrow, wide = synthetic.cell("SimCLR", "Alpha"), synthetic.cell("DCL", "Alpha")
    rows = synthetic.rows(narrow, 80.0, 1.0) + synthetic.rows(wide, 80.0, 2.0)
    (table,) = join("toy", {"main": synthetic.table()}, {"main": [narrow, wide]}, [], rows)
    filled = blocks.fill("0.0 [0.0, 0.0]<!--= spread | main | Alpha | DCL | SimCLR -->", [table], "README.md", "toy")
    assert filled.startswith("2.0 [0.6, 6.2]<!--")


def test_a_sentence_can_name_a_variant(synthetic):
    paper, code = (synthetic.cell("HCL", "Alpha", variant=variant) for variant in ("as_paper", "as_code"))
    rows = synthetic.rows(paper, 80.0, 0.0) + synthetic.rows(code, 83.0, 0.0)
    (table,) = join("toy", {"main": synthetic.table()}, {"main": [paper, code]}, [], rows)
    filled = blocks.fill("+0.0<!--= gain | main | Alpha | HCL (as_code) | HCL -->", [table], "README.md", "toy")
    assert filled.startswith("+3.0<!--")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good<!--= mean | main | Alpha | SimCLR -->", "does not stand right behind a number"),
        (
            "1.0<!--= best | main | Alpha | SimCLR -->",
            "unknown mark 'best | main | Alpha | SimCLR'; it starts",
        ),
        ("1.0<!--= mean | main | Alpha | MoCo -->", "no measured cell Alpha | MoCo in toy/main/quick"),
        ("1.0 [0.5, 1.5]<!--= n | main | Alpha | SimCLR -->", "what its mark names has none"),
    ],
)
def test_a_wrong_mark_is_refused(table, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        blocks.fill(text, [table], "README.md", "toy")


def test_what_a_readme_finds_is_read_as_plain_text(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(
        "# Title\n<!-- findings -->\n1. **It holds**: 80.0<!--= mean | main | A | B --> of [these](rows.md).\n"
        "2. Another\n   line.\n<!-- end -->\n"
    )
    assert blocks.findings_of(readme) == ["It holds: 80.0 of these.", "Another line."]
    assert blocks.findings_of(tmp_path / "none.md") == []


def test_the_mean_of_the_first_seeds_leaves_out_the_others(synthetic):
    cell = synthetic.cell("SimCLR")
    rows = [synthetic.row(run, float(run.seed)) for run in cell.runs]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": [cell]}, [], rows)
    text = blocks.fill("9.9<!--= first | main | Alpha | SimCLR | 2 -->", [table], "README.md", "toy")
    assert text.startswith("0.5<!--")
    assert blocks.fill("9<!--= seed | main | Alpha | SimCLR | 3 -->", [table], "README.md", "toy").startswith("3<!--")
    with pytest.raises(ValueError, match="no seed '7' of Alpha | SimCLR in main; there are 0, 1, 2, 3, 4"):
        blocks.fill("9<!--= seed | main | Alpha | SimCLR | 7 -->", [table], "README.md", "toy")


SPEED = """loss,batch,contender,milliseconds
hcl,64,ours,2.0
hcl,64,"formula, plain",5.0
hcl,256,ours,10.0
bcl,256,ours,
"""


def test_a_measured_time_in_a_sentence_comes_from_the_papers_file(tmp_path):
    folder = tmp_path / "results" / "toy"
    folder.mkdir(parents=True)
    (folder / "speed.csv").write_text(SPEED)
    readme = tmp_path / "README.md"
    readme.write_text(
        "HCL takes 9<!--= read | speed.csv | milliseconds | loss=hcl; batch=256 --> ms and is\n"
        "2.5<!--= times | speed.csv | milliseconds | loss=hcl; batch=64 | contender=formula, plain |\n"
        "contender=ours --> times as fast; ours needs at least\n"
        "3.0<!--= least | speed.csv | milliseconds | contender=ours --> ms.\n"
    )
    wrong = blocks.check_file(readme, [], "toy", tmp_path / "results")
    assert [line.split(": ", 1)[1].partition(" (")[0] for line in wrong] == [
        "the rows say 10, not 9",
        "the rows say 2.0, not 3.0",
    ]
    blocks.fill_file(readme, [], "toy", tmp_path / "results")
    assert blocks.check_file(readme, [], "toy", tmp_path / "results") == []


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("read | slow.csv | milliseconds | loss=hcl", "there is no file"),
        (
            "read | speed.csv | milliseconds | loss=hcl",
            "3 lines of the file have milliseconds where loss=hcl; name more columns",
        ),
        ("read | speed.csv | milliseconds | loss=bcl", "the file has no milliseconds where loss=bcl"),
        ("read | speed.csv | seconds | loss=hcl", "the file has no column seconds; it has loss, batch"),
    ],
)
def test_a_mark_of_a_file_that_says_too_little_is_refused(tmp_path, mark, message):
    (tmp_path / "speed.csv").write_text(SPEED)
    with pytest.raises(ValueError, match=re.escape(message)):
        blocks.fill(f"1.0<!--= {mark} -->", [], "README.md", "", tmp_path)
