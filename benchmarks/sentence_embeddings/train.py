"""The stages of the paper, by the names that runs call them by."""

from __future__ import annotations

from typing import Any

from baselines.bags_of_words import Embed, lsa, tfidf, word_vector_mean
from benchmarks.sentence_embeddings.config import Words
from benchmarks.sentence_embeddings.quick_thoughts import prepared, quick_thoughts
from benchmarks.sentence_embeddings.quick_thoughts import step_of_a_run as quick_thoughts_step
from benchmarks.sentence_embeddings.simcse import simcse
from benchmarks.sentence_embeddings.simcse import step_of_a_run as simcse_step
from contrastbench.data.sentence_tests import load_tasks
from contrastbench.evaluation.sentences import sentence_metrics
from contrastbench.randomness import random_state
from contrastbench.runner import Checkpoint, Log

__all__ = ["quick_thoughts", "simcse", "words"]
TRAINING_STEPS = {"quick_thoughts": (quick_thoughts_step,), "simcse": (simcse_step,)}


def words(config: Words, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict[str, Any]:
    """Tests a bag of words made from the corpus. Computed on the CPU."""
    tests = load_tasks(config.tests)
    log.selected_by("nothing to select")
    return sentence_metrics(bag_of_words(config, seed, log), tests, log.data, folds=config.folds)


def bag_of_words(config: Words, seed: int, log: Log) -> Embed:
    """The embedding that the config names."""
    data = prepared(config.corpus, config.sentences, config.block, config.vocabulary, 1, log)
    if config.method == "tfidf":
        return tfidf(data.texts, data.vocabulary)
    make = {"lsa": lsa, "word_vectors": word_vector_mean}
    if config.method not in make:
        raise ValueError(f"unknown bag of words {config.method!r}; there are: tfidf, {', '.join(make)}")
    return make[config.method](data.texts, data.vocabulary, config.width, random_state(seed, "weights"))
