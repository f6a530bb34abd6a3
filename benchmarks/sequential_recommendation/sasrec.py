"""SASRec, alone or with a contrastive loss beside it: one training loop for all."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, normalize

from benchmarks.sequential_recommendation import iclrec
from benchmarks.sequential_recommendation.batches import VIEWS, WHOLE, Task, load_task
from benchmarks.sequential_recommendation.config import WITH_PREDICTION, Train
from contrastbench import losses
from contrastbench.encoders.sequences import PADDING, SequenceEncoder, sequence_encoder
from contrastbench.evaluation.ranking import RULES, rank_next_items
from contrastbench.randomness import generator, seeded_dropout
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep


def train(config: Train, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Trains until the validation score has not risen for some epochs, then tests the best epoch."""
    task = load_task(config)
    log.data(config.dataset, task.split.data.sha256)
    encoder = build(config, task, seed).to(device)
    if config.start == "pretrain":
        start_from(encoder, checkpoint.needed("pretrain")["encoder"])
    step = training_step(config, encoder, device)
    best: dict[str, Any] = {}
    last: dict[str, Tensor] = {}  # the centres of intents
    parts = {"encoder": encoder, "optimizer": step.optimizer, "best": best, "last": last}
    log.total(config.epochs)
    for epoch in range(checkpoint.restore(**parts), config.epochs):
        if is_over(config, best, epoch):
            break
        encoder.train()
        with seeded_dropout(seed, epoch, device):
            for inputs in task.epoch(seed, epoch, encoder, last):
                step(**inputs)
        loss = step.mean_loss(epoch)
        if config.selection == "last":
            log(epoch, loss=loss)
        else:
            log(epoch, loss=loss, **keep_best(best, config, encoder, task, epoch, device))
        checkpoint.save(epoch + 1, **parts)
    if best:
        encoder.load_state_dict(best["state"])
    log.selected_by(f"best epoch by validation {config.selection}" if best else "last epoch")
    ranks: dict[str, Tensor] = {}
    found = rank_next_items(encoder, task.split, "test", RULES, device, ranks)
    checkpoint.keep(encoder=encoder, ranks=ranks, items=list(task.split.data.ids))
    return {**found, "selected_epoch": best.get("epoch", config.epochs - 1) + 1}


def build(config: Train, task: Task, seed: int) -> SequenceEncoder:
    sizes = {"width": config.width, "layers": config.layers, "heads": config.heads, "dropout": config.dropout}
    return sequence_encoder(task.items, config.longest, **sizes, rng=generator(seed, "weights"))


def start_from(encoder: SequenceEncoder, weights: dict[str, Tensor]) -> None:
    """Takes over the weights of another encoder.

    Raises:
        ValueError: it has other sizes.
    """
    own = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    kept = {name: tuple(value.shape) for name, value in weights.items()}
    if differing := sorted(name for name in own | kept if own.get(name) != kept.get(name)):
        name = differing[0]
        raise ValueError(
            f"the encoder needed as 'pretrain' must have this run's data set, width, layers and longest; {name} is "
            f"{kept.get(name, 'missing')} there and {own.get(name, 'missing')} here"
        )
    encoder.load_state_dict(weights)


def training_step(config: Train, encoder: SequenceEncoder, device: str) -> TrainingStep:
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate)
    return TrainingStep(loss_of(config, encoder), optimizer, modules=[encoder], device=device)


