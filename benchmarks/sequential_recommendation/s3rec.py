"""S3-Rec's pre-training: a transformer that sees both sides learns which items, attributes and runs belong together.

Attributes are brands and categories, an artist's tags, a place's city.

Dimensions: N prefixes of training items, B of them in a batch, T places, I items, A attributes, D wide. Rows are
left-padded; I + 1 is the mask.

Source: Zhou et al. 2020, arXiv:2008.07873, section 4; RUCAIBox/CIKM2020-S3Rec models.py, trainers.py, datasets.py at
2a81540.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from benchmarks.sequential_recommendation.batches import FEWEST, in_pieces, read_interactions
from benchmarks.sequential_recommendation.config import Pretrain
from contrastbench.data import data_root
from contrastbench.data.interactions import Interactions, Split, gensim_words, pad_left
from contrastbench.data.kinds.interactions import places as places_of
from contrastbench.data.sequence_views import lengths_of
from contrastbench.encoders.sequences import PADDING, SequenceEncoder, draw_weights, sequence_encoder
from contrastbench.randomness import generator, seeded_dropout
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches
from contrastbench.weights import build_undrawn

ORIGIN = "data/ of RUCAIBox/CIKM2020-S3Rec at 2a81540 has it for S3-Rec's sets"
LARGEST = 65_536  # attributes; the table has a column for each


class Pretraining(nn.Module):
    """The encoder, and what pre-training alone needs: a linear map for each loss, and embeddings of attributes.

    Args:
        has: bool [I + 2, A + 1], which item has which attribute; None where no loss asks for it.
    """

    def __init__(self, encoder: SequenceEncoder, has: Tensor | None, rng: torch.Generator) -> None:
        super().__init__()
        width = encoder.width
        names = ("aap", "mip", "map", "sp")
        self.maps = build_undrawn(lambda: nn.ModuleDict({name: nn.Linear(width, width) for name in names}))
        self.attributes = None if has is None else build_undrawn(lambda: nn.Embedding(has.shape[1], width))
        draw_weights(self, rng)
        self.encoder = encoder  # its weights are drawn already
        self.register_buffer("has", has, persistent=False)


def pretrain(config: Pretrain, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, float]:
    """Trains on all four losses at once; keeps the encoder of the last epoch."""
    task = load_prefixes(config)
    log.data(config.dataset, task.data.sha256)
    model = build(config, task, seed, log).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    step = TrainingStep(loss_of(config, model), optimizer, modules=[model], device=device)
    last: dict[str, float] = {}
    parts = {"model": model, "optimizer": step.optimizer, "last": last}
    log.total(config.epochs)
    for epoch in range(checkpoint.restore(**parts), config.epochs):
        model.train()
        with seeded_dropout(seed, epoch, device):
            for inputs in task.epoch(seed, epoch):
                step(**inputs)
        last["loss"] = step.mean_loss(epoch)
        log(epoch, **last)
        checkpoint.save(epoch + 1, **parts)
    log.selected_by("last epoch")
    checkpoint.keep(encoder=model.encoder)
    return {"training_loss_of_a_batch_nats": last["loss"]}


def build(config: Pretrain, task: Prefixes, seed: int, log: Log) -> Pretraining:
    """The model with its first weights; the encoder's are those that SASRec begins with under the same seed.

    Raises:
        ValueError: no loss has a weight, or the attributes are missing.
    """
    if not (config.aap or config.mip or config.map or config.sp):
        raise ValueError("one of the weights aap, mip, map and sp must be above 0, got 0 for all")
    has = None
    if config.aap or config.map:
        attributes = read_attributes(config.dataset, task.data.items)
        log.data(attributes.name, attributes.sha256)
        has = attributes.has
    sizes = {"width": config.width, "layers": config.layers, "heads": config.heads, "dropout": config.dropout}
    encoder = sequence_encoder(task.data.items, config.longest, **sizes, rng=generator(seed, "weights"))
    return Pretraining(encoder, has, generator(seed, "maps"))


def loss_of(config: Pretrain, model: Pretraining) -> Callable[..., Tensor]:
    """The step's loss, as a function of a batch in pieces: weighted sums over the batch, not means."""

    def of_a_piece(
        main: Tensor,
        masked: Tensor | None = None,
        negative: Tensor | None = None,
        context: Tensor | None = None,
        segment: Tensor | None = None,
        other: Tensor | None = None,
    ) -> Iterator[Tensor]:
        if masked is not None:
            states, hidden = model.encoder(masked, causal=False), (masked != main)[..., None]
            if config.aap or config.map:
                yield attributes_of_items(config, model, states, hidden, main)
            if negative is not None:
                yield config.mip * hidden_items(model, states, hidden, main, negative)
        if context is not None and segment is not None and other is not None:
            yield config.sp * hidden_segments(model, context, segment, other)

    def loss(**inputs: Tensor) -> Tensor:
        ends = map(str, range(config.pieces))
        pieces = ({name[:-1]: each for name, each in inputs.items() if name.endswith(end)} for end in ends)
        return torch.stack([part for piece in pieces for part in of_a_piece(**piece)]).sum()

    return loss


