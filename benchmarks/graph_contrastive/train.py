"""One run: an encoder trained on all graphs without labels (or a baseline), and support vector machines on top."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from baselines import graph_kernels as baselines
from benchmarks.graph_contrastive.clean import standardise, train_clean
from benchmarks.graph_contrastive.config import Config
from benchmarks.graph_contrastive.model import TWO_VIEWS, graphcl_learner, infomax, train_epoch
from benchmarks.graph_contrastive.splits import FOLD_DRAWS, evaluated_epochs, folds_of, shuffle
from benchmarks.graph_contrastive.supervised import train_supervised
from contrastbench.data.graph_batches import batches
from contrastbench.data.graphs import GraphSet, load_graphs
from contrastbench.evaluation.svm import cross_validate, precomputed_kernel, rbf_kernels
from contrastbench.randomness import random_state
from contrastbench.runner import Checkpoint, Log

Metrics = dict[str, float | list[float]]


def train(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> Metrics:
    """Does a run of any method.

    Returns:
        test_svm_accuracy_percent: 10-fold accuracy after the last epoch; the other names say what they are.
    """
    graphs = read_graphs(config, log)
    if config.method in BASELINES:
        return evaluate_baseline(config, graphs, seed)
    if config.method == "supervised":
        return train_supervised(config, graphs, seed=seed, device=device, checkpoint=checkpoint, log=log)
    way = train_clean if config.protocol == "clean" else train_published
    return way(config, graphs, seed=seed, device=device, checkpoint=checkpoint, log=log)


def read_graphs(config: Config, log: Log) -> GraphSet:
    graphs = load_graphs(config.dataset, features=config.features)
    log.data(config.dataset, graphs.sha256)
    log.selected_by("last epoch; C by cross-validation inside the training folds")
    return graphs


def train_published(
    config: Config, graphs: GraphSet, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> Metrics:
    """The papers' protocol: one encoder sees all graphs; its embeddings are cross-validated as they are."""
    folds, labels = folds_of(config, graphs, seed), graphs.labels.numpy()[shuffle(graphs, seed)]
    found: dict[str, list[float]] = {}  # epochs done -> test accuracy, sd over folds, inner accuracy; all in percent
    parts, when = {"found": found}, evaluated_epochs(config)
    for epoch, embeddings in embeddings_along(config, graphs, when, parts, seed, device, checkpoint, log):
        result = cross_validate(rbf_kernels(embeddings), labels, folds, inner_folds=config.inner_folds)
        found[str(epoch)] = [result.test_accuracy, result.test_fold_sd, result.inner_accuracy]
        log(epoch, test_svm_accuracy_percent=result.test_accuracy)
    return metrics_of(found)


def embeddings_along(
    config: Config,
    graphs: GraphSet,
    when: Sequence[int],
    parts: dict[str, Any],
    seed: int,
    device: str,
    checkpoint: Checkpoint,
    log: Log,
) -> Iterator[tuple[int, np.ndarray]]:
    """Trains one encoder on all graphs; yields its embeddings after so many epochs, in the seed's order.

    Args:
        when: epochs done.
        parts: what else is saved and restored.
    """
    fixed_batches = batches(graphs, shuffle(graphs, seed), config.batch, depth=config.layers)
    make = graphcl_learner if config.method in TWO_VIEWS else infomax
    learner = make(config, graphs, fixed_batches, seed, device)
    step = learner.step(config, device)
    parts = {**parts, "model": learner.model, "optimizer": step.optimizer}
    for epoch in range(checkpoint.restore(**parts), config.epochs + 1):
        if epoch in when:
            yield epoch, learner.model.encoder.embed([batch.to(device) for batch in fixed_batches]).cpu().numpy()
        if epoch < config.epochs:
            log(epoch, loss=train_epoch(learner, step, epoch))
            checkpoint.save(epoch + 1, **parts)


