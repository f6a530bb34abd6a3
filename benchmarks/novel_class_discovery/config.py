"""Every setting of each stage. No torch here: planning reads it.

Defaults are the authors' CIFAR-10 protocol as their code runs it (zhunzhong07/NCL, with AutoNovel's stages 1 and 2).
Classes are ranges of numbers such as "0-4"; a data set's classes keep their order.
"""

from __future__ import annotations

from dataclasses import dataclass

from contrastbench.runner import added


@dataclass(frozen=True)
class Task:
    """What all stages share: the images, which classes have labels, and the network."""

    dataset: str = "cifar10"  # images in memory, or "imagenet_A", "imagenet_B", "imagenet_C": a folder of pictures
    known: str = "0-4"  # classes with labels
    novel: str = "5-9"  # classes without: their labels serve evaluation alone
    encoder: str = "resnet18_cifar"  # "small", "resnet18_cifar" or "resnet18"
    views: str = "crop"  # "crop", "reflect", "digits" or "imagenet"; see views.py
    statistics: str = "own"  # mean and deviation of the pixels: "own", or "code": those printed in the authors' code
    precision: str = "float32"  # of the encoder: "float32", or "bf16" for its convolutions and matrix products
    train_images: int = added(0)  # random training images of all classes, the same ones in every run; 0: all images


@dataclass(frozen=True)
class Pretrain(Task):
    """Stage 1: RotNet on the images of all classes, without labels."""

    epochs: int = 200
    batch: int = 128  # images; the network sees each in four rotations
    learning_rate: float = 0.1  # SGD with Nesterov momentum 0.9
    weight_decay: float = 5e-4
    drops: tuple[int, ...] = (60, 120, 160)  # epochs from which on the rate is a fifth of what it was


@dataclass(frozen=True)
class Supervise(Task):
    """Stage 2: cross-entropy on the known classes."""

    start: str = "pretrain"  # from stage 1's encoder, or from "nothing"
    frozen: bool = True  # only the last part of the encoder learns; the rest stays as stage 1 left it
    epochs: int = 100
    batch: int = 128
    learning_rate: float = 0.1  # SGD with momentum 0.9
    weight_decay: float = 1e-4
    drop_every: int = 10  # epochs after which the rate is multiplied by ``drop_factor``
    drop_factor: float = 0.5


@dataclass(frozen=True)
class Discover(Task):
    """Stage 3: AutoNovel's joint losses, and what NCL adds to them. A weight of 0 leaves a loss out."""

    views: str = "reflect"
    statistics: str = "code"
    epochs: int = 200
    batch: int = 128  # labelled and unlabelled images, as they come
    frozen: bool = True  # only the last part of the encoder and the heads learn
    unlabelled_batch: int = 0  # above 0: this many of each batch are unlabelled; ImageNet: 128 of 512
    learning_rate: float = 0.1  # SGD with momentum 0.9
    weight_decay: float = 1e-4
    drop_every: int = 170  # epochs after which the rate is a tenth; the code steps before the epoch, so at 169
    clusters: int = 0  # outputs of the novel head; 0: as many as there are novel classes, -1: as ``estimate`` says
    pairs: str = "cosine"  # which images are taken for one class: "cosine" or AutoNovel's "ranks"
    threshold: float = 0.95  # "cosine": from here on two images are one class
    ranks: int = 5  # "ranks": as many strongest features must be the same
    consistency: float = 5.0  # final weight of the squared difference between two views' class probabilities
    ramp_epochs: int = 50  # until that weight is reached
    ncl: float = 1.0  # weight of neighbourhood contrastive learning
    ncl_from_epoch: int = 1
    scl: float = 0.1  # weight of supervised contrastive learning
    neighbours: int = 200  # k; 0: queue / clusters / 2
    neighbour_search: str = "as_code"  # among queue and own other view; "as_paper": in the queue alone
    queue: int = 2000  # |M|, unlabelled
    labelled_queue: int = 2000
    temperature: float = 0.05
    positive_weight: float = 0.2  # alpha: share of the other view, the neighbours have the rest
    hard_from_epoch: int = -1  # hard negatives are generated from this epoch on; -1: never
    safe: int = 50  # entries of each queue that are mixed
    rounds: int = 5
    keep: int = 400  # hard negatives of each image
    mixing: str = "thirds"  # shares of a mix: "thirds", 1/3 and 2/3 of every pair, or "random"


