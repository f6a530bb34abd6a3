"""One run: an encoder trained on all graphs without labels (or a baseline), and support vector machines on top."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from baselines import graph_kernels as baselines
from baselines.supervised_gin import accuracies_along_training
from benchmarks.graph_contrastive.config import Config
from benchmarks.graph_contrastive.model import TWO_VIEWS, graphcl_learner, infomax, train_epoch
from contrastbench.data.graph_batches import batches
from contrastbench.data.graphs import GraphSet, load_graphs
from contrastbench.evaluation.svm import Fold, cross_validate, precomputed_kernel, rbf_kernels, stratified_folds
from contrastbench.randomness import generator, random_state
from contrastbench.runner import Checkpoint, Log

Metrics = dict[str, float | list[float]]
Found = list[list[float]]  # a line per evaluated epoch: epochs done, then accuracies: test, inner, unscaled test
FOLD_DRAWS = 10  # per embedding, in the stage that measures what the draw of the folds is worth


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


def shuffle(graphs: GraphSet, seed: int) -> np.ndarray:
    """The one order in which a run reads its graphs."""
    return torch.randperm(len(graphs), generator=generator(seed, "order")).numpy()


def folds_of(config: Config, graphs: GraphSet, seed: int, draw: int = 0) -> list[Fold]:
    """Outer folds of the shuffled graphs: the same for all methods of a seed.

    Args:
        draw: 0 for the folds of every run of the seed; further ones only measure what the draw is worth.
    """
    labels = graphs.labels.numpy()[shuffle(graphs, seed)]
    return stratified_folds(labels, config.folds, random_state(seed, "split", draw or None))


def evaluated_epochs(config: Config) -> list[int]:
    return sorted({epoch for epoch in config.evaluate_at if epoch <= config.epochs} | {config.epochs})


# ----------------------------------------------------------------------------------------------- the published protocol


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


# --------------------------------------------------------------------------------------------------- the clean protocol


def train_clean(
    config: Config, graphs: GraphSet, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> Metrics:
    """Trains and evaluates an encoder per fold, which never sees the test graphs; nothing is chosen on them.

    Against the published protocol three things change: the encoder is trained on the training folds only; features are
    standardised by the training graphs; and where an epoch is chosen, it is by cross-validation inside the training
    folds. The accuracy on unscaled features is given too, so that the leak can be told from the scaling. A run goes on
    from the last whole fold; the log counts folds.
    """
    found: dict[str, Found] = {}
    start = checkpoint.restore(found=found)
    folds = folds_of(config, graphs, seed)
    log.total(len(folds), "folds")
    for number in range(start, len(folds)):
        found[str(number)] = evaluate_fold(config, graphs, folds[number], seed=seed, device=device)
        log(number, test_svm_accuracy_percent=found[str(number)][-1][1])
        checkpoint.save(number + 1, found=found)
    return clean_metrics(np.array([found[str(number)] for number in range(len(folds))]))


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


def clean_metrics(found: np.ndarray) -> Metrics:
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


# ---------------------------------------------------------------------------------------------------------- with labels


def train_supervised(
    config: Config, graphs: GraphSet, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> Metrics:
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
