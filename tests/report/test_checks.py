"""What is committed follows from the rows, or somebody is told which file does not."""

from __future__ import annotations

import pytest

from contrastbench.report import blocks, checks
from contrastbench.report.join import join


@pytest.fixture
def table(synthetic):
    cells = [synthetic.cell("SimCLR", scale="quick"), synthetic.cell("DCL", scale="quick")]
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    return join("toy", {"main": synthetic.table()}, {"main": cells}, [], rows)[0]


def test_an_untouched_row_passes_and_a_changed_one_is_named(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR"), 80.0)
    assert checks.check_rows(rows, "rows.jsonl") == []
    rows[2]["metrics"]["test_top1_percent"] += 0.01
    (problem,) = checks.check_rows(rows, "rows.jsonl")
    assert rows[2]["key"][:12] in problem and "sha256 does not match" in problem


def test_a_doubled_row_is_named(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR", seeds=range(1)), 80.0)
    assert "appears twice" in checks.check_rows(rows * 2, "rows.jsonl")[0]


def test_the_digest_of_rows_knows_no_order(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR"), 80.0)
    assert checks.rows_digest(rows) == checks.rows_digest(rows[::-1]) != checks.rows_digest(rows[1:])


def test_the_manifest_sees_every_change(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "report").mkdir()
    for name in ("toy/rows.jsonl", "toy/table.md", "toy/curve.svg", "report/index.html"):
        (tmp_path / name).write_text(name)
    assert "is missing" in checks.check_manifest(tmp_path)[0]
    checks.write_manifest(tmp_path)
    assert checks.check_manifest(tmp_path) == []
    (tmp_path / "toy/rows.jsonl").write_text("other")
    (tmp_path / "toy/table.md").unlink()
    (tmp_path / "toy/new.md").write_text("new")
    (tmp_path / "report/index.html").write_text("made anew on every machine")
    problems = "\n".join(checks.check_manifest(tmp_path))
    assert problems.count("\n") == 2
    assert "rows.jsonl is not what the manifest says" in problems
    assert "table.md is in the manifest but not there" in problems
    assert "new.md is not in the manifest" in problems


def test_generated_files_are_compared_byte_by_byte(tmp_path):
    good, stale, missing = (tmp_path / name for name in ("good.md", "stale.md", "missing.svg"))
    good.write_text("same")
    stale.write_text("old")
    problems = checks.check_generated({good: "same", stale: "new", missing: b"svg"})
    assert [problem.split(" ")[0] for problem in problems] == [str(stale), str(missing)]


def test_rows_from_two_places_are_compared_by_what_a_rerun_must_repeat(synthetic):
    shipped = synthetic.rows(synthetic.cell("SimCLR", seeds=range(3)), 80.0)
    here = [dict(row, seconds=99.0, finished="later") for row in shipped]
    here[1]["metrics"] = {"test_top1_percent": 0.0}
    here[2] = dict(here[1], key=here[2]["key"], host={"machine": "arm64", "cpu": "another"})
    assert [said for *_, said in checks.compare_rows(here, shipped)] == ["bit for bit", "differs", "other machine"]


def test_another_machine_may_differ_as_far_as_seeds_do_and_no_further(synthetic):
    cells = [synthetic.cell(method, dataset) for method in ("SimCLR", "HCL") for dataset in ("Alpha", "Beta")]
    shipped = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    here = [row for cell in cells[:3] for row in synthetic.rows(cell, 80.9)] + synthetic.rows(cells[3], 90.0)
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, here, shipped)
    judged, outside = checks.outside_noise(table.cells)
    assert judged == 4
    assert [cell.name for cell in outside] == ["Beta/HCL"]
    (table,) = join("toy", {"main": synthetic.table()}, {"main": cells}, here[-1:], shipped)
    assert checks.outside_noise(table.cells) == (0, []), "one seed has no noise to compare with"


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
