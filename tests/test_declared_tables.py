"""What the tables of all papers declare."""

import pytest

from contrastbench import papers

TABLES = [f"{name}/{table}" for name in papers.names() for table in papers.paper(name).tables]


@pytest.mark.parametrize("scale", [scale for scale in papers.SCALES if scale != "smoke"])  # there nothing is compared
@pytest.mark.parametrize("target", TABLES)
def test_a_baseline_stands_in_its_table(target, scale):
    """Else its table compares nothing, and says nothing of it."""
    selection = papers.select(target)
    table = selection.paper.tables[target.split("/")[1]]
    cells = [cell for _, cell in selection.cells(scale)]
    there = {(cell.dataset, cell.method) for cell in cells}
    for cell in cells:
        if baseline := cell.baseline or table.baseline:
            assert (cell.dataset, baseline) in there, f"{cell.name} is compared with {baseline}"


@pytest.mark.parametrize("target", TABLES)
def test_both_sides_of_a_claim_stand_in_its_table(target):
    selection = papers.select(target)
    table = selection.paper.tables[target.split("/")[1]]
    methods = {cell.method for scale in papers.SCALES for _, cell in selection.cells(scale)}
    assert {method for claim in table.claims for method in claim} <= methods
