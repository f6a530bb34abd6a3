"""Training speed in sentences per second: batches in pieces by length, padded batches, and sentence-transformers.

    python -m benchmarks.sentence_embeddings.speed --output results/sentence_embeddings/speed.csv

All contenders train the same model on the same sentences in the same batches, with one thread. They take turns, and CPU
time is measured, so that other work on the machine disturbs little; the median step of all turns counts. "padded" pads
every batch to the longest sentence allowed, as a fixed shape would. sentence-transformers' trainer is compared where it
and all-MiniLM-L6-v2 are installed.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.sentence_embeddings import quick_thoughts as qt
from benchmarks.sentence_embeddings import simcse
from benchmarks.sentence_embeddings.config import QuickThoughts, SimCSE
from contrastbench.data.buckets import in_pieces
from contrastbench.data.pretrained import load_pretrained
from contrastbench.data.text import load_corpus, vocabulary_of, words_of_each
from contrastbench.encoders.pretrained_text import pretrained_encoder
from contrastbench.encoders.text import two_encoders
from contrastbench.randomness import generator
from contrastbench.training import TrainingStep

COLUMNS = ("model", "contender", "batch", "sentences_per_cpu_second", "times_padded", "torch")
STEPS, TURNS = 3, 3
GRU = QuickThoughts(width=256, word_width=128, vocabulary=5_000, batch=400)
LAYERS, BATCH, LONGEST = 2, 32, 32  # of MiniLM
RATE = 2e-5
Turn = Callable[[], list[float]]  # seconds of CPU of each step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--corpus", default="gensim_text")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sentences = list(load_corpus(arguments.corpus).sentences)
    rows = [*measured("two GRUs, 256 wide", GRU.batch, gru_contenders(sentences))]
    if importlib.util.find_spec("all_minilm_l6_v2"):
        rows += measured(f"MiniLM, {LAYERS} layers", BATCH, minilm_contenders(sentences))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with open(arguments.output, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def measured(model: str, batch: int, contenders: dict[str, Turn]) -> Iterator[dict[str, Any]]:
    """Lets the contenders take turns; the first step of each turn warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(TURNS):
        for name, turn in contenders.items():
            seconds[name] += turn()[1:]
    speeds = {name: batch / statistics.median(times) for name, times in seconds.items()}
    for name, speed in speeds.items():
        ratio = f"{speed / speeds['padded']:.2f}"
        yield dict(zip(COLUMNS, (model, name, batch, f"{speed:.1f}", ratio, torch.__version__), strict=True))


def gru_contenders(sentences: list[str]) -> dict[str, Turn]:
    """Quick-Thoughts on consecutive sentences."""
    texts = words_of_each(sentences[: 20 * GRU.batch])
    vocabulary = vocabulary_of(texts, GRU.vocabulary)
    rows = vocabulary.encode(texts, GRU.longest)

    def ours(pieces: int, fixed: bool) -> Turn:
        encoders = two_encoders("gru", len(vocabulary), GRU.word_width, GRU.width, rng=generator(0, "weights"))
        optimizer = qt.ClippedAdam(encoders.parameters(), lr=1e-4, clip=5.0)
        step = TrainingStep(qt.loss_of(GRU, encoders), optimizer, modules=[encoders])
        return _turns(step, (rows[start : start + GRU.batch] for start in _starts(len(rows), GRU.batch)), pieces, fixed)

    return {"in 8 pieces": ours(8, False), "padded": ours(1, True)}


def minilm_contenders(sentences: list[str]) -> dict[str, Turn]:
    """Unsupervised SimCSE."""
    folder = load_pretrained("all-minilm-l6-v2").folder
    config = SimCSE(temperature=0.05, longest=LONGEST)

    def ours(pieces: int, fixed: bool) -> Turn:
        rng = generator(0, "weights")
        encoder, tokenize = pretrained_encoder(folder, pooler="avg", longest=LONGEST, rng=rng, layers=LAYERS)
        optimizer = torch.optim.AdamW(encoder.train().parameters(), lr=RATE, weight_decay=0.0)
        step = TrainingStep(simcse.loss_of(config, encoder), optimizer, modules=[encoder])
        batches = (2 * tokenize(sentences[start : start + BATCH]) for start in _starts(len(sentences), BATCH))
        return _turns(step, batches, pieces, fixed)

    contenders = {"in 4 pieces": ours(4, False), "padded": ours(1, True)}
    if importlib.util.find_spec("sentence_transformers") and importlib.util.find_spec("accelerate"):
        contenders["sentence-transformers"] = _others(folder, sentences)
    return contenders


def _starts(count: int, batch: int) -> Iterator[int]:
    return itertools.cycle(range(0, count - batch + 1, batch))


def _turns(step: TrainingStep, batches: Iterator[list[np.ndarray]], pieces: int, fixed: bool) -> Turn:
    def turn() -> list[float]:
        times = []
        for _ in range(STEPS + 1):
            begin = time.process_time()
            inputs = in_pieces(next(batches), pieces, LONGEST)
            if fixed:
                short = LONGEST - inputs["tokens0"].shape[1]
                inputs["tokens0"] = torch.nn.functional.pad(inputs["tokens0"], (0, short))
            step(**inputs)
            times.append(time.process_time() - begin)
        return times

    return turn


def _others(folder: Path, sentences: list[str]) -> Turn:
    """sentence-transformers' trainer with its own in-batch loss: the same model, pooling, batch, rate and length."""
    import sentence_transformers as others
    from datasets import Dataset
    from transformers import TrainerCallback

    model = others.SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = LONGEST
    inner = model[0].auto_model
    inner.encoder.layer = inner.encoder.layer[:LAYERS]
    loss = others.losses.MultipleNegativesRankingLoss(model, scale=20.0)

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.marks = [time.process_time()]

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.marks.append(time.process_time())

    starts = _starts(len(sentences), BATCH * (STEPS + 1))

    def turn() -> list[float]:
        first = next(starts)
        part = sentences[first : first + BATCH * (STEPS + 1)]
        with tempfile.TemporaryDirectory() as scratch:
            settings = others.SentenceTransformerTrainingArguments(
                scratch, per_device_train_batch_size=BATCH, max_steps=STEPS + 1, learning_rate=RATE, use_cpu=True,
                report_to="none", save_strategy="no", disable_tqdm=True, logging_strategy="no",
            )  # fmt: skip
            clock = Clock()
            data = Dataset.from_dict({"anchor": part, "positive": part})
            trainer = others.SentenceTransformerTrainer(model, settings, data, loss=loss, callbacks=[clock])
            trainer.train()
        return [after - before for before, after in itertools.pairwise(clock.marks)]

    return turn


if __name__ == "__main__":
    main()
