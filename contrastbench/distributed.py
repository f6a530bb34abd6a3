"""One run on several GPUs or nodes: each process has a part of every batch, and all see one loss over the whole of it.

    model = spread(encoder, groups)                 # DistributedDataParallel; the encoder itself in a single process
    z = gather_rows(model(images[part(index)]))        # the whole batch's embeddings, with gradient
    loss = losses.nt_xent(z_a, z_b)                 # the same number in every process

Every process draws the whole batch's random numbers and takes its part of them, so views and order do not depend on
the number of processes. Loss and gradient are then those of one process with the whole batch, but for rounding.

Batch norm: ``groups=1`` normalises over the whole batch (synchronised between the processes); ``groups=G`` normalises
each of G equal parts by itself, as the papers' ``DataParallel`` does on G GPUs. That changes results, so it belongs in
a config; the number of processes does not. A single process computes either.

Whoever starts the processes says in the environment who they are: a Slurm task through submitit, or torchrun.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

TIMEOUT = timedelta(minutes=10)  # a process that waits this long for another one gives up
_spreading = False  # while a batch goes through a spread model: batch norm then sees a part of it


def join(device: str) -> None:
    """Makes this process one of the group that the environment names: gloo on CPUs, NCCL on GPUs."""
    dist.init_process_group("gloo" if device == "cpu" else "nccl", timeout=TIMEOUT)


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def processes() -> int:
    """How many processes share this run; 1 outside of any group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """Which of this node's processes this is: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def anyone(said: bool, device: str = "cpu") -> bool:
    """Whether any process of the group said so; all get the same answer, and wait for each other."""
    if processes() == 1:
        return said
    told = torch.tensor(float(said), device=device)
    dist.all_reduce(told, op=dist.ReduceOp.MAX)
    return bool(told.item())


def is_lost_process(error: BaseException) -> bool:
    """Whether an error only says that another process of the group is gone; gloo has no type of its own for that."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def part(batch: Tensor, dim: int = 0) -> Tensor:
    """This process's part of a batch along ``dim``: equal parts, in the order of the ranks.

    Raises:
        ValueError: the batch cannot be divided equally.
    """
    if processes() == 1:
        return batch
    size = batch.shape[dim]
    if size % processes():
        raise ValueError(f"a batch of {size} cannot be divided equally over {processes()} processes")
    return batch.chunk(processes(), dim)[rank()]


class _Gathered(torch.autograd.Function):
    """All parts in the order of the ranks.

    Every process computes the same loss from them, so each already has the whole gradient with respect to its own part.
    It is multiplied by the number of processes, because DistributedDataParallel takes the mean of what they compute.
    """

    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        context.rows = len(own)
        parts = [torch.empty_like(own) for _ in range(processes())]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        begin = rank() * context.rows
        return gradients[0][begin : begin + context.rows] * processes()


def gather_rows(own: Tensor) -> Tensor:
    """The whole batch's rows [B, ...] from every process's own [B / processes, ...], with gradient."""
    return own if processes() == 1 else _Gathered.apply(own)  # type: ignore[no-any-return, no-untyped-call]


class _SummedOver(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class GroupedBatchNorm(_BatchNorm):
    """Batch norm whose statistics are over the whole batch or over each of ``groups`` equal parts of it.

    Running statistics follow the first group, as those of ``DataParallel`` and of rank 0 do.
    """

    groups: int

    def _check_input_dim(self, values: Tensor) -> None:
        return

    def forward(self, values: Tensor) -> Tensor:
        here = processes() if _spreading else 1
        if not self.training or self.groups == here:
            return super().forward(values)
        if here > 1:
            return self._normalise_together(values)
        first, *others = values.chunk(self.groups)
        own = (None, None, self.weight, self.bias, True, 0.0, self.eps)  # of each part alone: no running statistics
        return torch.cat([super().forward(first), *(nn.functional.batch_norm(each, *own) for each in others)])

    def _normalise_together(self, values: Tensor) -> Tensor:
        """Two passes, mean and then squared distance from it: as exact as in one process."""
        over = [0, *range(2, values.dim())]
        shape = [1, -1] + [1] * (values.dim() - 2)
        count = values.numel() // values.shape[1] * processes()
        mean = _SummedOver.apply(values.sum(over)) / count  # type: ignore[no-untyped-call]
        centred = values - mean.view(shape)
        variance = _SummedOver.apply(centred.square().sum(over)) / count  # type: ignore[no-untyped-call]
        self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        return scaled if self.weight is None else scaled * self.weight.view(shape) + self.bias.view(shape)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def spread(encoder: nn.Module, groups: int = 1) -> nn.Module:
    """The encoder as a model that takes this process's part of a batch; the encoder itself stays usable alone.

    Its batch norms become ``GroupedBatchNorm`` in place, with the same weights. A single process and ``groups=1``
    leave everything as it is.

    Raises:
        ValueError: ``groups`` is neither 1 nor the number of processes, where there are several.
    """
    here = processes()
    if here > 1 and groups not in (1, here):
        raise ValueError(f"batch-norm groups must be 1 or the number of processes ({here}), got {groups}")
    if here == 1 and groups == 1:
        return encoder
    _regroup(encoder, groups)
    return encoder if here == 1 else _Spread(encoder)


def _regroup(module: nn.Module, groups: int) -> None:
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            new = GroupedBatchNorm(child.num_features, child.eps, child.momentum, child.affine)
            new.weight, new.bias, new.groups = child.weight, child.bias, groups
            for buffer, value in child.named_buffers():
                setattr(new, buffer, value)
            setattr(module, name, new.train(child.training))
        else:
            _regroup(child, groups)


class _Spread(nn.Module):
    """Passes a part of a batch through DistributedDataParallel."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.parallel = DistributedDataParallel(encoder, broadcast_buffers=False)

    def forward(self, images: Tensor) -> Tensor:
        with _as_a_part():
            return self.parallel(images)


@contextlib.contextmanager
def _as_a_part() -> Iterator[None]:
    global _spreading
    _spreading = True
    try:
        yield
    finally:
        _spreading = False
