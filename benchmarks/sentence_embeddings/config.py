"""Every setting of one run. No torch here: planning reads it."""

from __future__ import annotations

from dataclasses import dataclass

from contrastbench.runner import added

TRANSFER = ("MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC")
STS = ("STS12", "STS13", "STS14", "STS15", "STS16", "STSB", "SICK-R")


@dataclass(frozen=True)
class QuickThoughts:
    """Defaults are the published protocol (lajanugen/S2V at 397b8b1): neighbouring sentences find each other."""

    corpus: str = "bookcorpus"  # a corpus of `contrastbench data list`, or the path of a text file or folder
    sentences: int = 0  # take so many: blocks of `batch` consecutive ones, evenly spaced over the corpus; 0 takes all
    vocabulary: int = 50_000  # the most frequent words of the sentences taken
    expansion: str = ""  # a text file of word vectors; their words, too, get embeddings for the tests
    encoder: str = "gru"  # "gru" or "transformer"; there are two of them, tested side by side
    word_width: int = 620
    width: int = 1200  # of each encoder
    longest: int = 30  # words in training
    loss: str = "biased"  # "biased" (Quick-Thoughts'), "dcl" or "hcl"
    tau_plus: float = 0.0  # class prior: dcl and hcl
    beta: float = 0.0  # hardness: hcl
    diagonal: str = "code"  # biased: a sentence's score with itself is 0 ("code"), or left out ("paper")
    batch: int = 400  # consecutive sentences
    epochs: int = 1
    learning_rate: float = 5e-4  # Adam, constant
    clip: float = 5.0  # the gradient's norm
    pieces: int = 1  # into which a batch is cut by length on its way through the encoders; changes rounding and dropout
    precision: str = "float32"  # or "bf16": of the encoders' products
    folds: int = 10  # of the cross-validated tests, outside and inside; SentEval's quick setting is 5
    tests: tuple[str, ...] = TRANSFER
    widths: str = added("few")  # pieces are as wide as one of six widths; or "every": no wider than their longest


@dataclass(frozen=True)
class SimCSE:
    """Defaults are unsupervised SimCSE from BERT-base (princeton-nlp/SimCSE at 49fa580)."""

    data: str = "wikipedia_1m"  # a corpus (unsupervised: each sentence twice, by dropout), or "SNLI" (triplets)
    sentences: int = 0  # take so many, evenly spaced; 0 takes all
    model: str = "bert-base-uncased"  # a pretrained model; "" starts from the run needed as `pretrain`
    layers: int = 0  # keep so many of the pretrained model's first layers; 0 keeps all
    pooler: str = "cls_before_pooler"  # of a pretrained model: see contrastbench.encoders.pretrained_text
    longest: int = 32  # words or word pieces in training
    loss: str = "simcse"  # "simcse", "dcl" or "hcl"
    temperature: float = 0.05
    tau_plus: float = 0.0  # dcl and hcl
    beta: float = 0.0  # hcl
    hard_weight: float = 1.0  # triplets: alpha, the weight of a premise's own contradiction
    batch: int = 64
    epochs: int = 1
    learning_rate: float = 3e-5  # AdamW, falling linearly to 0
    pieces: int = 1
    precision: str = "float32"
    selection: str = "best_on_stsb_dev"  # or "last"
    evaluate_every: int = 125  # steps, for the selection
    folds: int = 10  # of the cross-validated tests, outside and inside; SentEval's quick setting is 5
    tests: tuple[str, ...] = STS
    widths: str = added("few")


@dataclass(frozen=True)
class Words:
    """What an encoder must beat: bags of words, made from the same corpus."""

    method: str = "tfidf"  # "tfidf"; "lsa": tfidf in `width` dimensions; "word_vectors": the mean of PPMI-SVD vectors
    corpus: str = "bookcorpus"
    sentences: int = 0
    block: int = 400  # consecutive sentences, as the encoders take them
    vocabulary: int = 50_000
    width: int = 300  # of lsa and word_vectors
    folds: int = 10  # of the cross-validated tests, outside and inside; SentEval's quick setting is 5
    tests: tuple[str, ...] = TRANSFER


_TRAINED = {"epochs": "(0, inf)"}
RANGES = {
    **{"sentences": "[0, inf)", "vocabulary": "[1, inf)", "encoder": ("gru", "transformer")},
    **{"word_width": "[1, inf)", "width": "[2, inf)", "longest": "[1, 128]", "batch": "[4, inf)"},
    "SimCSE.longest": "[1, 512]",  # a pretrained model has more places than the small transformer
    **{"QuickThoughts.loss": ("biased", "dcl", "hcl"), "SimCSE.loss": ("simcse", "dcl", "hcl")},
    **{"tau_plus": "[0, 1)", "beta": "[0, 1000]", "diagonal": ("code", "paper"), "temperature": "(0, inf)"},
    **{"hard_weight": "(0, inf)", "epochs": "[0, inf)", "learning_rate": "(0, inf)", "clip": "(0, inf)"},
    **{"pieces": "[1, inf)", "precision": ("float32", "bf16"), "layers": "[0, inf)", "evaluate_every": "[1, inf)"},
    **{"pooler": ("cls", "cls_before_pooler", "avg", "avg_first_last", "avg_top2")},
    **{"selection": ("best_on_stsb_dev", "last"), "method": ("tfidf", "lsa", "word_vectors"), "block": "[1, inf)"},
    **{"folds": "[2, 100]", "widths": ("few", "every")},
}
USED_BY = {
    **dict.fromkeys(("learning_rate", "clip", "temperature"), _TRAINED),
    "tau_plus": {**_TRAINED, "loss": ("dcl", "hcl")},
    "beta": {**_TRAINED, "loss": ("hcl",)},
    "diagonal": {**_TRAINED, "loss": ("biased",)},
    "evaluate_every": {**_TRAINED, "selection": ("best_on_stsb_dev",)},
    "hard_weight": {**_TRAINED, "data": ("SNLI",)},
    "Words.width": {"method": ("lsa", "word_vectors")},
    "pretrain": {"model": ("",)},
}
