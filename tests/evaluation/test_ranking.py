"""Facts about full ranking: by hand, by brute force over every order of equal scores, and under the three rules."""

import itertools
import math

import numpy as np
import pytest
import torch

from contrastbench.evaluation.ranking import CUTS, RULES, metrics_of_ranks, ranking_metrics


def found(scores, histories, targets, **more):
    table = torch.tensor(scores, dtype=torch.float64)
    histories = [np.array(each, dtype=np.int64) for each in histories]
    return ranking_metrics(lambda users: table[torch.from_numpy(users)], histories, np.array(targets), **more)


def test_the_metrics_of_a_rank_known_by_hand():
    values = metrics_of_ranks(torch.tensor([6]), torch.tensor([0]), 30)  # the seventh place
    assert values["hr5"] == values["ndcg5"] == 0 and values["hr10"] == 100
    assert values["ndcg10"] == pytest.approx(100 / math.log2(8)) == pytest.approx(100 / 3)
    assert values["mrr"] == values["mrr10"] == pytest.approx(100 / 7)


def test_three_rules_by_hand():
    # numbers:   0  1     2    3     4     5 (mask)
    scores = [[9.0, 2.0, -1.0, 1.5, -0.5, 8.0]]
    metrics = found(scores, [[1, 3]], [4])
    # zeroed: 0 and mask win, 1 and 3 become 0 and win over -0.5: the fifth place.
    assert metrics["test_mrr_zeroed_percent"] == pytest.approx(100 / 5)
    assert metrics["test_mrr_unmasked_percent"] == pytest.approx(100 / 3)  # 1 and 3 score higher
    assert metrics["test_mrr_excluded_percent"] == pytest.approx(100)


def test_a_seen_target_is_zeroed_like_the_rest_but_never_excluded():
    metrics = found([[0.0, 3.0, 2.0, 1.0, 0.0]], [[2, 3]], [2])
    assert metrics["test_mrr_excluded_percent"] == pytest.approx(50)
    # zeroed: item 1 wins, then numbers 0, 2 (the target), 3 and 4 are equal at 0: places 2 to 5.
    assert metrics["test_mrr_zeroed_percent"] == pytest.approx(100 * (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4)


def brute_force(scores, history, target, rule):
    """Means over every order of the numbers, sorted stably by score: every order of equal scores is as likely."""
    size = len(scores)
    if rule == "zeroed":
        scores = [0.0 if number in history else score for number, score in enumerate(scores)]
        numbers = range(size)
    else:
        seen = set(history) - {target} if rule == "excluded" else set()
        numbers = [number for number in range(1, size - 1) if number not in seen]
    ranks = [
        sorted(order, key=lambda number: -scores[number]).index(target) for order in itertools.permutations(numbers)
    ]
    mean = {f"hr{cut}": np.mean([rank < cut for rank in ranks]) for cut in CUTS}
    mean |= {f"ndcg{cut}": np.mean([(rank < cut) / math.log2(rank + 2) for rank in ranks]) for cut in CUTS}
    return mean | {"mrr": np.mean([1 / (rank + 1) for rank in ranks])}


@pytest.mark.parametrize("seed", range(4))
def test_ranking_equals_brute_force_over_every_order_of_equal_scores(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-1, 2, (3, 8)).astype(float)
    histories = [rng.integers(1, 7, rng.integers(1, 4)).tolist() for _ in scores]
    targets = rng.integers(1, 7, 3).tolist()
    metrics = found(scores.tolist(), histories, targets, batch=2)
    for rule in RULES:
        expected = [brute_force(*each, rule) for each in zip(scores.tolist(), histories, targets, strict=True)]
        for name in expected[0]:
            mean = 100 * np.mean([each[name] for each in expected])
            assert metrics[f"test_{name}_{rule}_percent"] == pytest.approx(mean), (name, rule)


def test_batches_and_the_order_of_users_change_nothing():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((50, 40)).tolist()
    histories = [rng.integers(1, 39, rng.integers(1, 9)).tolist() for _ in scores]
    targets = rng.integers(1, 39, 50).tolist()
    whole = found(scores, histories, targets, batch=1000)
    assert whole == pytest.approx(found(scores, histories, targets, batch=7))
    assert whole == pytest.approx(found(scores[::-1], histories[::-1], targets[::-1], batch=16))


def test_only_the_rules_asked_for_are_given_and_wrong_things_get_one_line():
    assert all("_zeroed_" in name for name in found([[0.0, 1.0, 2.0, 0.0]], [[1]], [2], rules=("zeroed",)))
    with pytest.raises(ValueError, match="unknown rule 'hidden'; there are: zeroed, unmasked, excluded"):
        found([[0.0, 1.0, 2.0, 0.0]], [[1]], [2], rules=("hidden",))
    with pytest.raises(ValueError, match="a score is NaN"):
        found([[0.0, float("nan"), 2.0, 0.0]], [[1]], [2])


def test_the_ranks_of_each_user_come_in_the_users_order():
    scores = [[0.0, 3.0, 2.0, 1.0, 0.0], [0.0, 3.0, 2.0, 2.0, 0.0]]
    ranks: dict[str, torch.Tensor] = {}
    found(
        scores, [[1, 2], [1]], [3, 2], ranks=ranks, rules=("unmasked",), batch=1
    )  # the second has the shorter history
    assert ranks["unmasked"].tolist() == [[2, 1], [0, 1]]
