"""What the tables of all papers declare."""

import pytest

from contrastbench import papers
from contrastbench.runner.vocabulary import SCALES
from contrastbench.selection import select

TABLES = [f"{name}/{table}" for name in papers.names() for table in papers.paper(name).tables]


@pytest.mark.parametrize("scale", [scale for scale in SCALES if scale != "smoke"])  # there nothing is compared
@pytest.mark.parametrize("target", TABLES)
def test_a_baseline_stands_in_its_table(target, scale):
    """Else its table compares nothing, and says nothing of it."""
    selection = select(target, scale)
    table = selection.paper.tables[target.split("/")[1]]
    cells = [cell for _, cell in selection.cells()]
    there = {(cell.dataset, cell.method) for cell in cells}
    for cell in cells:
        if baseline := cell.baseline or table.baseline:
            assert (cell.dataset, baseline) in there, f"{cell.name} is compared with {baseline}"


def test_both_sides_of_a_claim_stand_in_its_table():
    claiming = [(paper, name) for paper in map(papers.paper, papers.names()) for name in paper.tables]
    claiming = [(paper, name) for paper, name in claiming if paper.tables[name].claims]
    assert claiming
    for paper, name in claiming:
        methods = {cell.method for scale in SCALES for cell in paper.cells(name, scale)}
        assert {method for claim in paper.tables[name].claims for method in claim} <= methods, name
