"""Times the training and the embedding of sentences three ways, in turns: by length, padded, by sentence-transformers.

    pip install contrastbench[speed]
    python -m benchmarks.sentence_embeddings.speed --device cpu --output results/sentence_embeddings/speed.csv

All three train all-MiniLM-L6-v2 with SimCSE's loss and AdamW on the same sentences in batches of the same size, and
embed the same sentences with it. "in pieces" is what this project does; "padded" fills every sentence of the training
up to the 32 word pieces that SimCSE allows, and of the embedding up to the longest of its batch. Each time begins with
the sentences as text and ends with the last step or embedding. Before, the loss and the embeddings are compared.
Processor time is measured, since other work on the machine disturbs it less. SNLI, the novels and STS-B are read from
the data root.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.sentence_embeddings.config import SimCSE
from benchmarks.sentence_embeddings.simcse import Tokenize, loss_of, read_texts, training_step
from contrastbench.data.buckets import in_pieces
from contrastbench.data.pretrained import load_pretrained
from contrastbench.data.sentence_tests import load_scored
from contrastbench.data.text import pad
from contrastbench.encoders.pretrained_text import pretrained_encoder
from contrastbench.encoders.text import TextEncoder
from contrastbench.evaluation.sentences import text_features
from contrastbench.randomness import generator
from contrastbench.runner import Log
from contrastbench.timing import Line, measure, seconds_in_turns

MINILM = "all-minilm-l6-v2"
SETTINGS = SimCSE(model=MINILM, pooler="avg", longest=32, batch=64, pieces=8, learning_rate=3e-5, selection="last")
OURS, PADDED, THEIRS = "in pieces", "padded", "sentence-transformers"
EMBEDDED_AT_ONCE = 64  # sentences, where they are padded; sentence-transformers takes as many

Start = tuple[TextEncoder, Tokenize]
Work = Callable[[], Any]
Batched = Callable[[Sequence[np.ndarray], SimCSE, int], dict[str, torch.Tensor]]  # rows, config, padding -> a batch


def lines(device: str, steps: int = 2, embedded: int = 1536, turns: int = 3) -> Iterator[Line]:
    """A line for each work and way.

    Args:
        steps: of training, in a turn.
        embedded: sentences to embed, in a turn.
    """
    if device != "cpu":
        raise ValueError(f"processor time is measured: --device must be cpu, got {device}")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # or the tokenizer takes every core
    model = load_pretrained(MINILM).folder
    works = {
        f"training on {data}": training(replace(SETTINGS, data=data, sentences=steps * SETTINGS.batch), model)
        for data in ("SNLI", "books")
    }
    works["embedding STS-B"] = embedding(texts_of_stsb(embedded), model)
    for work, (ways, sentences) in works.items():
        yield from lines_of(work, ways, sentences, turns)


def lines_of(work: str, ways: dict[str, Work], sentences: int, turns: int) -> Iterator[Line]:
    seconds = seconds_in_turns(ways, turns, processor_time=True)
    for way, each in seconds.items():
        rates = {"sentences_per_second": f"{sentences / each:.1f}", "times_padded": f"{seconds[PADDED] / each:.2f}"}
        yield {"work": work, "way": way, **rates, "sentences": sentences, "processor_seconds": f"{each:.2f}"}


def texts_of_stsb(wanted: int) -> list[str]:
    task = load_scored("STSB")
    texts = list(dict.fromkeys((*task.first, *task.second)))
    return [texts[place] for place in np.linspace(0, len(texts) - 1, wanted).astype(int)]


# ------------------------------------------------------------------------------------------------------------ training


def training(config: SimCSE, model: Path) -> tuple[dict[str, Work], int]:
    """The three ways to train on the config's texts, and how many these are; each goes on from where it was."""
    columns = [list(column) for column in read_texts(config, Log())]
    columns *= 2 if len(columns) == 1 else 1
    start = pretrained_encoder(model, pooler="avg", longest=config.longest, rng=generator(0, "weights"))
    other = sentence_transformer(model, config.longest)
    _check_same_loss(config, start, other, [column[: config.batch] for column in columns])
    ways = {
        OURS: lambda: train_ours(config, start, columns, cut),
        PADDED: lambda: train_ours(config, start, columns, all_padded),
        THEIRS: lambda: train_theirs(config, other, columns),
    }
    return ways, sum(map(len, columns))


