"""GIN on batches of distinct nodes equals PyTorch Geometric's layers on whole graphs."""

import dataclasses

import torch
from torch import nn

from contrastbench.data.graph_batches import GraphBatch, Linear, batches
from contrastbench.data.graphs import load_graphs
from contrastbench.encoders.gin import GIN, CountedBatchNorm, xavier


def in_float64(batch: GraphBatch) -> GraphBatch:
    def wide(value):
        if isinstance(value, Linear):
            return Linear(value.matrix.double(), value.transpose.double())
        return value.double() if value.is_floating_point() else value

    return dataclasses.replace(batch, **{name: wide(value) for name, value in vars(batch).items()})


class Reference(nn.Module):
    """The published encoder from PyTorch Geometric's layers, sharing our weights."""

    def __init__(self, ours: GIN) -> None:
        super().__init__()
        from torch_geometric.nn import GINConv

        self.convolutions = nn.ModuleList(GINConv(mlp) for mlp in ours.mlps)
        self.norms = nn.ModuleList(nn.BatchNorm1d(norm.weight.numel(), dtype=torch.float64) for norm in ours.norms)

    def forward(self, x, edges, graph_of_node):
        from torch_geometric.nn import global_add_pool

        outputs = []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(convolution(x, edges).relu())
            outputs.append(x)
        return torch.cat([global_add_pool(output, graph_of_node) for output in outputs], 1)


def test_gin_equals_pytorch_geometric_on_whole_graphs_in_values_gradients_and_running_statistics(tmp_path):
    mutag = load_graphs("MUTAG", tmp_path)
    ours = GIN(7, hidden=8, layers=3)
    xavier(ours, torch.Generator().manual_seed(0))
    ours = ours.double()
    reference = Reference(ours)
    for collapsed in (3, None):
        for norm in reference.norms:
            norm.reset_running_stats()
        for norm in ours.norms:
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0)
        (batch,) = batches(mutag, range(188), 188, depth=collapsed)
        results = []
        for model, arguments in (
            (ours, (in_float64(batch),)),
            (reference, (mutag.features.double(), mutag.edges, mutag.graph_of_node)),
        ):
            ours.zero_grad()
            model.train()
            output = model(*arguments)
            output = output[0] if isinstance(output, tuple) else output
            output.square().mean().backward()
            gradients = torch.cat([weight.grad.flatten() for weight in ours.mlps.parameters()])
            model.eval()
            evaluated = model(*arguments)
            results.append((output, gradients, evaluated[0] if isinstance(evaluated, tuple) else evaluated))
        for mine, theirs in zip(*results, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_counts_are_repetitions():
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    count = torch.tensor([1.0, 4.0, 2.0, 1.0, 7.0])
    counted, plain = CountedBatchNorm(3), nn.BatchNorm1d(3)
    repeated = plain(x.repeat_interleave(count.long(), 0))
    torch.testing.assert_close(counted(x, count).repeat_interleave(count.long(), 0), repeated)
    torch.testing.assert_close(counted.running_mean, plain.running_mean)
    torch.testing.assert_close(counted.running_var, plain.running_var)


def test_weights_come_from_the_generator_alone():
    drawn = []
    for _ in range(2):
        encoder = GIN(4)
        xavier(encoder, torch.Generator().manual_seed(3))
        drawn.append(torch.cat([weight.flatten() for weight in encoder.parameters()]))
    assert torch.equal(*drawn)
