"""Times the training and the embedding of sentences three ways, in turns: by length, padded, by sentence-transformers.

    pip install contrastbench[speed]
    python -m benchmarks.sentence_embeddings.speed --output results/sentence_embeddings/speed.csv

All three train all-MiniLM-L6-v2 with SimCSE's loss and AdamW on the same sentences in batches of the same size, and
embed the same sentences with it. "in pieces" is what this project does; "padded" fills every sentence of the training
up to the 32 word pieces that SimCSE allows, and of the embedding up to the longest of its batch. Each time begins with
the sentences as text and ends with the last step or embedding. Before, the loss and the embeddings are compared.
Processor time is measured, since other work on the machine disturbs it less, and the least of the turns counts. SNLI,
the novels and STS-B are read from the data root.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.sentence_embeddings.config import SimCSE
from benchmarks.sentence_embeddings.speed_ways import PADDED, Work, embedding, training
from contrastbench.data.pretrained import load_pretrained
from contrastbench.data.sentence_tests import load_scored, load_triplets
from contrastbench.data.text import load_corpus
from contrastbench.runner import measured_on

MINILM = "all-minilm-l6-v2"
SETTINGS = SimCSE(model=MINILM, pooler="avg", longest=32, batch=64, pieces=8, learning_rate=3e-5, selection="last")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a CSV file")
    parser.add_argument("--steps", type=int, default=2, help="of training, in a turn")
    parser.add_argument("--embedded", type=int, default=1536, help="sentences to embed, in a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # or the tokenizer takes every core
    torch.set_num_threads(options.threads)
    model = load_pretrained(MINILM).folder
    works = {
        f"training on {name}": training(replace(SETTINGS, data=name), columns_of(name, options.steps), model)
        for name in ("SNLI", "books")
    }
    works["embedding STS-B"] = embedding(texts_of_stsb(options.embedded), model)
    facts = {"threads": options.threads, **measured_on("cpu")}
    lines = [{**line, **facts} for name, work in works.items() for line in timed(name, *work, options.turns)]
    pd.DataFrame(lines).to_csv(options.output, index=False)


def timed(name: str, ways: dict[str, Work], sentences: int, turns: int) -> list[dict[str, Any]]:
    """A line for each way; whoever goes first in a turn goes last in the next."""
    least = dict.fromkeys(ways, float("inf"))
    for turn in range(turns):
        for way in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            start = time.process_time()
            ways[way]()
            least[way] = min(least[way], time.process_time() - start)
    return [
        {
            "work": name,
            "way": way,
            "sentences_per_second": f"{sentences / seconds:.1f}",
            "times_padded": f"{least[PADDED] / seconds:.2f}",
            "sentences": sentences,
            "processor_seconds": f"{seconds:.2f}",
        }
        for way, seconds in least.items()
    ]


def columns_of(data: str, steps: int) -> list[list[str]]:
    """The columns of some batches: SNLI's triplets, or each sentence of a corpus twice; from all over the data."""
    wanted = steps * SETTINGS.batch
    if data == "SNLI":
        triplets = load_triplets(data)
        columns: list[Sequence[str]] = [triplets.premise, triplets.entailed, triplets.contradiction]
    else:
        columns = [load_corpus(data).sentences] * 2
    places = np.linspace(0, len(columns[0]) - 1, wanted).astype(int)
    return [[column[place] for place in places] for column in columns]


def texts_of_stsb(wanted: int) -> list[str]:
    task = load_scored("STSB")
    texts = list(dict.fromkeys((*task.first, *task.second)))
    return [texts[place] for place in np.linspace(0, len(texts) - 1, wanted).astype(int)]


if __name__ == "__main__":
    main()
