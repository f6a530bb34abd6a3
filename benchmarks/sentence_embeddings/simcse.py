"""SimCSE: a sentence finds itself under another dropout mask, or the sentence that follows from it."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.sentence_embeddings.config import SimCSE
from benchmarks.sentence_embeddings.quick_thoughts import LAP, blocks_of, tokenizer
from contrastbench import losses
from contrastbench.data.buckets import in_pieces, through_pieces
from contrastbench.data.pretrained import load_pretrained
from contrastbench.data.sentence_tests import load_tasks, load_triplets
from contrastbench.data.text import Vocabulary, load_corpus
from contrastbench.encoders.pretrained_text import pretrained_encoder
from contrastbench.encoders.text import TextEncoder, two_encoders
from contrastbench.evaluation.sentences import embedder, sentence_metrics
from contrastbench.randomness import generator, seeded_dropout
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches, products_in

DEV, DEV_METRIC = "STSB-dev", "validation_stsb_spearman_x100"
TRIPLETS = ("SNLI",)
read_corpus = functools.lru_cache(maxsize=1)(load_corpus)  # a worker does many runs on the same corpus
Tokenize = Callable[[Sequence[str]], list[np.ndarray]]


def simcse(config: SimCSE, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Trains from the start, then tests the last or the selected step; ``epochs=0`` tests the start as it is."""
    tests, dev = load_tasks(config.tests), load_tasks([DEV] if config.selection == "best_on_stsb_dev" else [])
    texts = read_texts(config, log) if config.epochs else []
    encoder, tokenize = started(config, seed, checkpoint, log)
    encoder.to(device)
    step = training_step(config, encoder, device)
    columns = [[row[: config.longest] for row in tokenize(column)] for column in texts]
    columns *= 2 if len(columns) == 1 else 1  # a sentence finds itself
    orders = [batches(len(columns[0]), config.batch, generator(seed, "order", e)) for e in range(config.epochs)]
    plan = [batch.tolist() for order in orders for batch in order]
    lap_steps = config.evaluate_every if config.selection == "best_on_stsb_dev" else LAP
    laps = -(-len(plan) // lap_steps)
    log.total(laps, unit=f"laps of {lap_steps} steps")
    best: dict[str, Any] = {}
    parts = {"encoder": encoder, "optimizer": step.optimizer, "best": best}
    embed = embedder(encoder, tokenize, device)
    encoder.train()
    for lap in range(checkpoint.restore(**parts), laps):
        with seeded_dropout(seed, lap, device):
            for number in range(lap * lap_steps, min(len(plan), (lap + 1) * lap_steps)):
                step.optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - number / len(plan))
                rows = [column[item] for column in columns for item in plan[number]]
                step(**in_pieces(rows, config.pieces, config.longest, encoder.padding, config.widths))
        log(lap, loss=step.mean_loss(lap))
        if dev:
            _keep_best(best, encoder, sentence_metrics(embed, dev, log.data)[DEV_METRIC], lap)
        checkpoint.save(lap + 1, **parts)
    if best:
        encoder.load_state_dict(best["state"])
    log.selected_by("best step on STS-B dev" if best else "last step")
    checkpoint.keep(encoder=encoder)
    return sentence_metrics(embed, tests, log.data, folds=config.folds, device=device)


def training_step(config: SimCSE, encoder: TextEncoder, device: str) -> TrainingStep:
    """One step of AdamW on the config's loss."""
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=config.learning_rate, weight_decay=0.0)
    return TrainingStep(loss_of(config, encoder), optimizer, modules=[encoder], device=device)


def started(config: SimCSE, seed: int, checkpoint: Checkpoint, log: Log) -> tuple[TextEncoder, Tokenize]:
    """What to go on from: the pretrained model that the config names, or the encoders of the run ``pretrain``."""
    rng = generator(seed, "weights")
    if config.model:
        found = load_pretrained(config.model)
        log.data(config.model, found.sha256)
        settings = {"pooler": config.pooler, "longest": config.longest, "layers": config.layers}
        return pretrained_encoder(found.folder, **settings, rng=rng)
    kept = checkpoint.needed("pretrain")
    vocabulary = Vocabulary(tuple(kept["words"]))
    encoder = two_encoders(kept["encoder"], len(vocabulary), kept["word_width"], kept["width"], rng=rng)
    encoder.load_state_dict(kept["encoders"])
    return encoder, tokenizer(vocabulary)


def read_texts(config: SimCSE, log: Log) -> list[Sequence[str]]:
    """The sentences; or premises, what follows from them, and what contradicts them.

    Raises:
        ValueError: fewer of them than a batch takes.
    """
    if config.data in TRIPLETS:
        triplets = load_triplets(config.data)
        log.data(config.data, triplets.sha256)
        count = len(triplets.premise)
        taken = min(config.sentences, count) or count
        kept = [place * count // taken for place in range(taken)]
        parts = (triplets.premise, triplets.entailed, triplets.contradiction)
        columns: list[Sequence[str]] = [[part[item] for item in kept] for part in parts]
    else:
        corpus = read_corpus(config.data)
        log.data(config.data, corpus.sha256)
        columns = [blocks_of(corpus.sentences, config.sentences, config.batch)]
    if len(columns[0]) < config.batch:
        raise ValueError(f"{config.data} has {len(columns[0])} items, a batch takes {config.batch}")
    return columns


def loss_of(config: SimCSE, encoder: TextEncoder) -> Callable[..., Tensor]:
    """The step's loss, as a function of a batch in pieces; the batch is its columns one after the other."""
    columns = 3 if config.data in TRIPLETS else 2

    def loss(**inputs: Tensor) -> Tensor:
        with products_in(config.precision, inputs["order"]):
            parts = through_pieces(encoder, inputs).float().chunk(columns)
        if config.loss == "simcse" and columns == 2:
            return losses.info_nce(*parts, temperature=config.temperature)
        settings = {"temperature": config.temperature, "hard_weight": config.hard_weight}
        if config.loss == "simcse":
            return losses.simcse_supervised(*parts, **settings)
        beta = config.beta if config.loss == "hcl" else 0.0
        return losses.hard_simcse(*parts, **settings, tau_plus=config.tau_plus, beta=beta)

    return loss


def _keep_best(best: dict[str, Any], encoder: TextEncoder, score: float, lap: int) -> None:
    """Keeps the encoder's weights if their score is the best so far; of equals, the first."""
    if not best or score > best["score"]:
        state = {name: value.detach().cpu().clone() for name, value in encoder.state_dict().items()}
        best.update(score=score, lap=lap, state=state)