def train_ours(config: SimCSE, start: Start, columns: list[list[str]], batched: Batched) -> None:
    """One epoch, as ``simcse`` trains."""
    encoder, tokenize = start
    step = training_step(config, encoder.train(), "cpu")
    rows = [tokenize(column) for column in columns]
    for part in torch.randperm(len(columns[0]), generator=generator(0, "order")).split(config.batch):
        batch = [column[item] for column in rows for item in part]
        step(**batched(batch, config, encoder.padding))
    step.mean_loss()


def cut(rows: Sequence[np.ndarray], config: SimCSE, padding: int) -> dict[str, torch.Tensor]:
    """The batch in pieces, as ``simcse`` cuts it."""
    return in_pieces(rows, config.pieces, config.longest, padding, config.widths)


def all_padded(rows: Sequence[np.ndarray], config: SimCSE, padding: int) -> dict[str, torch.Tensor]:
    """The batch in one piece, every sentence as long as any may be."""
    return {
        "order": torch.arange(len(rows)),
        "tokens0": torch.from_numpy(pad(rows, config.longest, padding)),
        "lengths0": torch.tensor([len(row) for row in rows]),
    }


def sentence_transformer(model: Path, longest: int) -> Any:
    """The same model as sentence-transformers loads it, with the mean over the words."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), device="cpu")
    loaded.max_seq_length = longest
    return loaded


def train_theirs(config: SimCSE, model: Any, columns: list[list[str]]) -> None:
    """One epoch of sentence-transformers' own trainer, without its logs, checkpoints and clipping."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    table = Dataset.from_dict({f"column{number}": column for number, column in enumerate(columns)})
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            folder,
            num_train_epochs=1,
            per_device_train_batch_size=config.batch,
            learning_rate=config.learning_rate,
            weight_decay=0.0,
            max_grad_norm=0.0,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        SentenceTransformerTrainer(model, arguments, train_dataset=table, loss=_their_loss(config, model)).train()


def _their_loss(config: SimCSE, model: Any) -> Any:
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    return MultipleNegativesRankingLoss(model, scale=1 / config.temperature)


def _check_same_loss(config: SimCSE, start: Start, other: Any, columns: list[list[str]]) -> None:
    """All three give the same loss to the first batch, without dropout."""
    encoder, tokenize = start
    rows = [row for column in columns for row in tokenize(column)]
    encoder.eval()
    other.eval()
    ours = loss_of(config, encoder)
    with torch.no_grad():
        expected = _their_loss(config, other)([_features(other, column) for column in columns], torch.empty(0))
        for batched in (cut, all_padded):
            found = ours(**batched(rows, config, encoder.padding))
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def _features(model: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.preprocess(texts).items() if isinstance(value, torch.Tensor)}


# ----------------------------------------------------------------------------------------------------------- embedding


def embedding(texts: list[str], model: Path) -> tuple[dict[str, Work], int]:
    """The three ways to embed the sentences."""
    longest = 128  # word pieces; no sentence of STS-B is longer
    encoder, tokenize = pretrained_encoder(model, pooler="avg", longest=longest, rng=generator(0, "weights"))
    other = sentence_transformer(model, longest)
    ways = {
        OURS: lambda: text_features(encoder, tokenize(texts)),
        PADDED: lambda: padded_features(encoder, tokenize(texts)),
        THEIRS: lambda: other.encode(texts, batch_size=EMBEDDED_AT_ONCE, show_progress_bar=False),
    }
    expected = other.encode(texts[:EMBEDDED_AT_ONCE], show_progress_bar=False)
    few = tokenize(texts[:EMBEDDED_AT_ONCE])
    for found in (text_features(encoder, few), padded_features(encoder, few)):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    return ways, len(texts)


@torch.no_grad()
def padded_features(encoder: Any, rows: Sequence[np.ndarray]) -> np.ndarray:
    """The embeddings of batches as they come, each padded to its longest."""
    encoder.eval()
    found = []
    for first in range(0, len(rows), EMBEDDED_AT_ONCE):
        part = rows[first : first + EMBEDDED_AT_ONCE]
        tokens, lengths = torch.from_numpy(pad(part, padding=encoder.padding)), torch.tensor([*map(len, part)])
        found.append(encoder.features(tokens, lengths).numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    measure(lines, ("work", "way"), __doc__)
