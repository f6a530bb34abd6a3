"""The runs that the tables are made of: a stage under a config of its scale, with a name for people."""

from __future__ import annotations

import dataclasses

from benchmarks.sentence_embeddings.config import QuickThoughts, SimCSE, Words
from benchmarks.sentence_embeddings.scales import QT, TAU_PLUS, UNSUPERVISED
from contrastbench.runner import Run

PAPER = "sentence_embeddings"
STAGES = ("quick_thoughts", "simcse", "words")
PROTOCOL_VERSIONS = dict.fromkeys(STAGES, 1)  # a stage's is raised when a change of code changes its results


def quick_thoughts(scale: str, method: str, base: QuickThoughts | None = None, **changes: object) -> Run:
    """A run of Quick-Thoughts under a name for people; ``base`` replaces the scale's own config."""
    return _run(scale, method, dataclasses.replace(base or QT[scale], **changes), "quick_thoughts")


def simcse(scale: str, method: str, config: SimCSE) -> Run:
    """A run of SimCSE; where it names no pretrained model it needs Quick-Thoughts' transformer."""
    needs = {} if config.model else {"pretrain": small_transformer(scale)}
    protocol = "published" if config.selection == "best_on_stsb_dev" else "clean"
    return _run(scale, method, config, "simcse", needs=needs, protocol=protocol)


def small_transformer(scale: str) -> Run:
    """Quick-Thoughts with the small transformer in place of the GRUs: where SimCSE starts."""
    tests = ("Lee",) if scale == "smoke" else ("STSB-dev",)
    return quick_thoughts(scale, "QT transformer", encoder="transformer", tests=tests)


def _run(scale: str, method: str, config: QuickThoughts | SimCSE | Words, stage: str, **more: object) -> Run:
    settled = {"protocol": "clean", "variant": "as_code", "protocol_version": PROTOCOL_VERSIONS[stage], **more}
    dataset = (config.data or config.model) if isinstance(config, SimCSE) else config.corpus
    return Run(PAPER, config, 0, scale, dataset, method, stage=stage, **settled)  # type: ignore[arg-type]


def bags_of_words(scale: str, base: QuickThoughts | None = None) -> list[Run]:
    """The bags of words of the same corpus; TF-IDF in as many dimensions as the encoders have together."""
    base = base or QT[scale]
    words = Words(
        "tfidf", base.corpus, base.sentences, base.batch, base.vocabulary, 2 * base.width, base.folds, base.tests
    )
    first = words if scale in ("smoke", "quick") else dataclasses.replace(words, method="lsa")
    name = "TF-IDF" if first is words else "TF-IDF (LSA)"
    vectors = dataclasses.replace(words, method="word_vectors")
    return [_run(scale, name, first, "words"), _run(scale, "mean word vector", vectors, "words")]


def hcl(beta: float) -> dict[str, object]:
    """HCL's settings; beta = 0 is DCL and is run as such, so that the tables share the run."""
    return {"loss": "hcl" if beta else "dcl", "tau_plus": TAU_PLUS, "beta": beta}


def starts_of_simcse(scale: str) -> list[Run]:
    """The encoders that SimCSE goes on from, tested as they are."""
    config = dataclasses.replace(UNSUPERVISED[scale], epochs=0, selection="last")
    if not config.model:
        return [simcse(scale, "start", config)]
    poolers = ("cls_before_pooler", "avg_first_last")
    return [simcse(scale, f"BERT-base, {pooler}", dataclasses.replace(config, pooler=pooler)) for pooler in poolers]
