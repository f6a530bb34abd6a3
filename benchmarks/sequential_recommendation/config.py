"""Every setting of one run. No torch here: planning reads it."""

from __future__ import annotations

from dataclasses import dataclass

from contrastbench.runner import added


@dataclass(frozen=True)
class Train:
    """SASRec and the contrastive methods on top of it. Defaults are S3-Rec's fine-tuning (run_finetune_full.py)."""

    dataset: str = "LastFM"  # a set of `contrastbench data list`, or a file of the data root
    users: int = 0  # the first so many; 0 takes all
    loss: str = "bce"  # "bce": one random negative a place; "ce": all items compete
    sequences: str = "whole"  # one row a user, every place has a target; or "prefixes": a row for each target
    negatives: str = "unseen"  # bce: never an item of the user, held-out ones too; "untrained": never a training item
    views: str = "none"  # "cl4srec" (two operations), "coserec" (similar items too), "duorec", "iclrec" (intents too)
    contrast: str = "nt_xent"  # "nt_xent", "dcl" or "hcl"
    weight: float = 0.1  # lambda, of the contrastive loss
    temperature: float = 1.0
    similarity: str = "dot"  # or "cosine"
    tau_plus: float = 0.0  # class prior: dcl and hcl
    beta: float = 0.0  # hardness: hcl
    crop: float = 0.6  # all but duorec: share of the items that are kept
    mask: float = 0.3  # all but duorec: share of the items that are hidden
    reorder: float = 0.6  # all but duorec: share of the items that are shuffled
    longest: int = 50  # items; earlier ones are cut off
    width: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.5
    batch: int = 256
    pieces: int = 3  # into which a batch is cut by length by length on its way through the encoder
    epochs: int = 200  # at most
    patience: int = 10  # epochs without a better validation score
    selection: str = "ndcg20_zeroed"  # the validation score; or "mrr10_unmasked" (DuoRec's), or "last" (the last epoch)
    learning_rate: float = 1e-3  # Adam, constant
    substitute: float = added(0.1)  # coserec: share of the items that similar ones replace
    insert: float = added(0.4)  # coserec: share of the items that get a similar one before them
    short: int = added(4)  # coserec: sequences of at most so many items take the operations of the next field alone
    short_operations: str = added("SIM")  # of S(ubstitute), I(nsert), M(ask), C(rop), R(eorder)
    warm_up: int = added(160)  # coserec: epochs until learned embeddings have a say in what is similar
    clusters: int = added(256)  # iclrec: intents
    intent_weight: float = added(0.1)  # iclrec: of the loss between views and intents
    start: str = added("random")  # the first weights; or "pretrain": those of the run needed by this name


@dataclass(frozen=True)
class Pretrain:
    """S3-Rec's pre-training. Defaults are its run_pretrain.py, and the epoch that its authors go on from."""

    dataset: str = "LastFM"
    users: int = 0
    aap: float = 0.2  # weight: attributes of the items that are shown ("associated attribute prediction")
    mip: float = 1.0  # weight: which item is hidden ("masked item prediction")
    map: float = 1.0  # weight: attributes of the items that are hidden ("masked attribute prediction")
    sp: float = 0.5  # weight: which run of items is hidden ("segment prediction")
    hidden: float = 0.2  # share of a prefix's items that are hidden; its last item always is
    longest: int = 50
    width: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.5
    batch: int = 100  # prefixes
    pieces: int = 5
    epochs: int = 150
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Count:
    """What needs no training: counts over the training sequences."""

    dataset: str = "LastFM"
    users: int = 0
    method: str = "popularity"  # or "transitions": what came right after the last item
    actions: str = added("training")  # that are counted; or "all", the held-out ones of validation and test too


_SELECTED = ("ndcg20_zeroed", "mrr10_unmasked")
_VIEWS = ("cl4srec", "coserec", "duorec", "iclrec")
RANGES = {
    **{"users": "[0, inf)", "loss": ("bce", "ce"), "sequences": ("whole", "prefixes")},
    **{"negatives": ("unseen", "untrained"), "views": ("none", *_VIEWS), "contrast": ("nt_xent", "dcl", "hcl")},
    **{"weight": "[0, inf)", "temperature": "(0, inf)", "similarity": ("dot", "cosine"), "tau_plus": "[0, 1)"},
    **{"beta": "[0, 1000]", "crop": "(0, 1]", "mask": "[0, 1]", "reorder": "[0, 1]", "longest": "[1, 10000]"},
    **{"width": "[1, inf)", "layers": "[1, inf)", "heads": "[1, inf)", "dropout": "[0, 1)", "batch": "[8, inf)"},
    **{"pieces": "[1, 8]", "epochs": "[1, inf)", "patience": "[1, inf)", "selection": (*_SELECTED, "last")},
    **{"learning_rate": "(0, inf)", "substitute": "[0, 1]", "insert": "[0, 1]", "short": "[0, inf)"},
    **{"short_operations": ("SI", "SIM", "SIR", "SIC", "SIMR", "SIMC", "SIRC", "SIMRC"), "warm_up": "[0, inf)"},
    **{"clusters": "[2, inf)", "intent_weight": "[0, inf)"},
    **{"method": ("popularity", "transitions"), "actions": ("training", "all"), "start": ("random", "pretrain")},
    **{**dict.fromkeys(("aap", "mip", "map", "sp"), "[0, inf)"), "hidden": "[0, 1]"},
}
USED_BY = {
    "negatives": {"loss": ("bce",)},
    **dict.fromkeys(("contrast", "weight", "temperature", "similarity"), {"views": _VIEWS}),
    "tau_plus": {"views": _VIEWS, "contrast": ("dcl", "hcl")},
    "beta": {"views": _VIEWS, "contrast": ("hcl",)},
    **dict.fromkeys(("crop", "mask", "reorder"), {"views": ("cl4srec", "coserec", "iclrec")}),
    **dict.fromkeys(("clusters", "intent_weight"), {"views": ("iclrec",)}),
    **dict.fromkeys(("substitute", "insert", "short", "short_operations", "warm_up"), {"views": ("coserec",)}),
    "patience": {"selection": _SELECTED},
}
