"""Stage 3: trains with labelled and unlabelled images together, by AutoNovel's losses and NCL's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.novel_class_discovery.config import Discover
from benchmarks.novel_class_discovery.joint import Joint
from benchmarks.novel_class_discovery.model import Network, load_encoder
from benchmarks.novel_class_discovery.outcome import outcome
from benchmarks.novel_class_discovery.pictures import InMemory, Pictures
from benchmarks.novel_class_discovery.queues import Memory, Plan
from benchmarks.novel_class_discovery.stages import Seen, Training, built, set_rate
from benchmarks.novel_class_discovery.task import Task, load_task, mixed_batches
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep

ESTIMATED = -1  # Config.clusters: as many as the run ``estimate`` found


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
    """Takes over stage 2's weights. Those of the novel head, not trained yet, are taken if its size is the same."""
    load_encoder(model, artefact, task.about, "supervise")
    heads = artefact["heads"]
    same = heads["novel.weight"].shape == model.heads["novel"].weight.shape
    model.heads.load_state_dict(heads if same else {**model.heads.state_dict(), **_of("known", heads)})


def _of(head: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.startswith(f"{head}.")}