def hidden_items(model: Pretraining, states: Tensor, hidden: Tensor, rows: Tensor, negatives: Tensor) -> Tensor:
    """MIP: sum over the hidden places [B, T, 1] of -log sigmoid(sigmoid(score) - sigmoid(score of one negative))."""
    mapped = model.maps["mip"](states)
    better, worse = ((mapped * model.encoder.items(numbers)).sum(dim=2) for numbers in (rows, negatives))
    return torch.where(hidden[..., 0], preferred(better, worse), 0.0).sum()


def attributes_of_items(config: Pretrain, model: Pretraining, states: Tensor, hidden: Tensor, rows: Tensor) -> Tensor:
    """AAP and MAP: the binary cross-entropy of every attribute, summed over shown places and over hidden ones.

    A place is either shown or hidden, so one product with the attributes serves both.
    """
    assert model.attributes is not None
    mapped = torch.where(hidden, model.maps["map"](states), model.maps["aap"](states))
    scores = mapped @ model.attributes.weight.T
    weights = torch.where(hidden, config.map, config.aap) * (rows != PADDING)[..., None]
    wanted = model.has[rows].to(scores.dtype)
    return binary_cross_entropy_with_logits(scores, wanted, weights.to(scores.dtype), reduction="sum")


def hidden_segments(model: Pretraining, context: Tensor, segment: Tensor, other: Tensor) -> Tensor:
    """SP: sum of -log sigmoid(sigmoid(score of the run that is missing) - sigmoid(score of another run))."""
    states = model.encoder(torch.cat([context, segment, other]), causal=False, only_last=True)[:, -1]
    around, inside, foreign = states.chunk(3)
    around = model.maps["sp"](around)
    return preferred((around * inside).sum(dim=1), (around * foreign).sum(dim=1)).sum()


def preferred(better: Tensor, worse: Tensor) -> Tensor:
    """-log sigmoid(sigmoid(better) - sigmoid(worse)), never below 0.31: probabilities are compared, not scores."""
    return -logsigmoid(better.sigmoid() - worse.sigmoid())


# -------------------------------------------------------------------------------------------------------- the batches