def loss_of(config: Train, encoder: SequenceEncoder) -> Callable[..., Tensor]:
    """The step's loss, as a function of a batch in pieces."""
    next_item = {"bce": binary, "ce": among_all}[config.loss]
    pieces = range(config.pieces)

    def compared(rows: Tensor) -> Tensor:
        return encoder(rows).flatten(1) if config.views in WHOLE else encoder.last(rows)

    def loss(**inputs: Tensor) -> Tensor:
        sums, counts, everything = [], [], []
        for number in pieces:
            rows, targets, negatives = (inputs.get(f"{name}{number}") for name in ("main", "target", "negative"))
            assert rows is not None and targets is not None
            if config.views == "iclrec" or config.partner in WITH_PREDICTION:
                everything.append(encoder(rows))
                states = everything[-1][:, -targets.shape[1] :].flatten(0, 1)
            else:
                states, targets, negatives = predicting(encoder, rows, targets, negatives)
            sums.append(next_item(encoder, states, targets.flatten(), negatives))
            counts.append((targets != PADDING).sum())
        total = torch.stack(sums).sum() / torch.stack(counts).sum()
        if config.views == "none":
            return total
        if config.partner in WITH_PREDICTION:
            z = torch.cat([states[:, -1] for states in everything])
            views = (torch.cat([compared(inputs[f"{v}{n}"]) for n in pieces]) for v in WITH_PREDICTION[config.partner])
            return total + config.weight * torch.stack([contrastive(config, z, z_v) for z_v in views]).sum()
        z_a, z_b = (torch.cat([compared(inputs[f"{view}{n}"]) for n in pieces]) for view in VIEWS)
        left_out = config.false_negatives == "left_out"
        labels = torch.cat([inputs[f"label{n}"][:, 0] for n in pieces]) if left_out else None
        total = total + config.weight * contrastive(config, z_a, z_b, labels)
        if config.views != "iclrec":
            return total
        own, intents = iclrec.intents(torch.cat(everything), inputs["centres"])
        views = (torch.cat([encoder(inputs[f"{view}{n}"]).mean(dim=1) for n in pieces]) for view in VIEWS)
        labels = own if left_out else None
        return total + config.intent_weight * sum(contrastive(config, z, intents, labels) for z in views) / 2

    return loss


def predicting(
    encoder: SequenceEncoder, rows: Tensor, targets: Tensor, negatives: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The outputs [M, D] that have a target, the targets [M] and the negatives [M].

    A CPU spends no time on padding; on a GPU, whose step is captured, padding's outputs have padding for a target.
    """
    if targets.shape[1] == 1:
        return encoder.last(rows), targets, negatives
    if rows.device.type == "cpu":
        there = rows != PADDING
        return encoder.of_items(rows), targets[there], None if negatives is None else negatives[there]
    return encoder(rows).flatten(0, 1), targets, negatives


def binary(encoder: SequenceEncoder, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
    """Sum over the targets [M] of -log sigmoid(score) - log sigmoid(-score of one negative)."""
    assert negatives is not None
    score, other = ((states * encoder.items(numbers)).sum(dim=1) for numbers in (targets, negatives.flatten()))
    each = -logsigmoid(score) - logsigmoid(-other)
    return torch.where(targets != PADDING, each, 0.0).sum()


def among_all(encoder: SequenceEncoder, states: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
    """Sum over the targets [M] of -log softmax over padding and all items, as RecBole; the mask does not compete."""
    scores = encoder.scores(states)[:, :-1]
    return cross_entropy(scores, targets, ignore_index=PADDING, reduction="sum")


def contrastive(config: Train, z_a: Tensor, z_b: Tensor, labels: Tensor | None = None) -> Tensor:
    """NT-Xent, DCL or HCL between two views [B, D], by dot product or cosine.

    Rows of one of the ``labels`` [B] are no negatives of each other.
    """
    z = torch.cat([z_a, z_b])
    if config.similarity == "cosine":
        z = normalize(z, dim=1)
    items = len(z_a)
    scores = z @ (z / config.temperature).T
    labels = torch.arange(items, device=z.device) if labels is None else labels
    labels = labels.repeat(2)
    keep = labels[:, None] != labels
    return losses.hard_info_nce(
        scores.diagonal(items).repeat(2),
        scores,
        tau_plus=config.tau_plus if config.contrast != "nt_xent" else 0.0,
        beta=config.beta if config.contrast == "hcl" else 0.0,
        log_floor=-1 / config.temperature if config.similarity == "cosine" else -float("inf"),
        keep=keep,
    )


def is_over(config: Train, best: dict[str, Any], epoch: int) -> bool:
    """Whether the validation score has not risen for ``patience`` epochs; RecBole, of the prefixes, waits one more."""
    return bool(best) and epoch - 1 - best["epoch"] >= config.patience + (config.sequences == "prefixes")


def keep_best(
    best: dict[str, Any], config: Train, encoder: SequenceEncoder, task: Task, epoch: int, device: str
) -> dict[str, float]:
    """Keeps the weights if their validation score is the best so far; of equals, the first. Returns the score."""
    rule = config.selection.partition("_")[2]
    found = rank_next_items(encoder, task.split, "validation", (rule,), device)
    name = f"validation_{config.selection}_percent"
    if not best or found[name] > best["score"]:
        state = {key: value.detach().cpu().clone() for key, value in encoder.state_dict().items()}
        best.update(score=found[name], epoch=epoch, state=state)
    return {name: found[name]}
