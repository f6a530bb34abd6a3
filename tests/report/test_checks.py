"""What is committed follows from the rows, or somebody is told which file does not."""

import pytest

from contrastbench import evidence, shipping, verifying
from contrastbench.runner import provenance
from contrastbench.runner.rows import rows_digest, seal
from contrastbench.verdicts.cells import join


@pytest.fixture
def table(synthetic):
    cells = [synthetic.cell("SimCLR", scale="quick"), synthetic.cell("DCL", scale="quick")]
    rows = [row for cell in cells for row in synthetic.rows(cell, 80.0)]
    return join("toy", {"main": synthetic.table()}, {"main": cells}, [], rows)[0]


def test_a_doubled_row_is_named(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR", seeds=range(1)), 80.0)
    assert "appears twice" in next(verifying.check_rows(rows * 2))


def test_the_digest_of_rows_knows_no_order(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR"), 80.0)
    assert rows_digest(rows) == rows_digest(rows[::-1]) != rows_digest(rows[1:])


def test_a_row_under_another_runs_key_is_named(synthetic):
    """Somebody gives a good seed's row another seed, and seals it anew: its key tells."""
    row = synthetic.rows(synthetic.cell("SimCLR", seeds=range(1)), 80.0)[0]
    assert not [*verifying.check_rows([row])]
    forged = seal({**row, "seed": 7})
    (problem,) = verifying.check_rows([forged])
    assert "is not the run that its key names" in problem


def test_a_gap_in_the_seeds_is_named(synthetic):
    rows = synthetic.rows(synthetic.cell("SimCLR", seeds=range(6)), 80.0)
    assert not [*verifying.check_seeds(rows)]
    (problem,) = verifying.check_seeds([row for row in rows if row["seed"] not in (1, 4)])
    assert "Alpha/SimCLR" in problem and "has seeds up to 5 and lacks 1, 4" in problem


def test_a_row_that_no_cell_shows_is_named(synthetic):
    first, last = (synthetic.row(synthetic.run(name), 80.0) for name in ("Stage", "Probe"))
    assert not [*verifying.check_shown([first, last], {first["key"], last["key"]})]
    (problem,) = verifying.check_shown([first, last], {last["key"]})
    assert "Alpha/Stage/0" in problem and "stands in no cell" in problem


def test_a_file_of_measurements_names_clean_commits(tmp_path):
    ours = provenance.git()["commit"]
    (tmp_path / "good.csv").write_text(f"milliseconds,commit\n1.0,{ours}\n")
    (tmp_path / verifying.REPLACED).write_text("key,why\nc0ffee,a reason\n")
    assert not [*verifying.check_measurements(tmp_path)]
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
    agreed = evidence.compare_rows(here, shipped).values()
    assert list(agreed) == ["bit for bit", "differs", "other machine"]


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
