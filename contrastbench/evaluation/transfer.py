"""Transfer tests of sentence embeddings by SentEval's protocol: logistic regression on frozen features.

Cross-validation is nested: ten folds, and in each the strength of the penalty by ten folds inside. Given splits choose
it on the validation part, or by ten folds of the training part where there is none. Grids and the folds' seed are
SentEval's (senteval/tools/validation.py, the scikit-learn branch).
"""

import numpy as np
import torch
from torch import Tensor

from contrastbench.data.sentence_tests import Labelled
from contrastbench.evaluation.logistic import logistic_scores, rotate_features

FOLDS = 10
FOLD_SEED = 1111
STRENGTHS = 2.0 ** np.arange(-2, 4)  # for cross-validated sets and SST2
STRENGTHS_GIVEN_TRAIN = 2.0 ** np.arange(-1, 6)  # for TREC and MRPC
COLUMNS = 120  # problems solved together; more do not fit the cache


def pair_features(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """SentEval's features of a pair: [|u - v|, u * v]."""
    return np.concatenate([np.abs(first - second), first * second], axis=1)


def transfer_metrics(
    task: Labelled, features: np.ndarray, *, folds: int = FOLDS, device: str = "cpu"
) -> dict[str, float]:
    """Accuracy on the test part (over the test folds where there is none), and F1 for pairs; in percent.

    Args:
        features: [N, F], row i of sentence (or pair) i.
        folds: outside and inside.
    """
    x = rotate_features(torch.from_numpy(features).float().to(device))
    if task.split is None:
        return {"accuracy": _cross_validated_percent(x, task.labels, folds)}
    train, test = task.part("train"), task.part("test")
    validation = task.part("validation")
    if len(validation):
        strength = _strength_by_validation(x, task.labels, train, validation)
    else:
        strength = _strength_by_folds(x[train], task.labels[train], STRENGTHS_GIVEN_TRAIN, folds)
    rows = np.zeros((len(task.labels), 1), dtype=bool)
    rows[train] = True
    guesses = _guesses(x, task.labels, rows, np.array([strength]))[test, 0]
    metrics = {"accuracy": float(100 * (guesses == task.labels[test]).mean())}
    if task.second:
        metrics["f1"] = _f1_percent(guesses == 1, task.labels[test] == 1)
    return metrics


def _cross_validated_percent(x: Tensor, labels: np.ndarray, folds: int) -> float:
    """Mean accuracy over the outer folds, the strength chosen inside each, in percent.

    Raises:
        ValueError: a class with fewer items than folds.
    """
    outer = _folds(labels, folds)
    strengths = []
    for training in outer.T:
        inside = np.flatnonzero(training)
        strengths.append(_strength_by_folds(x[inside], labels[inside], STRENGTHS, folds))
    right = _guesses(x, labels, outer, np.array(strengths)) == labels[:, None]
    return 100 * float(np.mean([right[~training, fold].mean() for fold, training in enumerate(outer.T)]))


def _folds(labels: np.ndarray, folds: int) -> np.ndarray:
    """Boolean [N, folds]: the training items of each fold."""
    from sklearn.model_selection import StratifiedKFold

    smallest = int(np.bincount(labels).min())
    if smallest < folds:
        raise ValueError(f"the smallest class has {smallest} items; {folds} folds need at least {folds}")
    splitter = StratifiedKFold(folds, shuffle=True, random_state=FOLD_SEED)
    rows = np.zeros((len(labels), folds), dtype=bool)
    for fold, (train, _) in enumerate(splitter.split(np.zeros(len(labels)), labels)):
        rows[train, fold] = True
    return rows


def _strength_by_folds(x: Tensor, labels: np.ndarray, strengths: np.ndarray, folds: int) -> float:
    """The strength of the best mean accuracy over folds; of equals, the smallest."""
    training = _folds(labels, folds)
    rows = np.tile(training, (1, len(strengths)))
    guesses = _guesses(x, labels, rows, np.repeat(strengths, folds))
    right = np.where(rows, 0.0, guesses == labels[:, None]).sum(axis=0) / (~rows).sum(axis=0)
    return float(strengths[right.reshape(len(strengths), folds).mean(axis=1).argmax()])


def _strength_by_validation(x: Tensor, labels: np.ndarray, train: np.ndarray, validation: np.ndarray) -> float:
    rows = np.zeros((len(labels), len(STRENGTHS)), dtype=bool)
    rows[train] = True
    guesses = _guesses(x, labels, rows, STRENGTHS)[validation]
    return float(STRENGTHS[(guesses == labels[validation, None]).mean(axis=0).argmax()])


def _guesses(x: Tensor, labels: np.ndarray, rows: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """The class that each of K classifiers gives each item, [N, K]; more than two classes one against the rest."""
    classes = int(labels.max()) + 1
    scores = torch.stack(
        [_scores(x, labels == one, rows, strengths) for one in ([1] if classes == 2 else range(classes))]
    )
    return (scores[0] > 0).long().cpu().numpy() if classes == 2 else scores.argmax(dim=0).cpu().numpy()


def _scores(x: Tensor, targets: np.ndarray, rows: np.ndarray, strengths: np.ndarray) -> Tensor:
    used, share, positive = (torch.from_numpy(array).to(x.device) for array in (rows, strengths, targets))
    parts = zip(used.split(COLUMNS, dim=1), share.split(COLUMNS), strict=True)
    return torch.cat([logistic_scores(x, positive, each, strength) for each, strength in parts], dim=1)


def _f1_percent(guessed: np.ndarray, true: np.ndarray) -> float:
    found = int((guessed & true).sum())
    return 200 * found / max(1, int(guessed.sum() + true.sum()))
