"""A graph isomorphism network trained with labels, under the folds that the embeddings are evaluated with."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from contrastbench.data.graph_batches import GraphBatch, batches
from contrastbench.data.graphs import GraphSet
from contrastbench.encoders.gin import GIN, xavier
from contrastbench.randomness import generator
from contrastbench.training import TrainingStep


class Classifier(nn.Module):
    """GIN, dropout on the pooled graph, and a linear layer."""

    def __init__(self, graphs: GraphSet, *, hidden: int, layers: int, dropout: float, rng: torch.Generator) -> None:
        super().__init__()
        self.encoder = GIN(graphs.features.shape[1], hidden=hidden, layers=layers)
        self.linear = nn.Linear(self.encoder.dimensions, graphs.classes)
        self.dropout = dropout
        xavier(self, rng)

    def draw_dropout(self, graphs: int, rng: torch.Generator) -> dict[str, Tensor]:
        """What dropout leaves of a batch's pooled graphs, as an input of the training step; nothing without dropout."""
        if not self.dropout:
            return {}
        return {"kept": torch.rand(graphs, self.encoder.dimensions, generator=rng) >= self.dropout}

    def forward(self, batch: GraphBatch, kept: Tensor | None = None) -> Tensor:
        """[G, classes] logits."""
        pooled, _ = self.encoder(batch)
        if kept is not None:
            pooled = pooled * kept / (1 - self.dropout)
        return self.linear(pooled)


def accuracies_along_training(
    graphs: GraphSet,
    training: np.ndarray,
    evaluated: list[np.ndarray],
    *,
    seed: int,
    name: str,
    hidden: int = 32,
    layers: int = 3,
    dropout: float = 0.5,
    batch: int = 32,
    epochs: int = 100,
    lr: float = 0.01,
    halve_every: int = 50,
    device: str = "cpu",
) -> np.ndarray:
    """Trains on ``training`` and returns the accuracy on each evaluated part after every epoch, in percent.

    Args:
        training: numbers of the graphs to learn from. Batches keep their graphs; their order is drawn anew every epoch.
        evaluated: numbers of the graphs of each part.
        name: sets this training's random streams apart from those of the same seed's other folds.
        halve_every: epochs after which the learning rate is halved, again and again.

    Returns:
        [epochs, parts].

    Source: Xu et al. 2019, arXiv:1810.00826, section 7 (Adam 0.01 halved every 50 epochs, batch 32, dropout 0.5).
    """
    model = Classifier(
        graphs, hidden=hidden, layers=layers, dropout=dropout, rng=generator(seed, f"weights of {name}")
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, halve_every, 0.5)
    shuffled = training[torch.randperm(len(training), generator=generator(seed, f"batches of {name}")).numpy()]
    learnt = [part.to(device) for part in batches(graphs, shuffled, batch, depth=layers)]
    shown = [[part.to(device) for part in batches(graphs, numbers, 512, depth=layers)] for numbers in evaluated]
    labels = graphs.labels.to(device)

    def loss_of(batch: int, kept: Tensor | None = None) -> Tensor:
        return cross_entropy(model(learnt[batch], kept), labels[learnt[batch].graphs])

    step = TrainingStep(loss_of, optimizer, modules=[model], device=device)
    curve = np.empty((epochs, len(evaluated)))
    for epoch in range(epochs):
        model.train()
        rng = generator(seed, f"order and dropout of {name}", epoch)
        for number in torch.randperm(len(learnt), generator=rng).tolist():
            step(batch=number, **model.draw_dropout(len(learnt[number]), rng))
        step.mean_loss(epoch)
        schedule.step()
        curve[epoch] = [accuracy(model, part, labels) for part in shown]
    return curve


@torch.no_grad()
def accuracy(model: Classifier, parts: list[GraphBatch], labels: Tensor) -> float:
    """Percent of the batches' graphs that get their class."""
    model.eval()
    right = sum(int((model(part).argmax(1) == labels[part.graphs]).sum()) for part in parts)
    return 100 * right / sum(len(part) for part in parts)
