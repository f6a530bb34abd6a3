"""Facts about transfer and similarity tests: equal to scikit-learn and SciPy, and blind to what must not matter."""

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from contrastbench.data.sentence_tests import Labelled, load_tasks
from contrastbench.encoders.text import two_encoders
from contrastbench.evaluation import transfer
from contrastbench.evaluation.logistic import logistic_scores, rotate_features
from contrastbench.evaluation.sentences import cosine_of_pairs, sentence_metrics, spearman_x100, sts_x100, text_features
from contrastbench.randomness import generator


def problem(items: int, features: int, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((items, features)).astype(np.float32)
    scores = x @ rng.standard_normal((features, classes)) + 2 * rng.standard_normal((items, classes))
    return x + 3, scores.argmax(axis=1)


@pytest.mark.parametrize("features", [5, 80])
def test_many_fits_at_once_are_scikit_learn_s_one_by_one(features):
    x, y = problem(60, features)
    rng = np.random.default_rng(1)
    rows = rng.random((60, 6)) < 0.8
    strengths = np.array([0.25, 8.0, 1.0, 0.25, 8.0, 32.0])
    scores = logistic_scores(
        rotate_features(torch.from_numpy(x).double()),
        torch.from_numpy(y == 1),
        torch.from_numpy(rows),
        torch.from_numpy(strengths),
    )
    for column, strength in enumerate(strengths):
        used = rows[:, column]
        fitted = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(x[used].astype(float), y[used])
        expected = fitted.decision_function(x.astype(float))
        assert np.abs(scores[:, column].numpy() - expected).max() < 0.04 * np.abs(expected).max()


def test_nested_cross_validation_is_scikit_learn_s_grid_search():
    x, y = problem(200, 8)
    accuracies = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=1111).split(x, y):
        folds = StratifiedKFold(5, shuffle=True, random_state=1111)
        search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": list(transfer.STRENGTHS)}, cv=folds)
        accuracies.append(search.fit(x[train], y[train]).score(x[test], y[test]))
    found = transfer.transfer_metrics(Labelled("CR", ("",) * 200, (), y), x, folds=5)
    assert found["accuracy"] == pytest.approx(100 * np.mean(accuracies), abs=0.5)


def test_given_splits_choose_on_the_validation_part_and_count_the_test_part():
    x, y = problem(300, 8)
    split = np.array(["train"] * 150 + ["validation"] * 50 + ["test"] * 100)
    found = transfer.transfer_metrics(Labelled("SST2", ("",) * 300, (), y, split), x)
    best = max(
        transfer.STRENGTHS,
        key=lambda c: (LogisticRegression(C=c, max_iter=1000).fit(x[:150], y[:150]).score(x[150:200], y[150:200]), -c),
    )
    expected = LogisticRegression(C=best, max_iter=1000).fit(x[:150], y[:150]).score(x[200:], y[200:])
    assert found == {"accuracy": pytest.approx(100 * expected, abs=1.01)}


def test_several_classes_go_one_against_the_rest():
    x, y = problem(400, 10, classes=4)
    split = np.array(["train"] * 300 + ["test"] * 100)
    found = transfer.transfer_metrics(Labelled("TREC", ("",) * 400, (), y, split), x)
    assert found["accuracy"] > 45  # chance is 25


def test_pairs_have_an_f1_and_equal_pairs_are_found():
    rng = np.random.default_rng(0)
    first, other = rng.standard_normal((2, 400, 6)).astype(np.float32)
    y = np.arange(400) % 2
    second = np.where(y[:, None] == 1, first, other)
    split = np.array(["train"] * 300 + ["test"] * 100)
    task = Labelled("MRPC", ("",) * 400, ("",) * 400, y, split)
    found = transfer.transfer_metrics(task, transfer.pair_features(first, second))
    assert found["accuracy"] > 95 and found["f1"] > 95


def test_features_that_are_not_finite_are_refused():
    x, y = problem(60, 4)
    x[3, 2] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        transfer.transfer_metrics(Labelled("CR", ("",) * 60, (), y), x)
    with pytest.raises(ValueError, match="the smallest class has 5 items; 10 folds need at least 10"):
        transfer.transfer_metrics(Labelled("CR", ("",) * 60, (), (np.arange(60) < 5).astype(int)), np.ones((60, 2)))


def test_spearman_is_scipy_s_with_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 50).astype(float), rng.integers(0, 5, 50).astype(float)
    assert spearman_x100(a, b) == pytest.approx(100 * scipy.stats.spearmanr(a, b).statistic)
    assert spearman_x100(np.ones(50), b) == 0


def test_all_and_wmean_are_two_numbers():
    part = np.array(["x"] * 3 + ["y"] * 6)
    similarities = np.array([1, 2, 3, 11, 12, 13, 14, 15, 16.0])
    scores = np.array([5, 6, 7, 1, 2, 3, 4, 5, 6.0])
    found = sts_x100(similarities, scores, part)
    assert found["wmean"] == pytest.approx(100) and found["all"] < 60


def test_cosines_ignore_length():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 7, 4))
    assert cosine_of_pairs(3 * a, b) == pytest.approx(cosine_of_pairs(a, 0.1 * b))


def test_features_do_not_depend_on_what_a_sentence_is_batched_with():
    encoder = two_encoders("gru", 40, 8, 8, rng=generator(0, "weights"))
    rng = np.random.default_rng(0)
    rows = [rng.integers(2, 40, length) for length in rng.integers(1, 25, 50)]
    together = text_features(encoder, rows)
    assert encoder.training
    for row, features in zip(rows, together, strict=True):
        assert np.abs(text_features(encoder, [row])[0] - features).max() < 1e-6


def test_lee_is_seen_as_means_of_sentences_and_polarity_as_sentences():
    asked: list[int] = []

    def embed(texts):
        asked.append(len(texts))
        return np.random.default_rng(0).standard_normal((len(texts), 4)).astype(np.float32)

    seen: dict[str, str] = {}
    metrics = sentence_metrics(embed, load_tasks(("Lee", "polarity")), seen.__setitem__)
    assert asked[0] > 100 and asked[1] == 200 and seen.keys() == {"Lee", "polarity"}
    assert metrics.keys() == {"test_lee_pearson_x100", "test_lee_spearman_x100", "test_polarity_accuracy_percent"}