@dataclass(frozen=True)
class Uno(Task):
    """Stage 3 of a later method: one classifier for all classes, pseudo-labels by Sinkhorn-Knopp."""

    epochs: int = 200
    batch: int = 512
    learning_rate: float = 0.4  # SGD with momentum 0.9; cosine to ``least_rate``
    least_rate: float = 1e-3
    warm_up_epochs: int = 10
    weight_decay: float = 1.5e-4
    heads: int = 4
    overcluster: int = 10  # clusters of the second kind of head, for each novel class; 0: no such heads
    projection: int = 256
    hidden: int = 2048
    temperature: float = 0.1
    sinkhorn_steps: int = 3
    sinkhorn_epsilon: float = 0.05


@dataclass(frozen=True)
class Cluster(Task):
    """k-means on fixed features of the unlabelled images."""

    source: str = "stage"  # features of the stage that is needed, "untrained", or "pixels"
    starts: int = 10  # of which the tightest counts


@dataclass(frozen=True)
class Estimate(Task):
    """AutoNovel's estimate of the number of novel classes: k-means that knows some known classes, over many numbers."""

    probe: int = 4  # known classes that take part
    anchors: int = 2  # of these, keep their labels; the others are to be found again
    most: int = 20  # novel classes at most
    starts: int = 5
    images_per_class: int = 500  # of the probe classes; 0: all
    silhouette_images: int = 5000  # unlabelled images that the silhouette is measured on, at most
    least_share: float = 0.01  # of the largest cluster; smaller clusters are not counted as classes


@dataclass(frozen=True)
class Mean:
    """The mean of three runs' metrics: ImageNet's subsets A, B and C."""


RANGES = {
    "encoder": ("small", "resnet18_cifar", "resnet18"),
    "start": ("pretrain", "nothing"),
    "views": ("crop", "reflect", "digits", "imagenet"),
    "statistics": ("own", "code"),
    "precision": ("float32", "bf16"),
    "train_images": "[0, inf)",
    "epochs": "[0, inf)",
    "batch": "[2, inf)",
    "unlabelled_batch": "[0, inf)",
    "learning_rate": "(0, inf)",
    "weight_decay": "[0, inf)",
    "drop_every": "[1, inf)",
    "drops": "[1, inf)",
    "drop_factor": "(0, 1]",
    "clusters": "[-1, inf)",
    "pairs": ("cosine", "ranks"),
    "threshold": "[-1, 1]",
    "ranks": "[1, inf)",
    "consistency": "[0, inf)",
    "ramp_epochs": "[1, inf)",
    "ncl": "[0, inf)",
    "ncl_from_epoch": "[0, inf)",
    "scl": "[0, inf)",
    "neighbours": "[0, inf)",
    "neighbour_search": ("as_code", "as_paper"),
    "queue": "[1, inf)",
    "labelled_queue": "[1, inf)",
    "temperature": "(0, inf)",
    "positive_weight": "[0, 1]",
    "hard_from_epoch": "[-1, inf)",
    "safe": "[1, inf)",
    "rounds": "[1, inf)",
    "keep": "[1, inf)",
    "mixing": ("thirds", "random"),
    "heads": "[1, inf)",
    "overcluster": "[0, inf)",
    "source": ("stage", "untrained", "pixels"),
    "starts": "[1, inf)",
    "probe": "[2, inf)",
    "anchors": "[1, inf)",
    "most": "[2, inf)",
    "least_share": "[0, 1)",
    "least_rate": "[0, inf)",
    "warm_up_epochs": "[0, inf)",
    "projection": "[1, inf)",
    "hidden": "[1, inf)",
    "sinkhorn_steps": "[1, inf)",
    "sinkhorn_epsilon": "(0, inf)",
    "images_per_class": "[0, inf)",
    "silhouette_images": "[2, inf)",
}
USED_BY = {
    "threshold": {"pairs": ("cosine",)},
    "ranks": {"pairs": ("ranks",)},
    "neighbours": {"ncl": "(0, inf)"},
    "neighbour_search": {"ncl": "(0, inf)"},
    "positive_weight": {"ncl": "(0, inf)"},
    "ncl_from_epoch": {"ncl": "(0, inf)"},
    "safe": {"hard_from_epoch": "[0, inf)"},
    "rounds": {"hard_from_epoch": "[0, inf)"},
    "keep": {"hard_from_epoch": "[0, inf)"},
    "mixing": {"hard_from_epoch": "[0, inf)"},
    "Cluster.encoder": {"source": ("stage", "untrained")},
}
