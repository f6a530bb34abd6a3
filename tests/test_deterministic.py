"""Cells that their papers declare to have nothing random: what they are, and that no seed changes them."""

import pytest

from contrastbench import papers
from contrastbench.runner import Checkpoint, Log
from contrastbench.runner.vocabulary import SCALES, Cell, with_seed
from contrastbench.selection import select, with_settings

pytestmark = pytest.mark.usefixtures("one_thread")


def declared(name: str, scale: str) -> list[Cell]:
    paper = papers.paper(name)
    return [cell for table in paper.tables for cell in paper.cells(table, scale) if cell.deterministic]


def test_counts_bags_of_words_pixels_and_pretrained_encoders_have_nothing_random():
    methods = {name: {cell.method for scale in SCALES for cell in declared(name, scale)} for name in papers.names()}
    assert {name: found for name, found in methods.items() if found} == {
        "graph_recommendation": {"EASE", "ItemKNN", "popularity"},
        "hard_negatives": {"raw pixels (kNN)"},
        "sentence_embeddings": {
            *("TF-IDF", "MiniLM (trained elsewhere)"),
            *("BERT-base, cls_before_pooler", "BERT-base, avg_first_last"),
            *("cls_before_pooler, start", "avg, start", "avg_first_last, start"),
        },
        "sequential_recommendation": {
            *("PopRec", "PopRec, all actions", "PopRec, training and validation", "Transitions"),
            *("CoSeRec, the authors' weights", "ICLRec, the authors' weights"),
        },
    }


@pytest.mark.parametrize("name", ["hard_negatives", "sentence_embeddings", "sequential_recommendation"])
def test_no_seed_changes_what_has_nothing_random(name):
    runs = {run.key: run for cell in declared(name, "smoke") for run in cell.runs}
    assert len(runs) == len({cell.method for cell in declared(name, "smoke")}) > 0, "each is one run"
    for run in runs.values():
        first, other = (
            papers.paper(name).function_of(run.stage)(
                each.config, seed=each.seed, device="cpu", checkpoint=Checkpoint(), log=Log()
            )
            for each in (run, with_seed(run, 7))
        )
        assert first == other, run.method


def test_a_setting_takes_the_declaration_away_and_a_data_set_does_not():
    """kNN on the pixels with a part held out draws that part by the seed."""
    ((_, cell),) = select("hard_negatives/main/raw pixels (kNN)", "quick").cells()
    changed = {
        key: with_settings([("main", cell)], {key: value})[0][1].deterministic
        for key, value in {"validation": "0.2", "dataset": "cifar10"}.items()
    }
    assert changed == {"validation": False, "dataset": True}
