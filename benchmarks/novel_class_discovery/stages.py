"""Stages 1 and 2, and what all stages share: building a network and training it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.novel_class_discovery import config as settings
from benchmarks.novel_class_discovery.config import Pretrain, Supervise
from benchmarks.novel_class_discovery.model import Network, load_encoder, network
from benchmarks.novel_class_discovery.task import InMemory, Pictures, Task, chunks, load_task
from benchmarks.novel_class_discovery.views import Seen, rotate
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches


@dataclass(frozen=True)
class Training:
    """A network in training: how it sees images, its step, and the inputs of all steps of an epoch."""

    network: Network
    seen: Seen
    step: TrainingStep
    inputs: Callable[[int], Iterator[dict[str, Any]]]

    def run(self, epochs: int, rate_of: Callable[[int], float], checkpoint: Checkpoint, log: Log) -> None:
        """Trains until the last epoch; ``rate_of`` gives the learning rate of an epoch."""
        parts = {"modules": nn.ModuleList(self.step.modules), "optimizer": self.step.optimizer}
        for epoch in range(checkpoint.restore(**parts), epochs):
            set_rate(self.step.optimizer, rate_of(epoch))
            parts["modules"].train()
            for given in self.inputs(epoch):
                self.step(**given)
            log(epoch, loss=self.step.mean_loss(epoch))
            checkpoint.save(epoch + 1, **parts)


def pretrain(config: Pretrain, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Stage 1: by how many quarters is an image turned? All images, no labels; the last epoch is kept."""
    task = load_task(config, device, log)
    check_batch(config.batch, len(task.train))
    model, seen = build_network(config, task, {"rotation": 4}, seed, device), Seen(config, task)
    optimizer = torch.optim.SGD(
        model.parameters(), config.learning_rate, momentum=0.9, weight_decay=config.weight_decay, nesterov=True
    )

    def loss_of(**given: Tensor) -> Tensor:
        turned = rotate(seen.view(given))
        return cross_entropy(model.heads["rotation"](seen.features(model, turned)), quarters(turned))

    def inputs(epoch: int) -> Iterator[dict[str, Any]]:
        rng = generator(seed, "augmentation", epoch)
        for index in batches(len(task.train), config.batch, generator(seed, "order", epoch)):
            yield seen.inputs(index, 1, rng)

    def rate(epoch: int) -> float:
        return config.learning_rate * 0.2 ** sum(epoch >= drop for drop in config.drops)

    training = Training(model, seen, TrainingStep(loss_of, optimizer, modules=[model], device=device), inputs)
    training.run(config.epochs, rate, checkpoint, log)
    checkpoint.keep(encoder=model.encoder_state(), about=task.about)
    log.selected_by("last epoch")
    accuracy = [rotation_accuracy(training, source) for source in (task.test_known, task.test_novel)]
    sizes = len(task.test_known), len(task.test_novel)
    mean = sum(a * n for a, n in zip(accuracy, sizes, strict=True)) / sum(sizes)
    return {"test_rotation_accuracy_percent": mean}


def supervise(config: Supervise, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Stage 2: cross-entropy on the known classes, from stage 1's encoder or from nothing."""
    task = load_task(config, device, log)
    check_batch(config.batch, task.labelled)
    seen = Seen(config, task)
    model = build_network(config, task, {"known": task.known, "novel": task.novel}, seed, device)
    if config.frozen:
        model.freeze_below()
    optimizer = torch.optim.SGD(model.trainable(), config.learning_rate, momentum=0.9, weight_decay=config.weight_decay)

    def loss_of(labels: Tensor, **given: Tensor) -> Tensor:
        return cross_entropy(model.heads["known"](seen.features(model, seen.view(given))), labels)

    def inputs(epoch: int) -> Iterator[dict[str, Any]]:
        rng = generator(seed, "augmentation", epoch)
        for index in batches(task.labelled, config.batch, generator(seed, "order", epoch)):
            yield {"labels": task.labels[index], **seen.inputs(index, 1, rng)}

    def rate(epoch: int) -> float:
        return config.learning_rate * config.drop_factor ** (epoch // config.drop_every)

    training = Training(model, seen, TrainingStep(loss_of, optimizer, modules=[model], device=device), inputs)
    if config.start != "nothing":
        load_encoder(model, checkpoint.needed("pretrain"), task.about, "pretrain")
    training.run(config.epochs, rate, checkpoint, log)
    checkpoint.keep(encoder=model.encoder_state(), heads=model.heads, about=task.about)
    log.selected_by("last epoch")
    predicted = model.heads["known"](seen.all(model, task.test_known)).argmax(dim=1).cpu()
    return {"test_known_accuracy_percent": 100 * float((predicted == task.test_known_labels).float().mean())}


def build_network(config: settings.Task, task: Task, heads: dict[str, int], seed: int, device: str) -> Network:
    model = network(config.encoder, channels=task.channels, heads=heads, rng=generator(seed, "weights"))
    return model.to(device, memory_format=torch.channels_last)


def quarters(turned: Tensor) -> Tensor:
    """The turns of ``rotate``: [0 ... 0, 1 ... 1, 2 ... 2, 3 ... 3]."""
    return torch.arange(4, device=turned.device).repeat_interleave(len(turned) // 4)


@torch.no_grad()
def rotation_accuracy(training: Training, source: InMemory | Pictures) -> float:
    """Percent of the images, each turned all four ways, whose turn is told right."""
    model, seen, right = training.network.eval(), training.seen, 0
    for pixels in chunks(source):
        turned = rotate(seen.plain(pixels))
        told = model.heads["rotation"](seen.features(model, turned)).argmax(dim=1)
        right += int((told == quarters(turned)).sum())
    return 100 * right / (4 * len(source))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def check_batch(batch: int, images: int) -> None:
    """Raises ValueError unless an epoch of these images has a whole batch."""
    if not 2 <= batch <= images:
        raise ValueError(f"batch must be 2 to {images}, the number of training images; got {batch}")
