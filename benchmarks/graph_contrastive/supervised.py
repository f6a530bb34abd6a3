"""Supervised GIN under the same folds: what labels are worth."""

from __future__ import annotations

import numpy as np

from baselines.supervised_gin import accuracies_along_training
from benchmarks.graph_contrastive.config import Config
from benchmarks.graph_contrastive.splits import folds_of, shuffle
from contrastbench.data.graphs import GraphSet
from contrastbench.evaluation.svm import stratified_folds
from contrastbench.randomness import random_state
from contrastbench.runner import Checkpoint, Log


def train_supervised(
    config: Config, graphs: GraphSet, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> dict[str, float | list[float]]:
    """A network per fold; as many graphs as a fold holds are kept from its training to choose the epoch.

    Goes on from the last whole fold. The log counts folds.

    Returns:
        test_classifier_accuracy_percent: at the epoch that is best on each fold's held-out graphs.
        test_classifier_accuracy_best_epoch_on_test_folds_percent: as GIN's paper reports it: at the one epoch that is
            best on the test folds' mean; leaks.
    """
    log.selected_by("epoch by accuracy on training graphs held out in each fold")
    order, folds = shuffle(graphs, seed), folds_of(config, graphs, seed)
    log.total(len(folds), "folds")
    curves: dict[str, list[list[float]]] = {}  # fold -> per epoch: validation and test accuracy in percent
    for number in range(checkpoint.restore(curves=curves), len(folds)):
        training, test = folds[number]
        held_out = random_state(seed, f"held out of fold {number}")
        learnt, validation = stratified_folds(
            graphs.labels.numpy()[order[training]], max(config.folds - 1, 2), held_out
        )[0]
        curve = accuracies_along_training(
            graphs,
            order[training[learnt]],
            [order[training[validation]], order[test]],
            seed=seed,
            name=f"fold {number}",
            hidden=config.hidden,
            layers=config.layers,
            dropout=config.dropout,
            batch=config.batch,
            epochs=config.epochs,
            lr=config.lr,
            device=device,
        )
        curves[str(number)] = curve.tolist()
        log(number, test_classifier_accuracy_percent=float(curve[curve[:, 0].argmax(), 1]))
        checkpoint.save(number + 1, curves=curves)
    validation_curves, test_curves = np.moveaxis(np.array([curves[str(n)] for n in range(len(folds))]), 2, 0)
    chosen = test_curves[np.arange(len(folds)), validation_curves.argmax(axis=1)]
    return {
        "test_classifier_accuracy_percent": float(chosen.mean()),
        "test_classifier_accuracy_sd_over_folds_percent": float(chosen.std(ddof=1)),
        "test_classifier_accuracy_last_epoch_percent": float(test_curves[:, -1].mean()),
        "test_classifier_accuracy_best_epoch_on_test_folds_percent": float(test_curves.mean(axis=0).max()),
    }
