"""What the papers declare: baselines and claims stand in their tables, and each run has a protocol version."""

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


PAPERS = [name for name in papers.names() if papers.paper(name).versions]


def keys(paper, scale="quick"):
    cells = [cell for table in paper.tables for cell in paper.cells(table, scale)]
    return {run.key for cell in cells for run in cell.runs}


@pytest.mark.parametrize("name", PAPERS)
def test_a_raised_version_changes_the_keys_of_its_method_alone(name, monkeypatch):
    paper = papers.paper(name)
    before, versions = keys(paper), paper.versions
    left = {}
    for method, version in versions.items():
        monkeypatch.setitem(versions, method, version + 1)
        left[method] = keys(paper) & before
        monkeypatch.setitem(versions, method, version)
    assert keys(paper) == before
    changed = {method: before - kept for method, kept in left.items()}
    assert set.union(*changed.values()) == before, "a run has no version of its own"
    assert all(kept for kept in left.values()), "one version is that of every run"


def test_the_papers_of_the_suite_have_a_version_a_method():
    suite = {"graph_contrastive", "hard_negatives", "loss_studies", "novel_class_discovery"}
    suite |= {"sentence_embeddings", "sequential_recommendation"}
    assert suite <= set(PAPERS)
