"""Vocabulary expansion: words that training did not see get embeddings from word vectors that were trained elsewhere.

A linear map from the vectors to the encoder's embeddings is fitted on the words that both have (Quick-Thoughts does as
Kiros et al. 2015, arXiv:1506.06726, section 2.2), and maps the other words' vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from contrastbench.data.text import Vocabulary
from contrastbench.encoders.text import TextEncoder, expand_words


def read_expansion(path: Path, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Reads word vectors, some of words that the vocabulary has and some of new ones.

    Raises:
        ValueError: no such file, a line without numbers, vectors of several widths, or no shared or no new words.
    """
    vectors = read_vectors(path)
    shared = sum(word in vectors for word in vocabulary.listed)
    new = sum(word not in vocabulary.numbers for word in vectors)
    if not shared or not new:
        raise ValueError(f"{path} has {shared} words of the corpus and {new} new ones; some of both are needed")
    return vectors


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """Word vectors as text: a word and its numbers on each line, as GloVe and word2vec write them."""
    if not path.is_file():
        raise ValueError(f"expansion {str(path)!r} is no file; give a text file of word vectors")
    found: dict[str, np.ndarray] = {}
    with open(path, encoding="utf-8", errors="replace") as file:  # published files have broken words
        for line_number, line in enumerate(file, start=1):
            word, *numbers = line.rstrip().split(" ")
            if len(numbers) > 1:  # word2vec begins with a line of two counts
                found[word] = _vector(path, line_number, numbers)
    if len({len(vector) for vector in found.values()}) != 1:
        raise ValueError(f"{path} must have vectors of one width, got {len(found)} words of several or none")
    return found


def _vector(path: Path, line_number: int, numbers: Sequence[str]) -> np.ndarray:
    try:
        return np.array(numbers, dtype=np.float32)
    except ValueError:
        raise ValueError(f"line {line_number} of {path} is no word with numbers behind it") from None


def expanded(encoders: TextEncoder, vocabulary: Vocabulary, vectors: Mapping[str, np.ndarray]) -> Vocabulary:
    """Gives every embedding of the encoders the new words' rows; returns the vocabulary with them at its end."""
    shared = [word for word in vocabulary.listed if word in vectors]
    new = [word for word in vectors if word not in vocabulary.numbers]
    of_shared, of_new = (torch.from_numpy(np.stack([vectors[word] for word in part])) for part in (shared, new))
    numbers = torch.tensor([vocabulary.numbers[word] for word in shared])
    for part in encoders.modules():
        if isinstance(part, torch.nn.Embedding) and part.num_embeddings == len(vocabulary):
            table = part.weight.data
            rows = expand_words(table[numbers.to(table.device)].cpu(), of_shared, of_new).to(table.device)
            part.weight, part.num_embeddings = torch.nn.Parameter(torch.cat([table, rows])), len(table) + len(rows)
    return Vocabulary((*vocabulary.listed, *new))
