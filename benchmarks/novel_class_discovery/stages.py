"""Stages 1 and 2, and what all stages share: building a network, an epoch of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.novel_class_discovery import config as settings
from benchmarks.novel_class_discovery.config import Pretrain, Supervise
from benchmarks.novel_class_discovery.model import Network, load_encoder, network
from benchmarks.novel_class_discovery.task import InMemory, Pictures, Task, chunks, load_task
from benchmarks.novel_class_discovery.views import Seen, rotate
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches

Steps = tuple[TrainingStep, Iterator[dict[str, Any]]]  # a step, and the inputs of an epoch of them


@dataclass(frozen=True)
class Training:
    """A network in training: its step, and the inputs of all steps of an epoch."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: TrainingStep
    inputs: Callable[[int], Iterator[dict[str, Any]]]

    def epoch(self, number: int) -> float:
        """Takes an epoch's steps; returns the mean loss in nats."""
        self.model.train()
        for given in self.inputs(number):
            self.step(**given)
        return self.step.mean_loss(number)

    def steps(self, epoch: int = 0) -> Steps:
        """The epoch's steps one by one, for tests on devices that are not here."""
        self.model.train()
        return self.step, self.inputs(epoch)


def pretrain(config: Pretrain, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Stage 1: by how many quarters is an image turned? All images, no labels; the last epoch is kept."""
    task = load_task(config, device, log)
    model = build_network(config, task, {"rotation": 4}, seed, device)
    training = pretraining(config, task, model, seed, device)
    start = checkpoint.restore(model=model, optimizer=training.optimizer)
    for epoch in range(start, config.epochs):
        set_rate(training.optimizer, config.learning_rate * 0.2 ** sum(epoch >= drop for drop in config.drops))
        log(epoch, loss=training.epoch(epoch))
        checkpoint.save(epoch + 1, model=model, optimizer=training.optimizer)
    checkpoint.keep(encoder=model.encoder_state(), about=task.about)
    log.selected_by("last epoch")
    seen = Seen(config, task)
    accuracy = [rotation_accuracy(seen, model, source) for source in (task.test_known, task.test_novel)]
    sizes = len(task.test_known), len(task.test_novel)
    mean = sum(a * n for a, n in zip(accuracy, sizes, strict=True)) / sum(sizes)
    return {"test_rotation_accuracy_percent": mean}


def pretraining(config: Pretrain, task: Task, model: Network, seed: int, device: str) -> Training:
    check_batch(config.batch, len(task.train))
    seen = Seen(config, task)
    optimizer = torch.optim.SGD(
        model.parameters(), config.learning_rate, momentum=0.9, weight_decay=config.weight_decay, nesterov=True
    )

    def loss_of(**given: Tensor) -> Tensor:
        turned = rotate(seen.view(given))
        logits = model.heads["rotation"](seen.features(model, turned))
        return torch.nn.functional.cross_entropy(logits, quarters(len(turned), logits.device))

    def inputs(epoch: int) -> Iterator[dict[str, Any]]:
        rng = generator(seed, "augmentation", epoch)
        for index in batches(len(task.train), config.batch, generator(seed, "order", epoch)):
            yield seen.inputs(index, 1, rng)

    return Training(model, optimizer, TrainingStep(loss_of, optimizer, modules=[model], device=device), inputs)


def pretraining_step(config: Pretrain, device: str, seed: int = 0) -> Steps:
    task = load_task(config, device, Log())
    return pretraining(config, task, build_network(config, task, {"rotation": 4}, seed, device), seed, device).steps()


def supervise(config: Supervise, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Stage 2: cross-entropy on the known classes, from stage 1's encoder or from nothing."""
    if config.start not in ("pretrain", "nothing"):
        raise ValueError(f"unknown start {config.start!r}; novel_class_discovery has: pretrain, nothing")
    task = load_task(config, device, log)
    model = build_network(config, task, {"known": task.known, "novel": task.novel}, seed, device)
    if config.start == "pretrain":
        load_encoder(model, checkpoint.needed("pretrain"), task.about, "pretrain")
    training = supervising(config, task, model, seed, device)
    start = checkpoint.restore(model=model, optimizer=training.optimizer)
    for epoch in range(start, config.epochs):
        set_rate(training.optimizer, config.learning_rate * config.drop_factor ** (epoch // config.drop_every))
        log(epoch, loss=training.epoch(epoch))
        checkpoint.save(epoch + 1, model=model, optimizer=training.optimizer)
    checkpoint.keep(encoder=model.encoder_state(), heads=model.heads, about=task.about)
    log.selected_by("last epoch")
    features = torch.cat(Seen(config, task).all(model, task.test_known))
    predicted = model.heads["known"](features).argmax(dim=1).cpu()
    return {"test_known_accuracy_percent": 100 * float((predicted == task.test_known_labels).float().mean())}


def supervising(config: Supervise, task: Task, model: Network, seed: int, device: str) -> Training:
    check_batch(config.batch, task.labelled)
    seen = Seen(config, task)
    if config.frozen:
        model.freeze_below()
    optimizer = torch.optim.SGD(model.trainable(), config.learning_rate, momentum=0.9, weight_decay=config.weight_decay)

    def loss_of(labels: Tensor, **given: Tensor) -> Tensor:
        logits = model.heads["known"](seen.features(model, seen.view(given)))
        return torch.nn.functional.cross_entropy(logits, labels)

    def inputs(epoch: int) -> Iterator[dict[str, Any]]:
        rng = generator(seed, "augmentation", epoch)
        for index in batches(task.labelled, config.batch, generator(seed, "order", epoch)):
            yield {"labels": task.labels[index], **seen.inputs(index, 1, rng)}

    return Training(model, optimizer, TrainingStep(loss_of, optimizer, modules=[model], device=device), inputs)


def supervising_step(config: Supervise, device: str, seed: int = 0) -> Steps:
    task = load_task(config, device, Log())
    model = build_network(config, task, {"known": task.known, "novel": task.novel}, seed, device)
    return supervising(config, task, model, seed, device).steps()


def build_network(config: settings.Task, task: Task, heads: dict[str, int], seed: int, device: str) -> Network:
    model = network(config.encoder, channels=task.channels, heads=heads, rng=generator(seed, "weights"))
    return model.to(device, memory_format=torch.channels_last)


def quarters(count: int, device: torch.device) -> Tensor:
    """The turns of ``rotated``: [0 ... 0, 1 ... 1, 2 ... 2, 3 ... 3]."""
    return torch.arange(4, device=device)[:, None].expand(4, count // 4).reshape(count)


def rotation_accuracy(seen: Seen, model: Network, source: InMemory | Pictures) -> float:
    """Percent of the images, each turned all four ways, whose turn is told right."""
    model.eval()
    right = torch.zeros((), device=next(model.parameters()).device)
    with torch.no_grad():
        for pixels in chunks(source):
            turned = rotate(seen.plain(pixels))
            told = model.heads["rotation"](seen.features(model, turned)).argmax(dim=1)
            right += (told == quarters(len(turned), told.device)).sum()
    return 100 * float(right) / (4 * len(source))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def check_batch(batch: int, images: int) -> None:
    """Raises ValueError unless an epoch of these images has a whole batch."""
    if not 2 <= batch <= images:
        raise ValueError(f"batch must be 2 to {images}, the number of training images; got {batch}")
