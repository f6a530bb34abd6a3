"""Recall and NDCG of full ranking against loops written from the formulas."""

import math

import numpy as np
import pytest
import torch

from contrastbench.evaluation.recommendation import recommendation_metrics

USERS, ITEMS = 6, 15


def drawn(seed: int, levels: int) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Scores with ``levels`` different values, and three disjoint parts in which not every user is tested."""
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.integers(levels, size=(USERS, ITEMS)).astype(np.float32))
    parts: dict[str, list[tuple[int, int]]] = {"train": [], "validation": [], "test": []}
    for user in range(USERS):
        items = rng.permutation(ITEMS)
        cut = rng.integers(1, 5, size=2).cumsum()
        ends = (cut[0], cut[1], cut[1] + (0 if user == 2 else rng.integers(1, 6)))
        for name, start, end in zip(parts, (0, *ends[:2]), ends, strict=True):
            parts[name] += [(user, int(item)) for item in sorted(items[start:end])]
    return scores, {name: np.array(pairs) for name, pairs in parts.items()}


def by_loops(scores: torch.Tensor, masked: np.ndarray, test: np.ndarray, cut: int, orders: int) -> tuple[float, float]:
    """Recall and NDCG, the mean over many random orders of equal scores."""
    rng, recalls, ndcgs = np.random.default_rng(1), [], []
    for user in sorted(set(test[:, 0])):
        wanted = set(test[test[:, 0] == user][:, 1])
        allowed = [item for item in range(ITEMS) if item not in set(masked[masked[:, 0] == user][:, 1])]
        for _ in range(orders):
            order = sorted(allowed, key=lambda item: (-float(scores[user, item]), rng.random()))[:cut]
            hits = [rank for rank, item in enumerate(order) if item in wanted]
            recalls.append(len(hits) / len(wanted))
            ideal = sum(1 / math.log2(rank + 2) for rank in range(min(cut, len(wanted))))
            ndcgs.append(sum(1 / math.log2(rank + 2) for rank in hits) / ideal)
    return 100 * float(np.mean(recalls)), 100 * float(np.mean(ndcgs))


@pytest.mark.parametrize(("levels", "orders", "tolerance"), [(10**6, 1, 1e-9), (4, 1000, 1.2), (1, 1000, 1.2)])
def test_metrics_are_those_of_the_formula_and_equal_scores_count_by_chance(levels, orders, tolerance):
    scores, parts = drawn(0, levels)
    known = np.array(sorted([*map(tuple, parts["train"]), *map(tuple, parts["validation"])]))
    masks = {"train": parts["train"], "known": known}
    found = recommendation_metrics(lambda users: scores[users].clone(), parts["test"], masks, cuts=(2, 5), batch=4)
    for name, masked in masks.items():
        for cut in (2, 5):
            recall, ndcg = by_loops(scores, masked, parts["test"], cut, orders)
            assert found[f"test_recall{cut}_{name}_percent"] == pytest.approx(recall, abs=tolerance)
            assert found[f"test_ndcg{cut}_{name}_percent"] == pytest.approx(ndcg, abs=tolerance)


def test_a_cut_beyond_all_items_finds_everything():
    scores, parts = drawn(3, 10**6)
    found = recommendation_metrics(
        lambda users: scores[users].clone(), parts["test"], {"train": parts["train"]}, cuts=(99,)
    )
    assert found["test_recall99_train_percent"] == pytest.approx(100)


def test_nothing_held_out_and_nan_are_one_line():
    scores, parts = drawn(0, 10)
    with pytest.raises(ValueError, match="the validation part has no pairs"):
        recommendation_metrics(lambda users: scores[users], np.empty((0, 2)), {}, split="validation")
    with pytest.raises(ValueError, match="a score is NaN"):
        recommendation_metrics(lambda users: scores[users] * torch.nan, parts["test"], {"train": parts["train"]})
