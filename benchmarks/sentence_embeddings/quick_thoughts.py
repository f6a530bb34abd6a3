"""Quick-Thoughts: two encoders learn which sentences stand next to each other in a text. And bags of its words."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.bags_of_words import lsa, tfidf, word_vector_mean
from benchmarks.sentence_embeddings.config import QuickThoughts, Words
from contrastbench import losses
from contrastbench.data.buckets import in_pieces, through_pieces
from contrastbench.data.sentence_tests import load_tasks
from contrastbench.data.text import Vocabulary, load_corpus, vocabulary_of, words_of_each
from contrastbench.encoders.text import TextEncoder, expand_words, two_encoders
from contrastbench.evaluation.sentences import embedder, sentence_metrics
from contrastbench.randomness import generator, random_state, seeded_dropout
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, products_in

LAP = 20  # steps between two lines of the log, where a run can be resumed
LONGEST_TESTED = 100  # words; a longer sentence of a test is cut


@dataclass(frozen=True)
class Prepared:
    """The sentences that a run learns from."""

    texts: Sequence[Sequence[str]]  # words of each
    rows: list[np.ndarray]  # word numbers of each, cut to the longest
    vocabulary: Vocabulary
    sha256: str  # of the whole corpus


def quick_thoughts(
    config: QuickThoughts, *, seed: int, device: str, checkpoint: Checkpoint, log: Log
) -> dict[str, Any]:
    """Trains for some epochs, then tests the last; ``epochs=0`` tests the untrained encoders."""
    tests = load_tasks(config.tests)
    data = prepared(config.corpus, config.sentences, config.batch, config.vocabulary, config.longest)
    log.data(config.corpus, data.sha256)
    more = read_expansion(Path(config.expansion), data.vocabulary) if config.expansion else None
    encoders = two_encoders(
        config.encoder, len(data.vocabulary), config.word_width, config.width, rng=generator(seed, "weights")
    ).to(device)
    each = config.encoder == "gru" or config.clip_of == "each"
    optimizer = ClippedAdam(encoders.parameters(), lr=config.learning_rate, clip=config.clip, each=each)
    step = TrainingStep(loss_of(config, encoders), optimizer, modules=[encoders], device=device)
    blocks = len(data.rows) // config.batch  # which every epoch takes in random order
    orders = [torch.randperm(blocks, generator=generator(seed, "order", epoch)) for epoch in range(config.epochs)]
    plan = (torch.cat(orders) * config.batch).tolist() if orders else []  # the first sentence of each step's batch
    laps = -(-len(plan) // LAP)
    log.total(laps, unit=f"laps of {LAP} steps")
    parts = {"encoders": encoders, "optimizer": step.optimizer}
    for lap in range(checkpoint.restore(**parts), laps):
        with seeded_dropout(seed, lap, device):
            for first in plan[lap * LAP : (lap + 1) * LAP]:
                rows = data.rows[first : first + config.batch]
                step(**in_pieces(rows, config.pieces, config.longest, widths=config.widths))
        log(lap, loss=step.mean_loss(lap))
        checkpoint.save(lap + 1, **parts)
    shape = {"encoder": config.encoder, "word_width": config.word_width, "width": config.width}
    checkpoint.keep(encoders=encoders, words=list(data.vocabulary.listed), **shape)
    log.selected_by("last step")
    tokenize = tokenizer(expanded(encoders, data.vocabulary, more) if more else data.vocabulary)
    embed = embedder(encoders, tokenize, device)
    return sentence_metrics(embed, tests, log.data, folds=config.folds, device=device)


@functools.lru_cache(maxsize=2)  # a worker does many runs on the same corpus
def prepared(corpus: str, sentences: int, block: int, vocabulary: int, longest: int) -> Prepared:
    """Loads a corpus, takes blocks of consecutive sentences from all over it, and numbers their words."""
    loaded = load_corpus(corpus)
    texts = words_of_each(blocks_of(loaded.sentences, sentences, block))
    known = vocabulary_of(texts, vocabulary)
    return Prepared(texts, known.encode(texts, longest), known, loaded.sha256)


def blocks_of(sentences: Sequence[str], wanted: int, block: int) -> Sequence[str]:
    """About ``wanted`` sentences in blocks of consecutive ones, evenly spaced; all whole blocks if 0.

    Raises:
        ValueError: fewer sentences than one block.
    """
    blocks = len(sentences) // block
    if blocks == 0:
        raise ValueError(f"the corpus has {len(sentences)} sentences, a batch takes {block}; set a smaller batch")
    taken = min(blocks, -(-wanted // block)) if wanted else blocks
    starts = [place * blocks // taken * block for place in range(taken)]
    return [sentence for start in starts for sentence in sentences[start : start + block]]


def loss_of(config: QuickThoughts, encoders: TextEncoder) -> Callable[..., Tensor]:
    """The step's loss, as a function of a batch in pieces."""

    def loss(**inputs: Tensor) -> Tensor:
        with products_in(config.precision, inputs["order"]):
            f, g = through_pieces(encoders, inputs).float().chunk(2, dim=1)
        if config.loss == "biased":
            return losses.quick_thoughts(f, g, itself=config.diagonal == "code")
        beta = config.beta if config.loss == "hcl" else 0.0
        return losses.hard_quick_thoughts(f, g, tau_plus=config.tau_plus, beta=beta)

    return loss


def tokenizer(vocabulary: Vocabulary) -> Callable[[Sequence[str]], list[np.ndarray]]:
    """Numbers the words of a test's sentences."""
    return lambda texts: vocabulary.encode(words_of_each(texts), LONGEST_TESTED)


class ClippedAdam(torch.optim.Adam):
    """Adam on gradients whose norm is at most ``clip``: of ``each`` weight matrix alone, or over all of them."""

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, clip: float, each: bool) -> None:
        super().__init__(parameters, lr=lr, fused=True)
        self.clip, self.each = clip, each

    def step(self, closure: Any = None) -> Any:
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for together in ([weight] for weight in weights) if self.each else [weights]:
            torch.nn.utils.clip_grad_norm_(together, self.clip)
        return super().step(closure)


def words(config: Words, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Tests a bag of words made from the corpus. Computed on the CPU."""
    tests = load_tasks(config.tests)
    log.selected_by("nothing to select")
    data = prepared(config.corpus, config.sentences, config.block, config.vocabulary, 1)
    log.data(config.corpus, data.sha256)
    if config.method == "tfidf":
        embed = tfidf(data.texts, data.vocabulary)
    else:
        make = {"lsa": lsa, "word_vectors": word_vector_mean}[config.method]
        embed = make(data.texts, data.vocabulary, config.width, random_state(seed, "weights"))
    return sentence_metrics(embed, tests, log.data, folds=config.folds)


# ----------------------------------------------------------------------------------------------- vocabulary expansion


def read_expansion(path: Path, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Reads word vectors, some of words that the vocabulary has and some of new ones.

    A linear map from the vectors to the encoder's embeddings is fitted on the words that both have, and maps the other
    words' vectors (Kiros et al. 2015, arXiv:1506.06726, section 2.2).

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
