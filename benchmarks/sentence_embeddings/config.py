"""Every setting of one run. No torch here: planning reads it."""

from dataclasses import dataclass
from typing import ClassVar

from contrastbench.runner import added, setting

TRANSFER = ("MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC")
STS = ("STS12", "STS13", "STS14", "STS15", "STS16", "STSB", "SICK-R")
POOLERS = ("cls", "cls_before_pooler", "avg", "avg_first_last", "avg_top2")
TRAINED = {"epochs": "(0, inf)"}
DEBIASED, HARD = {**TRAINED, "loss": ("dcl", "hcl")}, {**TRAINED, "loss": ("hcl",)}


@dataclass(frozen=True)
class Trained:
    """What Quick-Thoughts and SimCSE share."""

    sentences: int = setting(0, "[0, inf)")  # or triplets: take so many, evenly spaced; 0 takes all
    tau_plus: float = setting(0.0, "[0, 1)", **DEBIASED)  # class prior
    beta: float = setting(0.0, "[0, 1000]", **HARD)  # hardness
    epochs: int = setting(1, "[0, inf)")
    # Into which a batch is cut by length on its way through the encoders; changes rounding and dropout.
    pieces: int = setting(1, "[1, inf)")
    precision: str = setting("float32", ("float32", "bf16"))  # of the encoders' products
    # Of the cross-validated tests, outside and inside; SentEval's quick setting is 5.
    folds: int = setting(10, "[2, 100]")
    widths: str = added("few", ("few", "every"))  # pieces are as wide as one of six widths, or as their longest


@dataclass(frozen=True)
class QuickThoughts(Trained):
    """Defaults are the published protocol (lajanugen/S2V at 397b8b1): neighbouring sentences find each other.

    ``sentences`` are blocks of ``batch`` consecutive ones, evenly spaced over the corpus.
    """

    corpus: str = "bookcorpus"  # a corpus of `contrastbench data list`, or the path of a text file or folder
    vocabulary: int = setting(50_000, "[1, inf)")  # the most frequent words of the sentences taken
    expansion: str = ""  # a text file of word vectors; their words, too, get embeddings for the tests
    encoder: str = setting("gru", ("gru", "transformer"))  # there are two of them, tested side by side
    word_width: int = setting(620, "[1, inf)")
    width: int = setting(1200, "[2, inf)")  # of each encoder
    longest: int = setting(30, "[1, 128]")  # words in training
    loss: str = setting("biased", ("biased", "dcl", "hcl"))  # "biased": Quick-Thoughts'
    # A sentence's score with itself is 0 ("code"), or left out ("paper").
    diagonal: str = setting("code", ("code", "paper"), **TRAINED, loss=("biased",))
    batch: int = setting(400, "[4, inf)")  # consecutive sentences
    learning_rate: float = setting(5e-4, "(0, inf)", **TRAINED)  # Adam, constant
    clip: float = setting(5.0, "(0, inf)", **TRAINED)  # the gradient's norm
    # Of each weight's gradient alone, as the authors' code clips GRUs; or of all together, in transformers, ours.
    clip_of: str = added("all", ("all", "each"), **TRAINED, encoder=("transformer",))
    tests: tuple[str, ...] = TRANSFER


@dataclass(frozen=True)
class SimCSE(Trained):
    """Defaults are unsupervised SimCSE from BERT-base (princeton-nlp/SimCSE at 49fa580)."""

    NEEDED_WHERE: ClassVar = {"pretrain": {"model": ("",)}}

    data: str = "wikipedia_1m"  # a corpus (unsupervised: each sentence twice, by dropout), or "SNLI" (triplets)
    model: str = "bert-base-uncased"  # a pretrained model; "" starts from the run needed as `pretrain`
    layers: int = setting(0, "[0, inf)")  # keep so many of the pretrained model's first layers; 0 keeps all
    pooler: str = setting("cls_before_pooler", POOLERS)  # of a pretrained model: see encoders.pretrained_text
    longest: int = setting(32, "[1, 512]")  # words or word pieces in training
    loss: str = setting("simcse", ("simcse", "dcl", "hcl"))
    temperature: float = setting(0.05, "(0, inf)", **TRAINED)
    hard_weight: float = setting(1.0, "(0, inf)", **TRAINED, data=("SNLI",))  # alpha, of a premise's own contradiction
    batch: int = setting(64, "[4, inf)")
    learning_rate: float = setting(3e-5, "(0, inf)", **TRAINED)  # AdamW, falling linearly to 0
    selection: str = setting("best_on_stsb_dev", ("best_on_stsb_dev", "last"))
    evaluate_every: int = setting(125, "[1, inf)", **TRAINED, selection=("best_on_stsb_dev",))  # steps
    tests: tuple[str, ...] = STS


@dataclass(frozen=True)
class Words:
    """What an encoder must beat: bags of words, made from the same corpus."""

    method: str = setting("tfidf", ("tfidf", "lsa", "word_vectors"))  # see baselines/bags_of_words.py
    corpus: str = "bookcorpus"
    sentences: int = setting(0, "[0, inf)")
    block: int = setting(400, "[1, inf)")  # consecutive sentences, as the encoders take them
    vocabulary: int = setting(50_000, "[1, inf)")
    width: int = setting(300, "[2, inf)", method=("lsa", "word_vectors"))
    folds: int = setting(10, "[2, 100]")
    tests: tuple[str, ...] = TRANSFER
