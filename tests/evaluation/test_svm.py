"""The shared-kernel cross-validation equals scikit-learn's, fold by fold and C by C."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from contrastbench.evaluation.svm import CS, cross_validate, precomputed_kernel, rbf_kernels, stratified_folds


def clouds(classes: int, items: int = 90, columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clouds with large norms and duplicates, as sum-pooled features have."""
    rng = np.random.default_rng(classes)
    labels = np.arange(items) % classes
    x = 300 + 40 * rng.normal(size=(items, columns)) + 25 * labels[:, None]
    x[: items // 5] = x[items // 5 : 2 * (items // 5)]
    return x.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_equals_grid_search_over_svc_in_every_fold(classes):
    x, labels = clouds(classes)
    folds = stratified_folds(labels, 5, random_state=0)
    found = cross_validate(rbf_kernels(x), labels, folds)
    accuracies, chosen, inner = [], [], []
    for training, test in folds:
        search = GridSearchCV(SVC(), {"C": list(CS)}, cv=5).fit(x[training], labels[training])
        accuracies.append(100 * search.score(x[test], labels[test]))
        chosen.append(search.best_params_["C"])
        inner.append(100 * search.best_score_)
    assert found.cs == tuple(chosen)
    assert found.test_accuracy == pytest.approx(np.mean(accuracies), abs=1e-9)
    assert found.test_fold_sd == pytest.approx(np.std(accuracies, ddof=1), abs=1e-9)
    assert found.inner_accuracy == pytest.approx(np.mean(inner), abs=1e-9)


def test_equals_grid_search_on_embeddings_of_mutag(tmp_path):
    from baselines.graph_kernels import feature_sum
    from contrastbench.data.graphs import load_graphs

    mutag = load_graphs("MUTAG", tmp_path)
    x, labels = feature_sum(mutag), mutag.labels.numpy()
    folds = stratified_folds(labels, 10, random_state=1)[:3]
    found = cross_validate(rbf_kernels(x), labels, folds)
    searches = [GridSearchCV(SVC(), {"C": list(CS)}, cv=5).fit(x[a], labels[a]) for a, _ in folds]
    assert found.cs == tuple(search.best_params_["C"] for search in searches)
    scores = [search.score(x[test], labels[test]) for search, (_, test) in zip(searches, folds, strict=True)]
    assert found.test_accuracy == pytest.approx(100 * np.mean(scores), abs=1e-9)


def test_a_precomputed_kernel_equals_svc_on_it():
    x, labels = clouds(2)
    x = (x - x.mean(0)) / x.std(0)
    kernel = x.astype(np.float64) @ x.T
    folds = stratified_folds(labels, 3, random_state=0)
    found = cross_validate(precomputed_kernel(kernel), labels, folds)
    for (training, _), c in zip(folds, found.cs, strict=True):
        search = GridSearchCV(SVC(kernel="precomputed"), {"C": list(CS)}, cv=5)
        search.fit(kernel[np.ix_(training, training)], labels[training])
        assert search.best_params_["C"] == c


def test_same_seed_same_folds_and_every_item_is_tested_once():
    labels = np.arange(60) % 3
    folds = stratified_folds(labels, 10, random_state=5)
    again = stratified_folds(labels, 10, random_state=5)
    assert all(
        np.array_equal(a, b) for one, two in zip(folds, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(60))


def test_equal_items_have_no_variance_and_still_get_an_answer():
    labels = np.arange(20) % 2
    found = cross_validate(rbf_kernels(np.ones((20, 3))), labels, stratified_folds(labels, 2, 0), inner_folds=2)
    assert found.test_accuracy == 50.0


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="all items are of one class; a classifier needs at least 2"):
        stratified_folds(np.zeros(20), 10)


def test_a_set_smaller_than_the_folds_is_refused():
    with pytest.raises(ValueError, match="the smallest class has 4 items; 10 folds need at least 10"):
        stratified_folds(np.arange(8) % 2, 10)


@pytest.mark.parametrize("kernels", [rbf_kernels, precomputed_kernel])
def test_a_number_that_is_not_finite_is_refused(kernels):
    x = np.eye(20)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="needs finite numbers, got NaN or infinity"):
        kernels(x)
