"""One run: an encoder trained on all graphs without labels (or a baseline), and support vector machines on top."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from baselines import graphs as baselines
from benchmarks.graph_contrastive.config import METHODS, Config
from contrastbench.data.graph_batches import GraphBatch, batches
from contrastbench.data.graphs import GraphSet, load_graphs
from contrastbench.encoders.graphs import GIN, Discriminator, xavier
from contrastbench.evaluation.svm import (
    Fold,
    cross_validate,
    precomputed_kernel,
    rbf_kernels,
    stratified_folds,
)
from contrastbench.losses.graph import hard_jsd, hard_jsd_as_code, jsd
from contrastbench.randomness import generator, random_state
from contrastbench.runner import Checkpoint, Log

Metrics = dict[str, float | list[float]]


def train(config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> Metrics:
    """Does a run of any method.

    Returns:
        test_svm_accuracy_percent: 10-fold accuracy after the last epoch; the other names say what they are.
    """
    if config.method not in METHODS:
        raise ValueError(f"unknown method {config.method!r}; there are: {', '.join(METHODS)}")
    graphs = load_graphs(config.dataset, features=config.features)
    log.data(config.dataset, graphs.sha256)
    log.selected_by("last epoch; C by cross-validation inside the training folds")
    if config.method in BASELINES:
        return evaluate_baseline(config, graphs, seed)
    return train_published(config, graphs, seed=seed, device=device, checkpoint=checkpoint, log=log)


def train_published(
    config: Config, graphs: GraphSet, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> Metrics:
    """The papers' protocol: one encoder sees all graphs; its embeddings are cross-validated as they are."""
    order, folds = shuffled(graphs, seed), folds_of(config, graphs, seed)
    labels = graphs.labels.numpy()[order]
    fixed_batches = [batch.to(device) for batch in batches(graphs, order, config.batch, depth=config.layers)]
    model = Infomax(graphs.features.shape[1], config, generator(seed, "weights")).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    found: dict[str, list[float]] = {}  # epochs done -> test accuracy, sd over folds, inner accuracy; all in percent
    start = checkpoint.restore(model=model, optimizer=optimizer, found=found)
    for epoch in range(start, config.epochs + 1):
        if epoch in evaluated_epochs(config):
            embeddings = model.encoder.embed(fixed_batches).cpu().numpy()
            result = cross_validate(rbf_kernels(embeddings), labels, folds, inner_folds=config.inner_folds)
            found[str(epoch)] = [result.test_accuracy, result.test_fold_sd, result.inner_accuracy]
            log(epoch, test_svm_accuracy_percent=result.test_accuracy)
        if epoch < config.epochs:
            log(epoch, loss=train_epoch(model, optimizer, fixed_batches, objective(config), epoch))
            checkpoint.save(epoch + 1, model=model, optimizer=optimizer, found=found)
    return metrics_of(found)


def train_epoch(model: Infomax, optimizer, fixed_batches: list[GraphBatch], loss_of: Objective, epoch: int) -> float:
    """One pass over the batches, in the same order every time, as the authors' loaders do. Returns the mean loss."""
    model.train()
    total = torch.zeros(())
    for batch in fixed_batches:
        loss = loss_of(model(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach().cpu()
    if not total.isfinite():
        raise FloatingPointError(f"loss became {total.item()} in epoch {epoch}")
    return total.item() / len(fixed_batches)


class Infomax(nn.Module):
    """InfoGraph's model: an encoder, and two discriminators whose dot product scores a node against a graph."""

    def __init__(self, features: int, config: Config, rng: torch.Generator) -> None:
        super().__init__()
        self.encoder = GIN(features, hidden=config.hidden, layers=config.layers)
        self.of_graphs = Discriminator(self.encoder.dimensions)
        self.of_nodes = Discriminator(self.encoder.dimensions)
        xavier(self, rng)

    def forward(self, batch: GraphBatch) -> Tensor:
        """[U, G] scores of every distinct node of the batch against every graph."""
        graphs, nodes = self.encoder(batch)
        return self.of_nodes(nodes) @ self.of_graphs(graphs).T


Objective = Callable[[Tensor, GraphBatch], Tensor]


def objective(config: Config) -> Objective:
    """The loss of a batch's scores that the config asks for."""
    losses = {
        ("infograph", "as_paper"): lambda *pairs, **rows: jsd(*pairs, **rows),
        ("hard", "as_paper"): lambda *pairs, **rows: hard_jsd(
            *pairs, beta=config.beta, tau_plus=config.tau_plus, **rows
        ),
        ("hard", "as_code"): lambda *pairs, **rows: hard_jsd_as_code(
            *pairs, beta=config.beta, tau_plus=config.tau_plus, **rows
        ),
    }
    loss = losses[config.method, config.variant]
    return lambda scores, batch: loss(scores, batch.pair_graph, node=batch.pair_node, count=batch.pair_count)


def shuffled(graphs: GraphSet, seed: int) -> np.ndarray:
    """The one order in which a run reads its graphs."""
    return torch.randperm(len(graphs), generator=generator(seed, "order")).numpy()


def folds_of(config: Config, graphs: GraphSet, seed: int) -> list[Fold]:
    """Outer folds of the shuffled graphs: the same for all methods of a seed."""
    labels = graphs.labels.numpy()[shuffled(graphs, seed)]
    return stratified_folds(labels, config.folds, random_state(seed, "split"))


def evaluated_epochs(config: Config) -> list[int]:
    return sorted({epoch for epoch in config.evaluate_at if epoch <= config.epochs} | {config.epochs})


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
    order = shuffled(graphs, seed)
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
