"""Every setting of one run. No torch here: planning reads it."""

from dataclasses import dataclass
from typing import ClassVar

from contrastbench.runner import added, setting

SELECTED = ("ndcg20_zeroed", "mrr10_unmasked")  # validation scores
COMPARED = {"views": ("cl4srec", "coserec", "duorec", "iclrec")}
CUT = {"views": ("cl4srec", "coserec", "iclrec")}
COSEREC, ICLREC = {"views": ("coserec",)}, {"views": ("iclrec",)}
WITH_PREDICTION = {"un": "a", "su": "b", "us": "ab"}  # DuoRec: views that the pass that predicts is compared with
OPERATIONS = ("SI", "SIM", "SIR", "SIC", "SIMR", "SIMC", "SIRC", "SIMRC")  # see ``short_operations``


@dataclass(frozen=True)
class Network:
    """The data, and the encoder with its optimiser, which pre-training and training share."""

    dataset: str = "LastFM"  # a set of `contrastbench data list`, or a file of the data root
    users: int = setting(0, "[0, inf)")  # the first so many; 0 takes all
    longest: int = setting(50, "[1, 10000]")  # items; earlier ones are cut off
    width: int = setting(64, "[1, inf)")
    layers: int = setting(2, "[1, inf)")
    heads: int = setting(2, "[1, inf)")
    dropout: float = setting(0.5, "[0, 1)")
    learning_rate: float = setting(1e-3, "(0, inf)")  # Adam, constant


@dataclass(frozen=True)
class Train(Network):
    """SASRec and the contrastive methods on top of it. Defaults are S3-Rec's fine-tuning (run_finetune_full.py)."""

    NEEDED_WHERE: ClassVar = {"pretrain": {"start": ("pretrain",)}}

    loss: str = setting("bce", ("bce", "ce"))  # "bce": one random negative a place; "ce": all items compete
    # "whole": one row a user, every place has a target; or a row for each target.
    sequences: str = setting("whole", ("whole", "prefixes"))
    # "unseen": never an item of the user, held-out ones too; "untrained": never a training item.
    negatives: str = setting("unseen", ("unseen", "untrained"), loss=("bce",))
    # "cl4srec" (two operations), "coserec" (similar items too), "duorec", "iclrec" (intents too).
    views: str = setting("none", ("none", *COMPARED["views"]))
    contrast: str = setting("nt_xent", ("nt_xent", "dcl", "hcl"), **COMPARED)
    weight: float = setting(0.1, "[0, inf)", **COMPARED)  # lambda, of the contrastive loss
    temperature: float = setting(1.0, "(0, inf)", **COMPARED)
    similarity: str = setting("dot", ("dot", "cosine"), **COMPARED)
    tau_plus: float = setting(0.0, "[0, 1)", **COMPARED, contrast=("dcl", "hcl"))  # class prior
    beta: float = setting(0.0, "[0, 1000]", **COMPARED, contrast=("hcl",))  # hardness
    crop: float = setting(0.6, "(0, 1]", **CUT)  # share of the items that are kept
    mask: float = setting(0.3, "[0, 1]", **CUT)  # share of the items that are hidden
    reorder: float = setting(0.6, "[0, 1]", **CUT)  # share of the items that are shuffled
    batch: int = setting(256, "[8, inf)")
    pieces: int = setting(3, "[1, 8]")  # into which a batch is cut by length on its way through the encoder
    epochs: int = setting(200, "[1, inf)")  # at most
    patience: int = setting(10, "[1, inf)", selection=SELECTED)  # epochs without a better validation score
    # The validation score, S3-Rec's or DuoRec's; or the last epoch.
    selection: str = setting("ndcg20_zeroed", (*SELECTED, "last"))
    substitute: float = added(0.1, "[0, 1]", **COSEREC)  # share of the items that similar ones replace
    insert: float = added(0.4, "[0, 1]", **COSEREC)  # share of the items that get a similar one before them
    # Sequences of at most so many items take these operations alone: S(ubstitute), I(nsert), M(ask), C(rop), R(eorder).
    short: int = added(4, "[0, inf)", **COSEREC)
    short_operations: str = added("SIM", OPERATIONS, **COSEREC)
    # Which item is most similar to another: by counts with or without inverse user frequency, or a random one.
    similar_by: str = added("itemcf_iuf", ("itemcf_iuf", "itemcf", "random"), **COSEREC)
    warm_up: int = added(160, "[0, inf)", **COSEREC)  # epochs until learned embeddings have a say in what is similar
    clusters: int = added(256, "[2, inf)", **ICLREC)  # intents
    # Each epoch from random points, or from the last epoch's centres, as the authors' code does.
    k_means: str = added("anew", ("anew", "continued"), **ICLREC)
    intent_weight: float = added(0.1, "[0, inf)", **ICLREC)  # of the loss between views and intents
    # Whether sequences of one intent, and of one item of validation, are negatives of each other; its ``--de_noise``.
    false_negatives: str = added("kept", ("kept", "left_out"), **ICLREC)
    # Two passes that are compared: a copy of the sequence under other dropout and a sequence of the same target, or two
    # such copies; or the pass that predicts and a copy ("un"), a sequence of the same target ("su"), either ("us").
    partner: str = added("target", ("target", "dropout", *WITH_PREDICTION), views=("duorec",))
    start: str = added("random", ("random", "pretrain"))  # first weights: drawn, or of the run needed by this name


@dataclass(frozen=True)
class Pretrain(Network):
    """S3-Rec's pre-training. Defaults are its run_pretrain.py, and the epoch that its authors go on from."""

    aap: float = setting(0.2, "[0, inf)")  # weight: attributes of items that are shown ("associated attribute")
    mip: float = setting(1.0, "[0, inf)")  # weight: which item is hidden ("masked item prediction")
    map: float = setting(1.0, "[0, inf)")  # weight: attributes of items that are hidden ("masked attribute prediction")
    sp: float = setting(0.5, "[0, inf)")  # weight: which run of items is hidden ("segment prediction")
    hidden: float = setting(0.2, "[0, 1]")  # share of a prefix's items that are hidden; its last item always is
    batch: int = setting(100, "[8, inf)")  # prefixes
    pieces: int = setting(5, "[1, 8]")
    epochs: int = setting(150, "[1, inf)")


@dataclass(frozen=True)
class Released:
    """Weights that a paper's authors released, tested as they are."""

    dataset: str = "Beauty"
    weights: str = "ICLRec-Beauty-1"  # recsys/weights/NAME.pt in the data root
    heads: int = setting(2, "[1, inf)")  # of the attention, which the file does not tell


@dataclass(frozen=True)
class Count:
    """What needs no training: counts over the training sequences."""

    dataset: str = "LastFM"
    users: int = setting(0, "[0, inf)")
    method: str = setting("popularity", ("popularity", "transitions"))  # or: what came right after the last item
    # The actions that are counted: the training ones, those of validation too, or those of the test too.
    actions: str = added("training", ("training", "before_test", "all"))
