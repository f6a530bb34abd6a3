"""Triplet mining and its collapse; DrLIM's map of digits in the plane. Both on an MLP of pixels."""

import torch
from torch import Tensor, nn

from benchmarks.loss_studies.config import Map, Mining
from contrastbench import losses
from contrastbench.data.images import Split, fixed_part, load_images
from contrastbench.evaluation.nearest import knn_top1_percent
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep
from contrastbench.weights import seeded_module

EPOCH_BATCHES = 15
MINERS = {
    "every": losses.mine_every,
    "easy": losses.mine_easy,
    "semi_hard": losses.mine_semi_hard,
    "hard": losses.mine_hard,
}


def mining(config: Mining, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict:
    """Trains with one miner; measures retrieval, and how far apart embeddings still are (0 is collapse)."""
    train, test = _digits(config.dataset, config.images, log)
    model = mlp(784, config.hidden, config.width, generator(seed, "weights"))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)

    def loss_of(index: Tensor) -> Tensor:
        z, labels = model(_pixels(train.images[index])), train.labels[index]
        return losses.batch_triplet(z, labels, margin=config.margin, miner=MINERS[config.miner])

    step = TrainingStep(loss_of, optimizer, modules=[model])
    curve: dict[str, list[float]] = {"spread": [], "loss": []}
    start = checkpoint.restore(model=model, optimizer=optimizer, curve=curve)
    for epoch in range(start, config.epochs):
        rng = generator(seed, "order", epoch)
        for _ in range(EPOCH_BATCHES):
            step(index=_draw_balanced(train.labels, config, rng))
        step.mean_loss(epoch)
        measured = {"loss": step.last_loss, "spread": _spread(model, test)}
        curve = {name: [*values, measured[name]] for name, values in curve.items()}
        log(epoch, **measured)
        checkpoint.save(epoch + 1, model=model, optimizer=optimizer, curve=curve)
    return {**_retrieval(model, train, test), "test_mean_distance": curve["spread"][-1], **curve}


def drlim_map(config: Map, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict:
    """Trains DrLIM with the neighbours in pixels, or the labels, as similar pairs; returns the test images' map."""
    train, test = (_only(part, config.digits) for part in _digits(config.dataset, config.images, log))
    similar = _similar(config, train)
    model = mlp(784, config.hidden, 2, generator(seed, "weights"))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)

    def loss_of(first: Tensor, second: Tensor, different: Tensor) -> Tensor:
        x_a, x_b = model(_pixels(train.images[first])), model(_pixels(train.images[second]))
        return losses.drlim(x_a, x_b, different, margin=config.margin)

    step = TrainingStep(loss_of, optimizer, modules=[model])
    start = checkpoint.restore(model=model, optimizer=optimizer)
    for epoch in range(start, config.epochs):
        rng = generator(seed, "order", epoch)
        for _ in range(max(len(train) // (config.batch // 2), 1)):
            first, second, different = _pairs(similar, config.batch, rng)
            step(first=first, second=second, different=different)
        log(epoch, loss=step.mean_loss(epoch))
        checkpoint.save(epoch + 1, model=model, optimizer=optimizer)
    with torch.no_grad():
        points = model(_pixels(test.images))
    return {
        "test_nearest_in_the_map_top1_percent": _nearest_percent(model, train, test),
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
        "label": test.labels.float().tolist(),
    }


def _digits(dataset: str, count: int, log: Log) -> tuple[Split, Split]:
    data = load_images(dataset)
    log.data(dataset, data.sha256)
    return fixed_part(data.train, count), data.test


def _only(split: Split, digits: tuple[int, ...]) -> Split:
    return split.take(torch.isin(split.labels, torch.tensor(digits)).nonzero().squeeze(1))


def _pixels(images: Tensor) -> Tensor:
    return images.flatten(1).float() / 255


def mlp(inputs: int, hidden: int, outputs: int, rng: torch.Generator) -> nn.Sequential:
    """Two hidden layers, with weights from ``rng``."""

    def build() -> nn.Sequential:
        layers = nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        return nn.Sequential(*layers)

    return seeded_module(build, rng)


def _draw_balanced(labels: Tensor, config: Mining, rng: torch.Generator) -> Tensor:
    """``members`` random images of each of ``classes`` random classes."""
    chosen = torch.randperm(int(labels.max()) + 1, generator=rng)[: config.classes]
    groups = []
    for label in chosen:
        of_class = (labels == label).nonzero().squeeze(1)
        groups.append(of_class[torch.randperm(len(of_class), generator=rng)[: config.members]])
    return torch.cat(groups)


@torch.no_grad()
def _spread(model: nn.Module, test: Split) -> float:
    """Mean squared distance between two test embeddings on the unit sphere: 2 when spread evenly, 0 when collapsed."""
    u = torch.nn.functional.normalize(model(_pixels(test.images)), dim=1)
    count = len(u)
    return float(2 - 2 * (u.sum(dim=0).square().sum() - count) / (count * (count - 1)))


@torch.no_grad()
def _retrieval(model: nn.Module, train: Split, test: Split) -> dict[str, float]:
    bank, queries = (model(_pixels(part.images)) for part in (train, test))
    top1 = knn_top1_percent(bank, train.labels, queries, test.labels, neighbours=1)
    return {"test_recall_at_1_percent": top1}


@torch.no_grad()
def _nearest_percent(model: nn.Module, train: Split, test: Split, neighbours: int = 5) -> float:
    """Share of test images whose 5 nearest training images in the map are mostly of their class."""
    bank, queries = (model(_pixels(part.images)) for part in (train, test))
    nearest = torch.cdist(queries, bank).topk(neighbours, dim=1, largest=False).indices
    found = train.labels[nearest].mode(dim=1).values
    return 100 * float((found == test.labels).float().mean())


def _similar(config: Map, train: Split) -> Tensor:
    """[n, n]: whether two training images are similar: among each other's nearest in pixels, or of one label."""
    if not config.neighbours:
        same = train.labels[:, None] == train.labels
        return same.fill_diagonal_(False)
    distance = torch.cdist(_pixels(train.images), _pixels(train.images)).fill_diagonal_(torch.inf)
    nearest = distance.topk(config.neighbours, dim=1, largest=False).indices
    similar = torch.zeros_like(distance, dtype=torch.bool).scatter_(1, nearest, True)
    return similar | similar.T


def _pairs(similar: Tensor, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Half similar pairs, half different ones: two index vectors and which are different."""
    first = torch.randint(len(similar), (count,), generator=rng)
    different = torch.arange(count) % 2 == 0
    allowed = similar[first] != different[:, None]
    allowed[torch.arange(count), first] = False
    chance = torch.rand(count, len(similar), generator=rng)
    return first, chance.masked_fill(~allowed, -1).argmax(dim=1), different
