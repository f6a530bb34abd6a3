"""What a run of stage 3 remembers: two queues of past features, and the plan that says where each step writes.

U, L: the most unlabelled and the most labelled images that any batch of the run has.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.task import Batch, Task, mixed_batches
from contrastbench.randomness import generator


class Plan:
    """How many unlabelled images each batch of the run has. The order is drawn on the CPU, so this is known beforehand.

    U, L and the places in the queues that a step writes follow from it, and the device is asked for nothing.
    """

    def __init__(self, config: Discover, task: Task, seed: int) -> None:
        counts = [
            [batch.unlabelled for batch in mixed_batches(task, config.batch, config.unlabelled_batch, seed, epoch)]
            for epoch in range(config.epochs)
        ]
        everything = [count for epoch in counts for count in epoch] or [config.batch // 2]
        self.unlabelled = max(everything)
        self.labelled = config.batch - min(everything)
        for name, length, most in (
            ("queue", config.queue, self.unlabelled),
            ("labelled_queue", config.labelled_queue, self.labelled),
        ):
            if length < most:
                raise ValueError(f"{name} must hold a batch's {most} images, got {length}")
        if config.ncl and config.neighbours > config.queue:
            raise ValueError(
                f"neighbours must be in [1, {config.queue}], the length of the queue, got {config.neighbours}"
            )
        self.steps = [len(epoch) for epoch in counts]
        self.unlabelled_before = _running(counts)
        self.labelled_before = _running([[config.batch - count for count in epoch] for epoch in counts])
        self.batch, self.length, self.labelled_length = config.batch, config.queue, config.labelled_queue

    def slots(self, batch: Batch, epoch: int, number: int) -> dict[str, Tensor]:
        """Where step ``number`` of an epoch writes the features of its first U and of its last L images.

        Images of the other kind point at the queue's last row, which is never read.
        """
        places = torch.arange(self.unlabelled)
        start, length = self.unlabelled_before[epoch][number], self.length
        slots = torch.where(places < batch.unlabelled, (start + places) % length, length)
        places = torch.arange(self.batch - self.labelled, self.batch) - batch.unlabelled  # below 0: unlabelled
        start, length = self.labelled_before[epoch][number], self.labelled_length
        return {"slots": slots, "labelled_slots": torch.where(places >= 0, (start + places) % length, length)}


def _running(counts: list[list[int]]) -> list[list[int]]:
    """For each step of each epoch: the sum of all counts before it."""
    total, before = 0, []
    for epoch in counts:
        before.append([])
        for count in epoch:
            before[-1].append(total)
            total += count
    return before


class Memory(nn.Module):
    """The two queues of past features. Each has one more row, which takes what is not to be kept."""

    def __init__(self, config: Discover, width: int, seed: int) -> None:
        super().__init__()
        rng, bound = generator(seed, "queue"), math.sqrt(3 / width)  # uniform, of expected length 1
        for name, length in (("unlabelled", config.queue), ("labelled", config.labelled_queue)):
            self.register_buffer(name, torch.empty(length + 1, width).uniform_(-bound, bound, generator=rng))
        self.register_buffer("labels", torch.full((config.labelled_queue + 1,), -1))

    @torch.no_grad()
    def write(self, features: Tensor, slots: Tensor, labelled: Tensor, labelled_slots: Tensor, labels: Tensor) -> None:
        """Overwrites rows; slots that point at the last row drop what they are given."""
        self.unlabelled.index_copy_(0, slots, features)
        self.labelled.index_copy_(0, labelled_slots, labelled)
        self.labels.index_copy_(0, labelled_slots, labels)
