"""The clean protocol: in each fold an encoder that never sees the test graphs, and nothing is chosen on them.

Against the published protocol three things change: the encoder is trained on the training folds only; features are
standardised by the training graphs; and where an epoch is chosen, it is by cross-validation inside the training folds.
The accuracy on unscaled features is given too, so that the leak can be told from the scaling.
"""

from __future__ import annotations

import numpy as np

from benchmarks.graph_contrastive.config import Config
from benchmarks.graph_contrastive.model import infomax, train_epoch
from benchmarks.graph_contrastive.splits import evaluated_epochs, folds_of, shuffle
from contrastbench.data.graph_batches import batches
from contrastbench.data.graphs import GraphSet
from contrastbench.evaluation.svm import Fold, cross_validate, rbf_kernels
from contrastbench.runner import Checkpoint, Log

Found = list[list[float]]  # a line per evaluated epoch: epochs done, then accuracies: test, inner, unscaled test


def train_clean(
    config: Config, graphs: GraphSet, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> dict[str, float | list[float]]:
    """Trains and evaluates an encoder per fold; goes on from the last whole fold. The log counts folds."""
    log.selected_by("last epoch; C by cross-validation inside the training folds")
    found: dict[str, Found] = {}
    start = checkpoint.restore(found=found)
    folds = folds_of(config, graphs, seed)
    log.total(len(folds), "folds")
    for number in range(start, len(folds)):
        found[str(number)] = evaluate_fold(config, graphs, folds[number], seed=seed, device=device)
        log(number, test_svm_accuracy_percent=found[str(number)][-1][1])
        checkpoint.save(number + 1, found=found)
    return metrics_of(np.array([found[str(number)] for number in range(len(folds))]))


def evaluate_fold(config: Config, graphs: GraphSet, fold: Fold, *, seed: int, device: str) -> Found:
    """One fold's encoder, from the same initial weights as every other fold's and as the published protocol's."""
    order = shuffle(graphs, seed)
    labels = graphs.labels.numpy()[order]
    everything = [batch.to(device) for batch in batches(graphs, order, config.batch, depth=config.layers)]
    seen = batches(graphs, order[fold[0]], config.batch, depth=config.layers)
    learner = infomax(config, graphs, seen, seed, device)
    model, step = learner.model, learner.step(config, device)
    found: Found = []
    for epoch in range(config.epochs + 1):
        if epoch in evaluated_epochs(config):
            x = model.encoder.embed(everything).cpu().numpy().astype(np.float64)
            scaled, plain = (
                cross_validate(rbf_kernels(features), labels, [fold], inner_folds=config.inner_folds)
                for features in (standardise(x, fold[0]), x)
            )
            found.append([float(epoch), scaled.test_accuracy, scaled.inner_accuracy, plain.test_accuracy])
        if epoch < config.epochs:
            train_epoch(learner, step, epoch)
    return found


def standardise(x: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 over the training items; a constant column becomes 0 there."""
    sd = x[training].std(axis=0)
    return (x - x[training].mean(axis=0)) / np.where(sd > 0, sd, 1.0)


def metrics_of(found: np.ndarray) -> dict[str, float | list[float]]:
    """From [folds, evaluated epochs, 4]: means over the folds, in percent."""
    epochs, test, inner, unscaled = np.moveaxis(found, 2, 0)
    chosen = inner.argmax(axis=1)  # in each fold on its own; of equals, the earliest
    return {
        "test_svm_accuracy_percent": float(test[:, -1].mean()),
        "test_svm_accuracy_sd_over_folds_percent": float(test[:, -1].std(ddof=1)),
        "inner_svm_accuracy_percent": float(inner[:, -1].mean()),
        "test_svm_accuracy_unscaled_percent": float(unscaled[:, -1].mean()),
        "test_svm_accuracy_inner_selected_epoch_percent": float(test[np.arange(len(test)), chosen].mean()),
        "test_svm_accuracy_best_epoch_on_test_folds_percent": float(test.mean(axis=0).max()),
        **{
            f"test_svm_accuracy_epoch_{int(epoch)}_percent": float(value)
            for epoch, value in zip(epochs[0], test.mean(axis=0), strict=True)
        },
        "evaluated_epochs": epochs[0].tolist(),
        "test_svm_accuracy_by_epoch_percent": test.mean(axis=0).tolist(),
    }
