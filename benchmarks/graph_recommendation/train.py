"""The stages of the paper, by the names that runs call them by."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from benchmarks.graph_recommendation import counted, losses
from benchmarks.graph_recommendation.batches import NOISY_PASSES, Task, load_task, split_pairs
from benchmarks.graph_recommendation.config import Count, Train
from benchmarks.graph_recommendation.model import Recommender
from contrastbench.data.pairs import Pairs, in_order
from contrastbench.encoders.bipartite import propagate
from contrastbench.evaluation.recommendation import recommendation_metrics
from contrastbench.losses import triplet
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep

CUTS = (10, 20, 40, 100)


def train(config: Train, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Trains for all epochs or until the score has not risen for a while, then tests the best epoch."""
    task = load_task(config, seed)
    log.data(config.dataset, task.data.sha256)
    model = built(config, task).to(device)
    if config.start == "pretrain":
        model.embeddings.data.copy_(checkpoint.needed("pretrain")["embeddings"])
    step = training_step(config, model, device)
    best: dict[str, Any] = {}
    parts = {"model": model, "optimizer": step.optimizer, "best": best}
    log.total(config.epochs)
    for epoch in range(checkpoint.restore(**parts), config.epochs):
        if best and config.patience and best["looks_since"] >= config.patience:
            break
        for inputs in task.epoch(epoch, model):
            step(**inputs)
        loss = step.mean_loss(epoch)
        looked = config.selection != "last" and epoch % config.every == 0
        log(epoch, loss=loss, **(keep_best(best, config, model, task, epoch) if looked else {}))
        checkpoint.save(epoch + 1, **parts)
    if best:
        model.load_state_dict(best["state"])
    log.selected_by(f"best epoch by {config.selection}" if best else "last epoch")
    return {**ranked(model, task.data, "test"), "selected_epoch": best.get("epoch", config.epochs - 1) + 1}


def pretrain(config: Train, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Trains by the contrastive loss alone; keeps the last embeddings for a run that goes on from them."""
    task = load_task(config, seed)
    log.data(config.dataset, task.data.sha256)
    model = built(config, task).to(device)
    step = training_step(config, model, device)
    parts = {"model": model, "optimizer": step.optimizer}
    log.total(config.epochs)
    for epoch in range(checkpoint.restore(**parts), config.epochs):
        for inputs in task.epoch(epoch, model):
            step(**inputs)
        log(epoch, loss=step.mean_loss(epoch))
        checkpoint.save(epoch + 1, **parts)
    checkpoint.keep(embeddings=model.embeddings.detach().cpu())
    log.selected_by("last epoch")
    return ranked(model, task.data, "test")


def count(config: Count, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Ranks by counts, or by EASE with the ridge that is best in validation. Computed on the CPU."""
    data = split_pairs(config, seed)
    log.data(config.dataset, data.sha256)
    if config.method != "ease":
        log.selected_by("nothing to select")
        made = {"popularity": counted.popularity, "item_knn": counted.item_neighbours}[config.method]
        return ranked_by(made(data), data, "test")
    log.selected_by("best ridge by ndcg20")
    ridge = config.ridges[0]
    if len(config.ridges) > 1:
        looks = {each: ranked_by(counted.ease(data, each), data, "validation", (20,)) for each in config.ridges}
        ridge = max(looks, key=lambda each: looks[each]["validation_ndcg20_train_percent"])
    return {**ranked_by(counted.ease(data, ridge), data, "test"), "selected_ridge": ridge}


def built(config: Train, task: Task) -> Recommender:
    return Recommender(config, task.data, task.graph, generator(task.seed, "weights"))


def training_step(config: Train, model: Recommender, device: str) -> TrainingStep:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=config.learning_rate, fused=device == "cpu")
    # Steps have batches of other shapes and graphs of other sizes: not captured.
    return TrainingStep(loss_of(config, model), optimizer, modules=[model], device=device, capture=False)


def loss_of(config: Train, model: Recommender) -> Callable[..., Tensor]:
    """The step's loss, as a function of a batch."""
    passes = NOISY_PASSES.get(config.method, (False,))

    def loss(users: Tensor, items: Tensor, negatives: Tensor, **more: Any) -> Tensor:
        ego = model.ego
        noises = [more.get(f"noise{number}") for number in range(len(passes))]
        outputs = propagate(ego, more.get("graph", model.layers), noises, config.eps)
        z = model.readout(outputs[0])
        total = z.new_zeros(())
        if config.loss != "none":
            nodes = torch.cat([users, items + model.users, negatives + model.users])
            rows = embedding(nodes, z)
            total = main_loss(config, *rows.chunk(3), more.get("allowed"))
            if config.reg:
                total = total + losses.penalty(config, ego, nodes, rows)
        if config.method == "lightgcn":
            return total
        beside = contrast_of(config, model, ego, outputs, z, {"users": users, "items": items, **more})
        return total + (len(users) if config.reduction == "sum" else 1) * beside

    return loss


