"""Stage 3: labelled and unlabelled images together, by AutoNovel's losses and by what NCL adds to them.

B: images of a batch, the unlabelled ones first; u, x: the rows that unlabelled and labelled images may stand in;
z, z_bar: features of two views.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.model import Network, load_encoder
from benchmarks.novel_class_discovery.outcome import outcome
from benchmarks.novel_class_discovery.stages import Training, build_network
from benchmarks.novel_class_discovery.task import Task, load_task, mixed_batches
from benchmarks.novel_class_discovery.views import Seen
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep

ESTIMATED = -1  # Discover.clusters: as many as the run ``estimate`` found
TINY = 1e-7  # inside the pairs' logarithms, as in the authors' code


def discover(config: Discover, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Trains the last part of stage 2's encoder and both heads; the last epoch counts."""
    task = load_task(config, device, log)
    config = with_estimated_classes(config, task, checkpoint)
    training = discovering(config, task, seed, device)
    start_from(training.network, checkpoint.needed("supervise"), task)

    def rate(epoch: int) -> float:
        return config.learning_rate * 0.1 ** ((epoch + 1) // config.drop_every)

    training.run(config.epochs, rate, checkpoint, log)
    log.selected_by("last epoch")
    known, novel = (training.network.heads[name] for name in ("known", "novel"))
    k_means_seed = seed if config.kmeans_on_features else None
    return outcome(training, lambda features: (known(features), novel(features)), k_means_seed)


def with_estimated_classes(config: Discover, task: Task, checkpoint: Checkpoint) -> Discover:
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
    return replace(config, clusters=clusters, neighbours=neighbours)


def start_from(model: Network, artefact: dict[str, Any], task: Task) -> None:
    """Takes over stage 2's weights. Those of the novel head, not trained yet, are taken if its size is the same."""
    load_encoder(model, artefact, task.about, "supervise")
    heads, own = artefact["heads"], model.heads.state_dict()
    same = heads["novel.weight"].shape == own["novel.weight"].shape
    model.heads.load_state_dict({name: heads[name] if same or name.startswith("known") else own[name] for name in own})


def discovering(config: Discover, task: Task, seed: int, device: str) -> Training:
    """The training of the network and the queues."""
    model = build_network(config, task, {"known": task.known, "novel": config.clusters}, seed, device)
    if config.frozen:
        model.freeze_below()
    optimizer = torch.optim.SGD(model.trainable(), config.learning_rate, momentum=0.9, weight_decay=config.weight_decay)
    rng, seen = generator(seed, "queue"), Seen(config, task)
    queue = Queue(config.queue, model.width, rng).to(device)
    labelled_queue = Queue(config.labelled_queue, model.width, rng).to(device)
    epochs = [mixed_batches(task, config.batch, config.unlabelled_batch, seed, epoch) for epoch in range(config.epochs)]
    counts = [int(task.unlabelled_in(batch)) for epoch in epochs for batch in epoch] or [config.batch // 2]
    joint = Joint(config, seen, model, queue, labelled_queue, max(counts), config.batch - min(counts))

    def inputs(epoch: int) -> Iterator[dict[str, Any]]:
        rng = generator(seed, "augmentation", epoch)
        with_ncl = config.ncl > 0 and epoch >= config.ncl_from_epoch
        weight = torch.tensor(config.consistency * ramp_up(epoch, config.ramp_epochs))
        for batch in epochs[epoch]:
            given: dict[str, Any] = {"unlabelled": task.unlabelled_in(batch), "weight": weight}
            given |= {"with_ncl": with_ncl, **seen.inputs(batch, 2, rng)}
            last = batch[-joint.labelled_rows :]
            given["labels"] = task.labels[last.clamp(max=task.labelled - 1)]  # those of unlabelled images do not count
            if with_ncl and 0 <= config.hard_from_epoch <= epoch:
                sizes = {"safe": config.safe, "rounds": config.rounds}
                partners = losses.draw_partners(joint.unlabelled_rows, config.labelled_queue, **sizes, rng=rng)
                given["partners"] = partners
                if config.mixing == "random":
                    given["shares"] = torch.rand(partners.shape, generator=rng)
            yield given

    modules = [model, queue, labelled_queue]
    return Training(model, seen, TrainingStep(joint, optimizer, modules=modules, device=device), inputs)


class Queue(nn.Module):
    """The last features of one kind of image and their classes; new ones take the place of the oldest."""

    def __init__(self, length: int, width: int, rng: torch.Generator) -> None:
        super().__init__()
        self.length, bound = length, math.sqrt(3 / width)  # uniform, of expected length 1
        # One row more takes what is not to be kept.
        self.register_buffer("rows", torch.empty(length + 1, width).uniform_(-bound, bound, generator=rng))
        self.register_buffer("classes", torch.full((length + 1,), -1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))

    @property
    def features(self) -> Tensor:
        return self.rows[:-1]

    @property
    def labels(self) -> Tensor:
        """-1 where there is none."""
        return self.classes[:-1]

    @torch.no_grad()
    def append(self, features: Tensor, counted: Tensor, labels: Tensor | None = None) -> None:
        """Takes the features that count."""
        places = (self.oldest + counted.cumsum(0) - 1) % self.length
        places = torch.where(counted, places, self.length)
        self.rows.index_copy_(0, places, features)
        if labels is not None:
            self.classes.index_copy_(0, places, labels)
        self.oldest.add_(counted.sum()).remainder_(self.length)


@dataclass(eq=False)
class Joint:
    """The loss of one step: AutoNovel's three terms, NCL on the unlabelled images, SCL on the labelled ones.

    So that shapes are the same at every step, which lets a GPU replay it, losses take the first rows of a batch, as
    many as any batch of the run has unlabelled images, or its last ones, and leave out those of the other kind.
    """

    config: Discover
    seen: Seen
    model: Network
    queue: Queue
    labelled_queue: Queue
    unlabelled_rows: int
    labelled_rows: int

    def __post_init__(self) -> None:
        config, rows = self.config, {"queue": self.unlabelled_rows, "labelled_queue": self.labelled_rows}
        for name, most in rows.items():
            if getattr(config, name) < most:
                raise ValueError(f"{name} must hold a batch's {most} images, got {getattr(config, name)}")
        if config.ncl and config.neighbours > config.queue:
            raise ValueError(
                f"neighbours must be in [1, {config.queue}], the length of the queue, got {config.neighbours}"
            )
        self.same_class = {"cosine": self.same_by_cosine, "ranks": self.same_by_ranks}[config.pairs]

    def __call__(
        self,
        *,
        labels: Tensor,
        unlabelled: Tensor,
        weight: Tensor,
        with_ncl: bool,
        partners: Tensor | None = None,
        shares: Tensor | None = None,
        **given: Tensor,
    ) -> Tensor:
        config, heads = self.config, self.model.heads
        z, z_bar = (self.seen.features(self.model, self.seen.view(given, number)) for number in range(2))
        u, x = slice(self.unlabelled_rows), slice(len(z) - self.labelled_rows, None)
        is_unlabelled = torch.arange(len(z), device=z.device) < unlabelled
        counted_u, counted_x = is_unlabelled[u], ~is_unlabelled[x]
        known, known_bar = heads["known"](z), heads["known"](z_bar)
        novel, novel_bar = heads["novel"](z), heads["novel"](z_bar)
        p, p_bar = novel.softmax(dim=1), novel_bar.softmax(dim=1)
        loss = masked_mean(cross_entropy(known[x], labels, reduction="none"), counted_x)
        loss = loss + pairwise_bce(p[u], p_bar[u], self.same_class(z[u].detach()), counted_u)
        loss = loss + weight * (mse_loss(known.softmax(dim=1), known_bar.softmax(dim=1)) + mse_loss(p, p_bar))
        if with_ncl:
            loss = loss + config.ncl * self.of_neighbours(z, z_bar, u, counted_u, partners, shares)
        if config.scl:
            past = self.labelled_queue.features, self.labelled_queue.labels
            options = {"temperature": config.temperature, "counted": counted_x}
            loss = loss + config.scl * losses.scl(z[x], z_bar[x], labels, *past, **options)
        if config.ncl or config.scl:
            unit = normalize(z.detach(), dim=1)
            self.queue.append(unit[u], counted_u)
            self.labelled_queue.append(unit[x], counted_x, labels)
        return loss

    def of_neighbours(
        self, z: Tensor, z_bar: Tensor, u: slice, counted: Tensor, partners: Tensor | None, shares: Tensor | None
    ) -> Tensor:
        """NCL on the rows ``u``; with hard negatives of both queues where ``partners`` are given."""
        config, queue, other = self.config, self.queue.features, self.labelled_queue.features
        hard = None
        if partners is not None:
            hard = losses.hard_negative_cosines(z[u], queue, other, partners, keep=config.keep, shares=shares)
        return losses.ncl(
            z[u],
            z_bar[u],
            queue,
            neighbours=config.neighbours,
            temperature=config.temperature,
            positive_weight=config.positive_weight,
            hard_cosines=hard,
            counted=counted,
            variant=config.neighbour_search,
        )

    def same_by_cosine(self, features: Tensor) -> Tensor:
        """Whether the cosine of two images' features is above the threshold."""
        unit = normalize(features, dim=1)
        return unit @ unit.T > self.config.threshold

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


def ramp_up(epoch: int, epochs: int) -> float:
    """exp(-5 (1 - t/T)^2), 1 from T on."""
    return math.exp(-5 * (1 - min(epoch / epochs, 1.0)) ** 2)
