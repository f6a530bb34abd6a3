"""UNO (Fini et al., ICCV 2021): one classifier for all classes, trained with labels and Sinkhorn-Knopp's pseudo-labels.

B: images of a batch, unlabelled ones first; U: the most unlabelled ones of any batch; K: clusters of a head; H: heads.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from benchmarks.novel_class_discovery.config import Uno
from benchmarks.novel_class_discovery.model import Network, load_encoder
from benchmarks.novel_class_discovery.outcome import outcome
from benchmarks.novel_class_discovery.stages import Training, build_network, set_rate
from benchmarks.novel_class_discovery.task import Task, load_task, mixed_batches
from benchmarks.novel_class_discovery.views import Seen
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep
from contrastbench.weights import seeded_module


def uno(config: Uno, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Trains encoder and heads; evaluates the head with the least training loss in the last epoch. No label chooses."""
    task = load_task(config, device, log)
    model, seen = build_network(config, task, {}, seed, device), Seen(config, task)
    heads = seeded_module(lambda: Heads(config, model.width, task), generator(seed, "heads"))
    heads.register_buffer("epoch_losses", torch.zeros(config.heads))  # each head's, summed over the epoch
    heads.to(device)
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.SGD(parameters, config.learning_rate, momentum=0.9, weight_decay=config.weight_decay)
    epochs = [mixed_batches(task, config.batch, 0, seed, epoch) for epoch in range(config.epochs)]
    widest = max((int(task.unlabelled_in(batch)) for epoch in epochs for batch in epoch), default=1)
    joint = Joint(config, seen, model, heads, widest)

    def inputs(epoch: int) -> Iterator[dict[str, Any]]:
        heads.epoch_losses.zero_()
        rng = generator(seed, "augmentation", epoch)
        for number, batch in enumerate(epochs[epoch]):
            set_rate(optimizer, rate(config, epoch + number / len(epochs[epoch])))
            labels = task.labels[batch.clamp(max=task.labelled - 1)]  # those of unlabelled images are not used
            yield {"labels": labels, "unlabelled": task.unlabelled_in(batch), **seen.inputs(batch, 2, rng)}

    step = TrainingStep(joint, optimizer, modules=[model, heads], device=device)
    training = Training(model, seen, step, inputs)
    load_encoder(model, checkpoint.needed("supervise"), task.about, "supervise")
    training.run(config.epochs, lambda epoch: rate(config, epoch), checkpoint, log)
    log.selected_by("last epoch; of the heads the one with the least training loss")
    best = int(heads.eval().epoch_losses.argmin())

    def logits(features: Tensor) -> tuple[Tensor, Tensor]:
        known, novel, _ = heads(features)
        return known, novel[best]

    return outcome(training, logits, seed if config.kmeans_on_features else None)


def rate(config: Uno, epoch: float) -> float:
    """The learning rate: up in a line from ``least_rate``, then down a half cosine to it."""
    warm_up = min(config.warm_up_epochs, config.epochs // 2)
    if epoch < warm_up:
        return config.least_rate + (config.learning_rate - config.least_rate) * epoch / warm_up
    share = (epoch - warm_up) / (config.epochs - warm_up)
    return config.least_rate + (config.learning_rate - config.least_rate) * (1 + math.cos(math.pi * share)) / 2


class Projection(nn.Module):
    """A hidden layer and a projection. A head's logits are the prototypes' cosines with the projected features."""

    def __init__(self, width: int, hidden: int, outputs: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )
        self.prototypes = nn.Linear(outputs, prototypes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return normalize(self.layers(features), dim=1) @ normalize(self.prototypes.weight, dim=1).T


class Heads(nn.Module):
    """Prototypes of the known classes, ``heads`` heads of K clusters, and as many with ``overcluster`` times K."""

    def __init__(self, config: Uno, width: int, task: Task) -> None:
        super().__init__()
        self.known = nn.Linear(width, task.known, bias=False)
        sizes = (config.hidden, config.projection)
        self.novel = nn.ModuleList(Projection(width, *sizes, task.novel) for _ in range(config.heads))
        many = config.heads if config.overcluster else 0
        self.over = nn.ModuleList(Projection(width, *sizes, task.novel * config.overcluster) for _ in range(many))

    def forward(self, features: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Cosines [B, C_l], [B, K] of each head, and [B, overcluster * K] of each."""
        known = normalize(features, dim=1) @ normalize(self.known.weight, dim=1).T
        return known, [head(features) for head in self.novel], [head(features) for head in self.over]


class Joint:
    """The loss of one step: each view predicts the other's target, in every head."""

    def __init__(self, config: Uno, seen: Seen, model: Network, heads: Heads, widest: int) -> None:
        self.config, self.seen, self.model, self.heads, self.widest = config, seen, model, heads, widest

    def __call__(self, *, labels: Tensor, unlabelled: Tensor, **given: Tensor) -> Tensor:
        z_a, z_b = (self.seen.features(self.model, self.seen.view(given, number)) for number in range(2))
        (known_a, novel_a, over_a), (known_b, novel_b, over_b) = self.heads(z_a), self.heads(z_b)
        is_unlabelled = torch.arange(len(labels), device=labels.device) < unlabelled
        losses = []
        for head_a, head_b in zip(novel_a + over_a, novel_b + over_b, strict=True):
            to_a, to_b = (self.targets(known_a, head, labels, is_unlabelled) for head in (head_a, head_b))
            logits_a, logits_b = torch.cat([known_a, head_a], 1), torch.cat([known_b, head_b], 1)
            losses.append((self.cross_entropy(logits_a, to_b) + self.cross_entropy(logits_b, to_a)) / 2)
        with torch.no_grad():
            self.heads.epoch_losses.add_(torch.stack(losses[: len(novel_a)]).detach())
        kinds = [torch.stack(part).mean() for part in (losses[: len(novel_a)], losses[len(novel_a) :]) if part]
        return torch.stack(kinds).mean()

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -(targets * (logits / self.config.temperature).log_softmax(dim=1)).sum(dim=1).mean()

    @torch.no_grad()
    def targets(self, known: Tensor, head: Tensor, labels: Tensor, is_unlabelled: Tensor) -> Tensor:
        """[B, C_l + K]: the label of labelled images, Sinkhorn-Knopp's assignment of unlabelled ones."""
        config, u = self.config, self.widest
        assigned = torch.zeros_like(head)
        assigned[:u] = sinkhorn(head[:u], is_unlabelled[:u], config.sinkhorn_steps, config.sinkhorn_epsilon)
        given = one_hot(labels, known.shape[1]).to(head.dtype) * ~is_unlabelled[:, None]
        return torch.cat([given, assigned], dim=1)


def sinkhorn(logits: Tensor, counted: Tensor, steps: int, epsilon: float) -> Tensor:
    """Assignments of images to clusters of one size that favour great logits: rows that count sum to 1, others to 0.

        Q = exp(logits / epsilon);  then by turns every column is scaled to 1 / K and every row to 1 / N

    Args:
        logits: [N, K].
        counted: boolean [N].

    Source: Cuturi 2013, arXiv:1306.0895; Caron et al. 2020, arXiv:2006.09882, listing 1.
    """
    scaled = (logits - logits.amax()).float() / epsilon
    q = torch.where(counted[:, None], scaled.exp(), 0.0)
    for _ in range(steps):
        q = q / q.sum(dim=0, keepdim=True).clamp_min(1e-30)
        q = q / q.sum(dim=1, keepdim=True).clamp_min(1e-30)
    return q
