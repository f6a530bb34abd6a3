"""Stage 3: AutoNovel's joint losses with NCL's, every one of them over all images of a batch at once.

B: images of a batch; U, L: the most unlabelled and the most labelled ones that any batch of the run has. In a batch the
unlabelled images come first. Losses work on the first U and on the last L rows and leave out those of the other kind:
shapes are the same at every step, and the step can be captured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.model import Network, load_encoder
from benchmarks.novel_class_discovery.outcome import outcome
from benchmarks.novel_class_discovery.pictures import InMemory, Pictures
from benchmarks.novel_class_discovery.stages import Seen, Training, built, set_rate
from benchmarks.novel_class_discovery.task import Batch, Task, load_task, mixed_batches
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep

ESTIMATED = -1  # Config.clusters: as many as the run ``estimate`` found
TINY = 1e-7  # inside the pairs' logarithms, as in the authors' code


def discover(config: Discover, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Trains the last part of stage 2's encoder and both heads; the last epoch counts."""
    task = load_task(config, device, log)
    config = counted(config, task, checkpoint)
    model = built(config, task, {"known": task.known, "novel": config.clusters}, seed, device)
    start_from(model, checkpoint.needed("supervise"), task)
    memory = Memory(config, model.width, seed).to(device)
    training = discovering(config, task, model, memory, seed, device)
    start = checkpoint.restore(model=model, optimizer=training.optimizer, memory=memory)
    for epoch in range(start, config.epochs):
        set_rate(training.optimizer, config.learning_rate * 0.1 ** ((epoch + 1) // config.drop_every))
        log(epoch, loss=training.epoch(epoch))
        checkpoint.save(epoch + 1, model=model, optimizer=training.optimizer, memory=memory)
    log.selected_by("last epoch")
    seen = Seen(config, task)

    def predict(source: InMemory | Pictures, first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        features = torch.cat(seen.all(model, source, first, last))
        with torch.no_grad():
            return model.heads["known"](features), model.heads["novel"](features), features

    return outcome(predict, task)


def discovering(config: Discover, task: Task, model: Network, memory: Memory, seed: int, device: str) -> Training:
    if config.frozen:
        model.freeze_below()
    optimizer = torch.optim.SGD(model.trained(), config.learning_rate, momentum=0.9, weight_decay=config.weight_decay)
    joint = Joint(config, Seen(config, task), model, memory, Plan(config, task, seed))

    def inputs(epoch: int) -> Iterator[dict[str, Any]]:
        rng = generator(seed, "augmentation", epoch)
        for number, batch in enumerate(mixed_batches(task, config.batch, config.unlabelled_batch, seed, epoch)):
            yield {**joint.inputs(batch, epoch, number, rng), **joint.phase(epoch)}

    step = TrainingStep(joint, optimizer, modules=[model, memory], device=device)
    return Training(model, optimizer, step, inputs)


def counted(config: Discover, task: Task, checkpoint: Checkpoint) -> Discover:
    """The config with the numbers of clusters and neighbours that it leaves open.

    Raises:
        ValueError: fewer than two clusters.
    """
    clusters = config.clusters or task.novel
    if clusters == ESTIMATED:
        clusters = int(checkpoint.needed_metrics("estimate")["estimated_classes"])
    if clusters < 2:
        raise ValueError(f"clusters must be at least 2, or 0 for the number of novel classes; got {clusters}")
    neighbours = config.neighbours or max(1, int(config.queue / clusters / 2))
    return dataclasses.replace(config, clusters=clusters, neighbours=neighbours)


def start_from(model: Network, artefact: dict[str, Any], task: Task) -> None:
    """Takes over stage 2's weights; those of the novel head, not trained yet, too where it has the right size."""
    load_encoder(model, artefact, task.about, "supervise")
    heads = artefact["heads"]
    same = heads["novel.weight"].shape == model.heads["novel"].weight.shape
    model.heads.load_state_dict(heads if same else {**model.heads.state_dict(), **_of("known", heads)})


def _of(head: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.startswith(f"{head}.")}


class Plan:
    """How many unlabelled images each batch of the run will have: known beforehand, since the order is.

    From it follow U, L and, without asking the device, where in the queues a step writes.
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
    """The two queues of past features, with one more row each that takes what is not to be kept."""

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
        places = torch.arange(plan.unlabelled)
        start = plan.unlabelled_before[epoch][number]
        given["slots"] = torch.where(places < batch.unlabelled, (start + places) % config.queue, config.queue)
        first = config.batch - plan.labelled
        places = torch.arange(first, config.batch) - batch.unlabelled  # below 0: unlabelled
        start, length = plan.labelled_before[epoch][number], config.labelled_queue
        given["labelled_slots"] = torch.where(places >= 0, (start + places) % length, length)
        if self.phase(epoch) == {"with_ncl": True, "with_hard": True}:
            sizes = {"safe": config.safe, "rounds": config.rounds}
            given["partners"] = losses.draw_partners(plan.unlabelled, length, **sizes, rng=rng)
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
        config, model, memory = self.config, self.model, self.memory
        z, z_bar = (self.seen.features(model, self.seen.view(given, number)) for number in range(2))
        u, first = self.plan.unlabelled, len(z) - self.plan.labelled
        is_unlabelled = torch.arange(u, device=z.device) < unlabelled
        is_labelled = torch.arange(first, len(z), device=z.device) >= unlabelled
        known, known_bar, novel, novel_bar = (
            model.heads[name](features) for name in ("known", "novel") for features in (z, z_bar)
        )
        p, p_bar = novel.softmax(dim=1), novel_bar.softmax(dim=1)
        loss = masked_mean(cross_entropy(known[first:], labels, reduction="none"), is_labelled)
        loss = loss + pairwise_bce(p[:u], p_bar[:u], self.same_class(z[:u].detach()), is_unlabelled)
        loss = loss + ramp * (mse_loss(known.softmax(dim=1), known_bar.softmax(dim=1)) + mse_loss(p, p_bar))
        if with_ncl:
            hard = None
            queue, other = memory.unlabelled[:-1], memory.labelled[:-1]
            if with_hard:
                hard = losses.hard_negative_cosines(z[:u], queue, other, partners, keep=config.keep, shares=shares)
            loss = loss + config.ncl * losses.ncl(
                z[:u],
                z_bar[:u],
                queue,
                neighbours=config.neighbours,
                temperature=config.temperature,
                positive_weight=config.positive_weight,
                hard_cosines=hard,
                counted=is_unlabelled,
                variant=config.neighbour_search,
            )
        if config.scl:
            loss = loss + config.scl * losses.scl(
                z[first:],
                z_bar[first:],
                labels,
                memory.labelled[:-1],
                memory.labels[:-1],
                temperature=config.temperature,
                counted=is_labelled,
            )
        if config.ncl or config.scl:
            q = normalize(z.detach(), dim=1)
            memory.write(q[:u], slots, q[first:], labelled_slots, labels)
        return loss

    def same_by_cosine(self, features: Tensor) -> Tensor:
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