@dataclass(frozen=True)
class Prefixes:
    """A data set as pre-training reads it."""

    config: Pretrain
    data: Interactions
    prefixes: Tensor  # int64 [N, T]: each training item of a user's last T, and the items of these T before it
    everything: Tensor  # int64 [M]: all users' items in one line, the held-out ones too, as in the authors' code

    def epoch(self, seed: int, epoch: int) -> Iterator[dict[str, Tensor]]:
        """The inputs of each step of an epoch."""
        rng = generator(seed, "augmentation", epoch)
        order = batches(len(self.prefixes), self.config.batch, generator(seed, "order", epoch), drop_last=False)
        for index in order:
            if len(index) >= FEWEST:
                yield self.inputs(index, rng)

    def inputs(self, index: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """The prefixes ``index`` by length, in pieces: ``main0``, ``masked0``, ``negative0``, ``context0``, ..."""
        rows = self.prefixes[index]
        rows = rows[lengths_of(rows).argsort(stable=True)]
        columns = {"main": rows}
        mask = self.data.items + 1
        if self.config.aap or self.config.mip or self.config.map:
            columns["masked"] = hide(rows, self.config.hidden, mask, rng)
        if self.config.mip:
            columns["negative"] = others(rows, mask, rng)
        if self.config.sp:
            columns |= dict(
                zip(("context", "segment", "other"), segments(rows, self.everything, mask, rng), strict=True)
            )
        return in_pieces(columns, self.config.pieces)


def load_prefixes(config: Pretrain) -> Prefixes:
    """The config's data, as prefixes."""
    data = read_interactions(config.dataset).first(config.users)
    last = [sequence[-config.longest :] for sequence in Split(data).training]
    prefixes = [sequence[:end] for sequence in last for end in range(1, len(sequence) + 1)]
    everything = torch.from_numpy(np.concatenate(data.sequences))
    return Prefixes(config, data, torch.from_numpy(pad_left(prefixes, config.longest)), everything)


def hide(rows: Tensor, share: float, mask: int, rng: torch.Generator) -> Tensor:
    """The mask in place of the last item, and of each other one with probability ``share``."""
    hidden = torch.rand(rows.shape, generator=rng) < share
    hidden[:, -1] = True
    return torch.where(hidden & (rows != PADDING), mask, rows)


def others(rows: Tensor, mask: int, rng: torch.Generator) -> Tensor:
    """[B, T]: random numbers from 1 to the mask, each as likely, that the row does not hold."""
    drawn = torch.randint(1, mask + 1, rows.shape, generator=rng)
    while (held := (drawn[:, :, None] == rows[:, None, :]).any(dim=2)).any():
        drawn[held] = torch.randint(1, mask + 1, (int(held.sum()),), generator=rng)
    return drawn


def segments(rows: Tensor, everything: Tensor, mask: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The rows without a random run of items, that run alone, and a run of as many items from anywhere in its places.

    A run has 1 to length / 2 items. Where one of the three has no item of its own stands the mask. A row of one item
    is itself in all three, which teaches nothing, as in the authors' code.
    """
    lengths, width = lengths_of(rows), rows.shape[1]
    count = 1 + _below((lengths // 2).clamp_min(1), rng)
    first = (width - lengths + _below(lengths - count + 1, rng))[:, None]
    source = _below(len(everything) - count + 1, rng)[:, None]
    places = torch.arange(width)
    there = rows != PADDING
    inside = there & (places >= first) & (places < first + count[:, None])
    foreign = everything[(source + places - first).clamp(0, len(everything) - 1)]
    hidden = torch.where(there, mask, PADDING)
    single = (lengths < 2)[:, None]
    made = torch.where(inside, hidden, rows), torch.where(inside, rows, hidden), torch.where(inside, foreign, hidden)
    context, segment, other = (torch.where(single, rows, each) for each in made)
    return context, segment, other


def _below(counts: Tensor, rng: torch.Generator) -> Tensor:
    """int64 [B]: for each count one of the numbers from 0 to below it, each as likely."""
    drawn = (torch.rand(len(counts), generator=rng, dtype=torch.float64) * counts).long()
    return drawn.clamp(max=counts - 1)


# ----------------------------------------------------------------------------------------------------- the attributes


@dataclass(frozen=True)
class Attributes:
    """Which item has which attribute."""

    name: str  # how a row calls them
    has: Tensor  # bool [I + 2, A + 1]; nothing has attribute 0, as in the authors' code, where it competes all the same
    sha256: str  # of the attributes of the I items


def read_attributes(dataset: str, items: int) -> Attributes:
    """The attributes of a data set's items 1 to I. An item that the file leaves out has none.

    Raises:
        ValueError: there is no such file, or it holds something else; in one line.
    """
    if dataset == "gensim_sequences":
        name, listed = "letters of the words", _of_words(gensim_words())
    else:
        path = _file(dataset)
        name, listed = path.name, _of_file(path)
    listed = {item: attributes for item, attributes in sorted(listed.items()) if item <= items}
    pairs = torch.tensor([(item, each) for item, attributes in listed.items() for each in attributes])
    if not len(pairs):
        raise ValueError(f"{name} has no attribute of the items 1 to {items}")
    has = torch.zeros(items + 2, int(pairs[:, 1].max()) + 1, dtype=torch.bool)
    has[pairs[:, 0], pairs[:, 1]] = True
    return Attributes(name, has, hashlib.sha256(json.dumps(list(listed.items())).encode()).hexdigest())


def _of_words(words: Sequence[str]) -> dict[int, list[int]]:
    """Stand-ins for a data set without attributes: a word's first letter, and its number of letters."""
    labels = [(word[0], f"{len(word)} letters") for word in words]
    numbers = {label: number for number, label in enumerate(sorted({each for pair in labels for each in pair}), 1)}
    return {item: sorted(numbers[label] for label in pair) for item, pair in enumerate(labels, 1)}


def _file(dataset: str) -> Path:
    """The file beside the data set's own.

    Raises:
        ValueError: it is not there.
    """
    root = data_root()
    looked_at = list(
        dict.fromkeys(path.with_name(f"{path.stem}_item2attributes.json") for path in places_of(dataset, root))
    )
    for path in looked_at:
        if path.is_file():
            return path
    raise ValueError(
        f"attributes of {dataset!r} not found in {root} (looked for recsys/seq/{looked_at[0].name}; {ORIGIN}); "
        "pre-training needs none with aap=0 and map=0"
    )


def _of_file(path: Path) -> dict[int, list[int]]:
    """``{"item": [attribute, ...], ...}``, numbers from 1 on."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, Mapping):
            raise ValueError("it is no object")
        listed = {int(item): sorted({_number(each) for each in attributes}) for item, attributes in found.items()}
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path} must be one object like {{"1": [3, 7]}}, of items and attributes: {error}') from None
    if listed and min(listed) < 1:
        raise ValueError(f"{path}: item numbers begin with 1, since 0 is padding; got {min(listed)}")
    return listed


def _number(given: object) -> int:
    if not isinstance(given, int) or not 1 <= given < LARGEST:
        raise ValueError(f"an attribute must be in [1, {LARGEST}), got {given!r}")
    return given
