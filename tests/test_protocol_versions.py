"""A paper's protocol versions: every run has one, and raising one changes the keys of what it names alone."""

import pytest

from contrastbench import papers

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