def main_loss(config: Train, user: Tensor, item: Tensor, negative: Tensor, allowed: Tensor | None) -> Tensor:
    if allowed is not None:
        negative = item[losses.hardest_in_batch(user.detach(), item.detach(), allowed)]
    if config.loss == "triplet":  # with unit vectors a difference of squared distances is twice one of cosines
        return triplet(user, item, negative, margin=2 * config.margin) / 2
    return losses.bpr(user, item, negative)


def contrast_of(
    config: Train, model: Recommender, ego: Tensor, outputs: list[list[Tensor]], z: Tensor, inputs: dict[str, Any]
) -> Tensor:
    """The weighted contrastive loss: users and items apart, each side's nodes between two of its embeddings."""
    if config.method == "ncl":
        return neighbourhoods(config, model, ego, outputs[0], inputs)
    if config.method == "integrated":
        user, item = (model.sides(model.readout(each))[side] for side, each in enumerate(outputs))
        return config.weight * losses.in_batch(config, user[inputs["users"]], item[inputs["items"]])
    if config.method == "sgl":
        a, b = (model.readout(propagate(ego, inputs[view])[0]) for view in "ab")
    elif config.method == "simgcl":
        a, b = (model.readout(each) for each in outputs[1:])
    else:
        a, b = z, outputs[0][config.contrast_layer]
    return config.weight * between(config, model, a, b, inputs)


def between(config: Train, model: Recommender, a: Tensor, b: Tensor, inputs: dict[str, Any]) -> Tensor:
    """Each of the batch's nodes must find its row of ``b`` from its row of ``a`` [N, D], among the batch's or all."""
    sides = ("users", "items", "negatives") if config.third_view else ("users", "items")
    once = [inputs[f"{side}_once"] for side in sides]
    nodes = torch.cat([once[0], *(each + model.users for each in once[1:])])
    queries, keys = (embedding(nodes, each).split([*map(len, once)]) for each in (a, b))
    if config.against == "batch":
        return torch.stack([losses.in_batch(config, *pair) for pair in zip(queries, keys, strict=True)]).sum()
    users, items = model.sides(b)
    return torch.stack([
        losses.nce(query, key, users if side == "users" else items, inputs[f"{side}_share"], config.temperature)
        for side, query, key in zip(sides, queries, keys, strict=True)
    ]).sum()  # fmt: skip


def neighbourhoods(
    config: Train, model: Recommender, ego: Tensor, outputs: list[Tensor], inputs: dict[str, Any]
) -> Tensor:
    """NCL-rec: a node's E_2 must find its E_0 among all of its side, and its E_0 the centre of its cluster."""
    total = ego.new_zeros(())
    near = model.sides(outputs[config.structure_layer])
    for side, near_side, own in zip(("users", "items"), near, model.sides(ego), strict=True):
        nodes, shares = inputs[f"{side}_once"], inputs[f"{side}_share"]
        alpha = config.item_weight if side == "items" else 1.0
        found = losses.nce(near_side[nodes], own[nodes], own, shares, config.temperature)
        total = total + config.weight * alpha * found
        if f"{side}_centres" in inputs:
            alpha = alpha if config.alpha_on == "both" else 1.0
            found = losses.prototype(config, own, inputs[side], inputs, side)
            total = total + config.prototype_weight * alpha * found
    return total


def keep_best(best: dict[str, Any], config: Train, model: Recommender, task: Task, epoch: int) -> dict[str, float]:
    """Keeps the weights if their score is the best so far; of equals, the first. Returns the score."""
    name, data = config.selection, task.data
    split, cut = ("test", 20) if name == "test_ndcg20" else ("validation", int(name[-2:]))
    found = ranked(model, data, split, (cut,))
    score = found[f"{split}_{name.removeprefix('test_')}_train_percent"]
    if not best or score > best["score"]:
        state = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
        best.update(score=score, epoch=epoch, state=state, looks_since=0)
    else:
        best["looks_since"] += 1
    return found


def ranked(model: Recommender, data: Pairs, part: str, cuts: tuple[int, ...] = CUTS) -> dict[str, float]:
    ours, theirs = model.final()
    return ranked_by(lambda users: ours[users.to(ours.device)] @ theirs.T, data, part, cuts)


def ranked_by(scores_of: counted.Scores, data: Pairs, part: str, cuts: tuple[int, ...] = CUTS) -> dict[str, float]:
    """The metrics of "validation", with training pairs masked, or of "test", with both masks."""
    masks = {"train": data.train}
    if part == "test":
        masks["known"] = in_order(np.concatenate([data.train, data.validation]))
    return recommendation_metrics(scores_of, getattr(data, part), masks, split=part, cuts=cuts)
