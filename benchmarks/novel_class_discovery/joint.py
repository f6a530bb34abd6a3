"""The joint loss of stage 3: AutoNovel's losses and NCL's, over all images of a batch at once.

B: images of a batch; U, L: the most unlabelled and the most labelled ones that any batch of the run has. In a batch the
unlabelled images come first. Losses work on the first U and on the last L rows and leave out those of the other kind:
shapes are the same at every step, and the step can be captured.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, normalize

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.model import Network
from benchmarks.novel_class_discovery.queues import Memory, Plan
from benchmarks.novel_class_discovery.stages import Seen
from benchmarks.novel_class_discovery.task import Batch
from contrastbench import losses

TINY = 1e-7  # inside the pairs' logarithms, as in the authors' code


class Joint:
    """The loss of one step, and the inputs that it needs."""

    def __init__(self, config: Discover, seen: Seen, model: Network, memory: Memory, plan: Plan) -> None:
        self.config, self.seen, self.model, self.memory, self.plan = config, seen, model, memory, plan
        pairs = {"cosine": self.same_by_cosine, "ranks": self.same_by_ranks}
        if config.pairs not in pairs:
            raise ValueError(f"unknown pairs {config.pairs!r}; novel_class_discovery has: {', '.join(pairs)}")
        self.same_class = pairs[config.pairs]

    def phase(self, epoch: int) -> dict[str, bool]:
        """Which losses count in this epoch: constants of the captured step."""
        config = self.config
        hard = 0 <= config.hard_from_epoch <= epoch
        return {"with_ncl": config.ncl > 0 and epoch >= config.ncl_from_epoch, "with_hard": hard}

    def inputs(self, batch: Batch, epoch: int, number: int, rng: torch.Generator) -> dict[str, Tensor]:
        """CPU tensors of the same shapes at every step."""
        config, plan, task = self.config, self.plan, self.seen.task
        given = self.seen.inputs(batch.index, 2, rng)
        known = batch.index[-plan.labelled :]
        given["labels"] = task.labels[known.clamp(max=task.labelled - 1)]  # those of unlabelled images are not used
        given["unlabelled"] = torch.tensor(batch.unlabelled)
        given["ramp"] = torch.tensor(ramp(epoch, config.ramp_epochs) * config.consistency)
        given |= plan.slots(batch, epoch, number)
        if self.phase(epoch) == {"with_ncl": True, "with_hard": True}:
            sizes = {"safe": config.safe, "rounds": config.rounds}
            given["partners"] = losses.draw_partners(plan.unlabelled, config.labelled_queue, **sizes, rng=rng)
            if config.mixing == "random":
                given["shares"] = torch.rand(given["partners"].shape, generator=rng)
        return given

    def __call__(
        self,
        *,
        labels: Tensor,
        unlabelled: Tensor,
        ramp: Tensor,
        slots: Tensor,
        labelled_slots: Tensor,
        with_ncl: bool,
        with_hard: bool,
        partners: Tensor | None = None,
        shares: Tensor | None = None,
        **given: Tensor,
    ) -> Tensor:
        z, z_bar = (self.seen.features(self.model, self.seen.view(given, number)) for number in range(2))
        u, first = self.plan.unlabelled, len(z) - self.plan.labelled
        is_unlabelled = torch.arange(u, device=z.device) < unlabelled  # of the first U rows
        is_labelled = torch.arange(first, len(z), device=z.device) >= unlabelled
        loss = self.of_heads(z, z_bar, labels, ramp, is_unlabelled, is_labelled)
        if with_ncl:
            mixed = partners if with_hard else None
            loss = loss + self.config.ncl * self.of_neighbours(z, z_bar, is_unlabelled, mixed, shares)
        if self.config.scl:
            loss = loss + self.config.scl * self.of_known_classes(z, z_bar, labels, is_labelled)
        if self.config.ncl or self.config.scl:
            q = normalize(z.detach(), dim=1)
            self.memory.write(q[:u], slots, q[first:], labelled_slots, labels)
        return loss

    def of_heads(
        self, z: Tensor, z_bar: Tensor, labels: Tensor, ramp: Tensor, is_unlabelled: Tensor, is_labelled: Tensor
    ) -> Tensor:
        """AutoNovel's: cross-entropy on known classes, binary cross-entropy on pairs, consistency of two views."""
        heads, u, first = self.model.heads, len(is_unlabelled), len(z) - len(is_labelled)
        known, known_bar, novel, novel_bar = (
            heads[name](features) for name in ("known", "novel") for features in (z, z_bar)
        )
        p, p_bar = novel.softmax(dim=1), novel_bar.softmax(dim=1)
        loss = masked_mean(cross_entropy(known[first:], labels, reduction="none"), is_labelled)
        loss = loss + pairwise_bce(p[:u], p_bar[:u], self.same_class(z[:u].detach()), is_unlabelled)
        return loss + ramp * (mse_loss(known.softmax(dim=1), known_bar.softmax(dim=1)) + mse_loss(p, p_bar))

    def of_neighbours(
        self, z: Tensor, z_bar: Tensor, counted: Tensor, partners: Tensor | None, shares: Tensor | None
    ) -> Tensor:
        """NCL on the unlabelled images; with hard negatives of both queues where ``partners`` are given."""
        config, u, hard = self.config, len(counted), None
        queue, other = self.memory.unlabelled[:-1], self.memory.labelled[:-1]
        if partners is not None:
            hard = losses.hard_negative_cosines(z[:u], queue, other, partners, keep=config.keep, shares=shares)
        return losses.ncl(
            z[:u],
            z_bar[:u],
            queue,
            neighbours=config.neighbours,
            temperature=config.temperature,
            positive_weight=config.positive_weight,
            hard_cosines=hard,
            counted=counted,
            variant=config.neighbour_search,
        )

    def of_known_classes(self, z: Tensor, z_bar: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """SCL on the labelled images: those of one class are positives."""
        first, memory = len(z) - len(counted), self.memory
        return losses.scl(
            z[first:],
            z_bar[first:],
            labels,
            memory.labelled[:-1],
            memory.labels[:-1],
            temperature=self.config.temperature,
            counted=counted,
        )

    def same_by_cosine(self, features: Tensor) -> Tensor:
        """Whether the cosine of two images' features is above the threshold."""
        u = normalize(features, dim=1)
        return u @ u.T > self.config.threshold

    def same_by_ranks(self, features: Tensor) -> Tensor:
        """Whether two images have the same strongest features, in any order (AutoNovel)."""
        strongest = features.topk(self.config.ranks, dim=1).indices
        has = torch.zeros_like(features).scatter_(1, strongest, 1.0)
        return has @ has.T > self.config.ranks - 0.5


def pairwise_bce(p: Tensor, p_bar: Tensor, same: Tensor, counted: Tensor) -> Tensor:
    """-log(p_i . p_bar_j) for pairs taken for one class, -log(1 - p_i . p_bar_j) for the others; mean over all pairs.

    Args:
        p, p_bar: [U, K] cluster probabilities of two views.
        same: boolean [U, U].
        counted: boolean [U]; pairs with another image do not count.
    """
    together = p @ p_bar.T
    likelihood = torch.where(same, together, 1 - together)
    return masked_mean(-(likelihood + TINY).log(), counted[:, None] & counted)


def masked_mean(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of the values that count; at least one must."""
    return torch.where(counted, values, 0.0).sum() / counted.sum()


def ramp(epoch: int, epochs: int) -> float:
    """exp(-5 (1 - t/T)^2), 1 from T on."""
    return math.exp(-5 * (1 - min(epoch / epochs, 1.0)) ** 2)
