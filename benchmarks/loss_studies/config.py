"""The settings of each study. No torch here: planning reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Noise:
    """NCE against maximum likelihood: a log-bilinear model of words drawn from a known trigram source."""

    vocabulary: int = 200  # words; small enough for the exact gradient
    width: int = 16  # of a word's vector
    words: int = 60_000  # training text
    samples: int = 25  # k, noise samples a word; 0 trains by maximum likelihood
    epochs: int = 20
    batch: int = 500  # words
    learning_rate: float = 0.01  # Adam, to 0 by a cosine
    repeats: int = 100  # noise draws of the gradient study


@dataclass(frozen=True)
class Information:
    """InfoNCE's bound on the mutual information of two correlated Gaussian vectors."""

    dimensions: int = 20
    truth: float = 4.0  # the mutual information, nats
    size: int = 64  # N, pairs in a batch
    pairs: int = 16_384  # evaluated, in batches of N
    critic: str = "optimal"  # "optimal" (the log density ratio) or "trained" (two networks, dot product)
    width: int = 128  # "trained" only, as are the next two
    steps: int = 4000
    learning_rate: float = 1e-3  # Adam, to 0 by a cosine


@dataclass(frozen=True)
class Estimators:
    """The negative term of DCL, HCL and BCL against the one that knows the true negatives."""

    alpha: float = 0.9  # P(a positive outscores a negative) of the scores' distribution
    tau_plus: float = 0.1
    negatives: int = 100  # N; BCL's MSE.py
    anchors: int = 100  # of one experiment; BCL's MSE.py
    repeats: int = 100  # experiments
    temperature: float = 0.5  # scores are spread over [-1/t^2, 1/t^2], as in BCL's MSE.py
    positives: int = 11  # M, known positives for DCL and HCL: the partner and 10 more; BCL's MSE.py
    estimator: str = "biased"  # "biased", "dcl", "bcl", "hcl" or "undebiased" (hard, but not debiased)
    beta: float = 0.0  # hardness, of "hcl" and "undebiased" and of the truth they are compared with


@dataclass(frozen=True)
class Limit:
    """HCL's optimum with known negatives, as beta grows: free points on a sphere, a cluster for each class."""

    dimensions: int = 3  # 2 is the circle
    sizes: tuple[int, ...] = (3, 3, 3, 3, 3, 3, 3)  # points of each class
    beta: float = 0.0
    temperature: float = 0.5
    starts: int = 8  # the one of least loss counts
    steps: int = 3000  # full-batch Adam
    learning_rate: float = 0.05  # to 0 by a cosine


@dataclass(frozen=True)
class Images:
    """A contrastive encoder of digits, watched while it trains."""

    dataset: str = "mnist5k"
    loss: str = "nt_xent"  # "nt_xent", "dcl" or "hcl"
    tau_plus: float = 0.1
    beta: float = 0.0
    annealed: bool = False  # beta goes down to 0 in nine steps, as in the authors' code
    positives: str = "views"  # "views" of one image, or "labels": another image of the class, the authors' oracle
    temperature: float = 0.5
    batch: int = 128
    epochs: int = 40
    learning_rate: float = 3e-3  # Adam
    images: int = 0  # training images; 0 is all
    bins: int = 40  # of the similarity histograms over [-1, 1]


@dataclass(frozen=True)
class Mining:
    """Triplets of digits: what each miner does to the map."""

    dataset: str = "mnist5k"
    miner: str = "semi_hard"  # "every", "easy", "semi_hard" or "hard"
    margin: float = 0.2  # squared distance; FaceNet
    width: int = 32  # of the embedding
    hidden: int = 256
    classes: int = 10  # in a batch
    members: int = 20  # of each class in a batch
    epochs: int = 40  # of 15 batches
    learning_rate: float = 1e-3  # Adam
    images: int = 0


@dataclass(frozen=True)
class Map:
    """DrLIM: digits in the plane."""

    dataset: str = "mnist5k"
    digits: tuple[int, ...] = (4, 9)
    neighbours: int = 5  # similar are the nearest in pixels, as in the paper; 0: those of the same label
    margin: float = 1.0
    hidden: int = 256
    epochs: int = 60
    batch: int = 256  # pairs, half of them similar
    learning_rate: float = 1e-3  # Adam
    images: int = 0


# What --set accepts, and which runs read a field at all; Images.positives is that field of Images alone.
RANGES = {
    **{"vocabulary": "[2, inf)", "width": "[1, 65536]", "words": "[1, inf)", "samples": "[0, inf)"},
    **{"epochs": "[0, inf)", "batch": "[1, inf)", "learning_rate": "(0, inf)", "repeats": "[1, inf)"},
    **{"dimensions": "[2, inf)", "truth": "(0, inf)", "size": "[2, inf)", "pairs": "[1, inf)"},
    **{
        "critic": ("optimal", "trained"),
        "steps": "[0, inf)",
        "estimator": ("biased", "dcl", "bcl", "hcl", "undebiased"),
    },
    **{"alpha": "[0.5, 1]", "tau_plus": "[0, 1)", "negatives": "[1, inf)", "anchors": "[1, inf)"},
    **{"temperature": "(0, inf)", "positives": "[1, inf)", "beta": "[0, 1000]", "sizes": "[1, inf)"},
    **{"starts": "[1, inf)", "loss": ("nt_xent", "dcl", "hcl"), "annealed": (True, False), "images": "[0, inf)"},
    "Images.positives": ("views", "labels"),
    **{"bins": "[1, inf)", "miner": ("every", "easy", "semi_hard", "hard"), "margin": "(0, inf)", "hidden": "[1, inf)"},
    **{"classes": "[2, inf)", "members": "[2, inf)", "digits": "[0, 9]", "neighbours": "[0, inf)"},
}
_TRAINED = {"critic": ("trained",)}
USED_BY = {
    **dict.fromkeys(("width", "steps", "learning_rate"), _TRAINED),
    "tau_plus": {"loss": ("dcl", "hcl")},
    "beta": {"loss": ("hcl",)},
    "annealed": {"loss": ("hcl",)},
    **{name: {"stage": ("noise_training",)} for name in ("Noise.epochs", "Noise.learning_rate")},
    "Noise.repeats": {"stage": ("noise_gradient",)},
}
