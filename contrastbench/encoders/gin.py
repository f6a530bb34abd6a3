"""Graph encoders: GIN with sum pooling after every layer, and the discriminators of InfoGraph.

Dimensions: U distinct nodes of a batch, G graphs, F features, H hidden units, L layers.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from contrastbench.data.graph_batches import GraphBatch


class GIN(nn.Module):
    """Graph isomorphism network: L layers of sum over node and neighbours, MLP, ReLU, batch normalisation.

        x <- BN(relu(MLP(x + sum_{neighbours} x)))     (epsilon 0; MLP: linear, ReLU, linear)

    Every layer's nodes are summed per graph, and the sums of all layers are joined.

    Source: Xu et al. 2019, arXiv:1810.00826, eq. 4.1; InfoGraph's and HCL's gin.py (BN after the ReLU).
    """

    def __init__(self, features: int, *, hidden: int = 32, layers: int = 3) -> None:
        super().__init__()
        widths = [features] + [hidden] * (layers - 1)
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden)) for width in widths
        )
        self.norms = nn.ModuleList(CountedBatchNorm(hidden) for _ in widths)
        self.dimensions = hidden * layers

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Returns the graphs [G, L * H] and their distinct nodes [U, L * H]."""
        x = batch.summed_features
        outputs = []
        for layer, (mlp, norm) in enumerate(zip(self.mlps, self.norms, strict=True)):
            summed = batch.adjacency @ x if layer else x
            x = norm(mlp(summed).relu(), batch.count)
            outputs.append(x)
        nodes = torch.cat(outputs, dim=1)
        return batch.pool @ nodes, nodes

    @torch.no_grad()
    def embed(self, batches: list[GraphBatch]) -> Tensor:
        """[all G, L * H] in the batches' order, in evaluation mode."""
        was_training = self.training
        self.eval()
        embeddings = torch.cat([self(batch)[0] for batch in batches])
        self.train(was_training)
        return embeddings


class CountedBatchNorm(nn.Module):
    """Batch normalisation over nodes of which each stands for ``count`` equal ones; else as ``nn.BatchNorm1d``."""

    def __init__(self, width: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor, count: Tensor) -> Tensor:
        """[U, width] from [U, width] and the counts [U]."""
        if not self.training:
            return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        share = (count / count.sum())[:, None]
        mean = (share * x).sum(0)
        centred = x - mean
        variance = (share * centred.square()).sum(0)
        self._remember(mean.detach(), variance.detach(), count.sum())
        return centred * ((variance + self.eps).rsqrt() * self.weight) + self.bias

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, nodes: Tensor) -> None:
        nodes = nodes.double()
        unbiased = variance * (nodes / (nodes - 1).clamp_min(1)).to(variance.dtype)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)


class Discriminator(nn.Module):
    """Three linear layers with ReLUs beside a linear shortcut, all as wide as the input. Source: InfoGraph's FF."""

    def __init__(self, width: int) -> None:
        super().__init__()
        linear = [nn.Linear(width, width) for _ in range(3)]
        self.block = nn.Sequential(*(part for layer in linear for part in (layer, nn.ReLU())))
        self.shortcut = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x) + self.shortcut(x)


class ProjectedGIN(nn.Module):
    """GraphCL's model: an encoder and a head of two layers on the pooled graph, with weights from ``rng``."""

    def __init__(self, features: int, *, hidden: int, layers: int, rng: torch.Generator) -> None:
        super().__init__()
        self.encoder = GIN(features, hidden=hidden, layers=layers)
        width = self.encoder.dimensions
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        xavier(self, rng)

    def forward(self, batch: GraphBatch) -> Tensor:
        """[G, D]."""
        return self.head(self.encoder(batch)[0])


def xavier(model: nn.Module, rng: torch.Generator) -> None:
    """Draws every linear layer's weights (Glorot, uniform) from ``rng``; biases become 0. As InfoGraph's init_emb."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=rng)
            nn.init.zeros_(module.bias)