def fold_draws(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> Metrics:
    """The published protocol, its last embeddings cross-validated under several draws of the folds.

    One draw mixes the luck of the training with the luck of the folds; several tell the two apart.

    Returns:
        test_svm_accuracy_percent: under the seed's own folds, as ``train`` has it; the other names say what they are.
    """
    graphs, embeddings, labels = last_embeddings(config, seed=seed, device=device, checkpoint=checkpoint, log=log)
    kernel_of = rbf_kernels(embeddings)
    accuracies = [
        cross_validate(kernel_of, labels, folds_of(config, graphs, seed, draw), inner_folds=config.inner_folds)
        for draw in range(FOLD_DRAWS)
    ]
    tests = np.array([result.test_accuracy for result in accuracies])
    return {
        "test_svm_accuracy_percent": tests[0].item(),
        "test_svm_accuracy_mean_over_fold_draws_percent": tests.mean().item(),
        "test_svm_accuracy_sd_over_fold_draws_percent": tests.std(ddof=1).item(),
        "test_svm_accuracy_by_fold_draw_percent": tests.tolist(),
    }


def scaling(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> Metrics:
    """The published protocol, its last embeddings cross-validated as they are and standardised by the training graphs.

    Returns:
        test_svm_accuracy_unscaled_percent: as ``train`` has it, under the same folds.
        test_svm_accuracy_standardised_percent: nothing but the scale of the features differs.
    """
    graphs, embeddings, labels = last_embeddings(config, seed=seed, device=device, checkpoint=checkpoint, log=log)
    folds = folds_of(config, graphs, seed)
    plain = cross_validate(rbf_kernels(embeddings), labels, folds, inner_folds=config.inner_folds)
    x = embeddings.astype(np.float64)
    scaled = [
        cross_validate(rbf_kernels(standardise(x, fold[0])), labels, [fold], inner_folds=config.inner_folds)
        for fold in folds
    ]
    return {
        "test_svm_accuracy_unscaled_percent": plain.test_accuracy,
        "test_svm_accuracy_standardised_percent": float(np.mean([result.test_accuracy for result in scaled])),
    }


def last_embeddings(
    config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> tuple[GraphSet, np.ndarray, np.ndarray]:
    """Trains as ``train_published`` does and evaluates nothing. Embeddings and labels are in the seed's order."""
    graphs = read_graphs(config, log)
    ((_, embeddings),) = embeddings_along(config, graphs, [config.epochs], {}, seed, device, checkpoint, log)
    return graphs, embeddings, graphs.labels.numpy()[shuffle(graphs, seed)]


def metrics_of(found: dict[str, list[float]]) -> Metrics:
    """The row's metrics from what was found after each evaluated epoch; the last one counts."""
    epochs = sorted(map(int, found))
    accuracies = [found[str(epoch)][0] for epoch in epochs]
    test, fold_sd, inner = found[str(epochs[-1])]
    return {
        "test_svm_accuracy_percent": test,
        "test_svm_accuracy_sd_over_folds_percent": fold_sd,
        "inner_svm_accuracy_percent": inner,
        "test_svm_accuracy_best_epoch_on_test_folds_percent": max(accuracies),  # leaks: for comparison only
        **{f"test_svm_accuracy_epoch_{epoch}_percent": found[str(epoch)][0] for epoch in epochs},
        "evaluated_epochs": [float(epoch) for epoch in epochs],
        "test_svm_accuracy_by_epoch_percent": accuracies,
    }


# ------------------------------------------------------------------------------------------------------- baselines

BASELINES: dict[str, Callable[[Config, GraphSet, int], np.ndarray]] = {
    "feature_sum": lambda config, graphs, seed: baselines.feature_sum(graphs),
    "wl": lambda config, graphs, seed: baselines.weisfeiler_leman_kernel(graphs, config.steps),
    "shortest_path": lambda config, graphs, seed: baselines.shortest_path_kernel(graphs),
    "graphlet": lambda config, graphs, seed: baselines.graphlet_kernel(
        graphs, config.steps, random_state(seed, "evaluation")
    ),
}


def evaluate_baseline(config: Config, graphs: GraphSet, seed: int) -> Metrics:
    """A baseline that is not trained, under the same folds as the encoders."""
    order = shuffle(graphs, seed)
    values = BASELINES[config.method](config, graphs, seed)
    if config.method == "feature_sum":
        kernel_of = rbf_kernels(values[order])
    else:
        kernel_of = precomputed_kernel(values[np.ix_(order, order)])
    labels = graphs.labels.numpy()[order]
    result = cross_validate(kernel_of, labels, folds_of(config, graphs, seed), inner_folds=config.inner_folds)
    return {
        "test_svm_accuracy_percent": result.test_accuracy,
        "test_svm_accuracy_sd_over_folds_percent": result.test_fold_sd,
        "inner_svm_accuracy_percent": result.inner_accuracy,
    }
