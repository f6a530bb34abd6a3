"""The settings of each study. No torch here: planning reads it."""

from dataclasses import dataclass

from contrastbench.runner import setting

WITH_TRAINED_CRITIC, OF_HCL = {"critic": ("trained",)}, {"loss": ("hcl",)}


@dataclass(frozen=True)
class Noise:
    """NCE against maximum likelihood: a log-bilinear model of words drawn from a known trigram source."""

    vocabulary: int = setting(200, "[2, inf)")  # words; small enough for the exact gradient
    width: int = setting(16, "[1, 65536]")  # of a word's vector
    words: int = setting(60_000, "[1, inf)")  # training text
    samples: int = setting(25, "[0, inf)")  # k, noise samples a word; 0 trains by maximum likelihood
    epochs: int = setting(20, "[0, inf)", stage=("noise_training",))
    batch: int = setting(500, "[1, inf)")  # words
    learning_rate: float = setting(0.01, "(0, inf)", stage=("noise_training",))  # Adam, to 0 by a cosine
    repeats: int = setting(100, "[1, inf)", stage=("noise_gradient",))  # noise draws of the gradient study


@dataclass(frozen=True)
class Information:
    """InfoNCE's bound on the mutual information of two correlated Gaussian vectors."""

    dimensions: int = setting(20, "[2, inf)")
    truth: float = setting(4.0, "(0, inf)")  # the mutual information, nats
    size: int = setting(64, "[2, inf)")  # N, pairs in a batch
    pairs: int = setting(16_384, "[1, inf)")  # evaluated, in batches of N
    critic: str = setting("optimal", ("optimal", "trained"))  # the log density ratio, or two networks' dot product
    width: int = setting(128, "[1, 65536]", **WITH_TRAINED_CRITIC)
    steps: int = setting(4000, "[0, inf)", **WITH_TRAINED_CRITIC)
    learning_rate: float = setting(1e-3, "(0, inf)", **WITH_TRAINED_CRITIC)  # Adam, to 0 by a cosine


@dataclass(frozen=True)
class Estimators:
    """The negative term of DCL, HCL and BCL against the one that knows the true negatives."""

    alpha: float = setting(0.9, "[0.5, 1]")  # P(a positive outscores a negative) of the scores' distribution
    tau_plus: float = setting(0.1, "[0, 1)")
    negatives: int = setting(100, "[1, inf)")  # N; BCL's MSE.py
    anchors: int = setting(100, "[1, inf)")  # of one experiment; BCL's MSE.py
    repeats: int = setting(100, "[1, inf)")  # experiments
    temperature: float = setting(0.5, "(0, inf)")  # scores are spread over [-1/t^2, 1/t^2], as in BCL's MSE.py
    positives: int = setting(11, "[1, inf)")  # M, known positives for DCL and HCL: the partner and 10 more; MSE.py
    # "undebiased" is hard, but not debiased.
    estimator: str = setting("biased", ("biased", "dcl", "bcl", "hcl", "undebiased"))
    beta: float = setting(0.0, "[0, 1000]")  # hardness, of "hcl" and "undebiased" and of the truth beside them


@dataclass(frozen=True)
class Limit:
    """HCL's optimum with known negatives, as beta grows: free points on a sphere, a cluster for each class."""

    dimensions: int = setting(3, "[2, inf)")  # 2 is the circle
    sizes: tuple[int, ...] = setting((3, 3, 3, 3, 3, 3, 3), "[1, inf)")  # points of each class
    beta: float = setting(0.0, "[0, 1000]")
    temperature: float = setting(0.5, "(0, inf)")
    starts: int = setting(8, "[1, inf)")  # the one of least loss counts
    steps: int = setting(3000, "[0, inf)")  # full-batch Adam
    learning_rate: float = setting(0.05, "(0, inf)")  # to 0 by a cosine


@dataclass(frozen=True)
class Images:
    """A contrastive encoder of digits, watched while it trains."""

    dataset: str = "mnist5k"
    loss: str = setting("nt_xent", ("nt_xent", "dcl", "hcl"))
    tau_plus: float = setting(0.1, "[0, 1)", loss=("dcl", "hcl"))
    beta: float = setting(0.0, "[0, 1000]", **OF_HCL)
    # beta goes down to 0 in nine steps, as in the authors' code.
    annealed: bool = setting(False, (True, False), **OF_HCL)
    # "labels": the other view is of another image of the class, the authors' oracle.
    positives: str = setting("views", ("views", "labels"))
    temperature: float = setting(0.5, "(0, inf)")
    batch: int = setting(128, "[1, inf)")
    epochs: int = setting(40, "[0, inf)")
    learning_rate: float = setting(3e-3, "(0, inf)")  # Adam
    images: int = setting(0, "[0, inf)")  # training images; 0 is all
    bins: int = setting(40, "[1, inf)")  # of the similarity histograms over [-1, 1]


@dataclass(frozen=True)
class Mining:
    """Triplets of digits: what each miner does to the map."""

    dataset: str = "mnist5k"
    miner: str = setting("semi_hard", ("every", "easy", "semi_hard", "hard"))
    margin: float = setting(0.2, "(0, inf)")  # squared distance; FaceNet
    width: int = setting(32, "[1, 65536]")  # of the embedding
    hidden: int = setting(256, "[1, inf)")
    classes: int = setting(10, "[2, inf)")  # in a batch
    members: int = setting(20, "[2, inf)")  # of each class in a batch
    epochs: int = setting(40, "[0, inf)")  # of 15 batches
    learning_rate: float = setting(1e-3, "(0, inf)")  # Adam
    images: int = setting(0, "[0, inf)")


@dataclass(frozen=True)
class Map:
    """DrLIM: digits in the plane."""

    dataset: str = "mnist5k"
    digits: tuple[int, ...] = setting((4, 9), "[0, 9]")
    # Similar are the nearest in pixels, as in the paper; 0: those of the same label.
    neighbours: int = setting(5, "[0, inf)")
    margin: float = setting(1.0, "(0, inf)")
    hidden: int = setting(256, "[1, inf)")
    epochs: int = setting(60, "[0, inf)")
    batch: int = setting(256, "[1, inf)")  # pairs, half of them similar
    learning_rate: float = setting(1e-3, "(0, inf)")  # Adam
    images: int = setting(0, "[0, inf)")
