"""Every setting of each stage. No torch here: planning reads it.

Defaults are the authors' CIFAR-10 protocol as their code runs it (zhunzhong07/NCL, with AutoNovel's stages 1 and 2).
Classes are ranges of numbers such as "0-4"; a data set's classes keep their order.
"""

from dataclasses import dataclass

from contrastbench.runner import added, setting

ENCODERS = ("small", "resnet18_cifar", "resnet18", "linear")
VIEWS = ("crop", "reflect", "digits", "imagenet", "dropout")  # see views.py
WITH_NCL, WITH_HARD = {"ncl": "(0, inf)"}, {"hard_from_epoch": "[0, inf)"}


@dataclass(frozen=True)
class Task:
    """What all stages share: the images, which classes have labels, and the network."""

    # Images in memory; "imagenet_A", "imagenet_B", "imagenet_C": a folder of pictures; "TREC": questions by MiniLM.
    dataset: str = "cifar10"
    known: str = "0-4"  # classes with labels
    novel: str = "5-9"  # classes without: their labels serve evaluation alone
    encoder: str = setting("resnet18_cifar", ENCODERS)
    views: str = setting("crop", VIEWS)
    statistics: str = setting("own", ("own", "code"))  # the data set's, or those printed in the authors' code
    precision: str = setting("float32", ("float32", "bf16"))  # of the encoder's products
    # Random training images of all classes, the same ones in every run; 0: all images.
    train_images: int = added(0, "[0, inf)")


@dataclass(frozen=True)
class Pretrain(Task):
    """Stage 1: RotNet on the images of all classes, without labels."""

    epochs: int = setting(200, "[0, inf)")
    batch: int = setting(128, "[2, inf)")  # images; the network sees each in four rotations
    learning_rate: float = setting(0.1, "(0, inf)")  # SGD with Nesterov momentum 0.9
    weight_decay: float = setting(5e-4, "[0, inf)")
    # Epochs from which on the rate is a fifth of what it was.
    drops: tuple[int, ...] = setting((60, 120, 160), "[1, inf)")


@dataclass(frozen=True)
class Supervise(Task):
    """Stage 2: cross-entropy on the known classes."""

    start: str = setting("pretrain", ("pretrain", "nothing"))  # from stage 1's encoder, or from "nothing"
    frozen: bool = True  # only the last part of the encoder learns; the rest stays as stage 1 left it
    epochs: int = setting(100, "[0, inf)")
    batch: int = setting(128, "[2, inf)")
    learning_rate: float = setting(0.1, "(0, inf)")  # SGD with momentum 0.9
    weight_decay: float = setting(1e-4, "[0, inf)")
    drop_every: int = setting(10, "[1, inf)")  # epochs after which the rate is multiplied by ``drop_factor``
    drop_factor: float = setting(0.5, "(0, 1]")


@dataclass(frozen=True)
class Discover(Task):
    """Stage 3: AutoNovel's joint losses, and what NCL adds to them. A weight of 0 leaves a loss out."""

    views: str = setting("reflect", VIEWS)
    statistics: str = setting("code", ("own", "code"))
    epochs: int = setting(200, "[0, inf)")
    batch: int = setting(128, "[2, inf)")  # labelled and unlabelled images
    frozen: bool = True  # only the last part of the encoder and the heads learn
    unlabelled_batch: int = setting(0, "[0, inf)")  # so many of each batch are; 0: as they come
    learning_rate: float = setting(0.1, "(0, inf)")  # SGD with momentum 0.9
    weight_decay: float = setting(1e-4, "[0, inf)")
    # Epochs after which the rate is a tenth; the code steps before the epoch, so at 169.
    drop_every: int = setting(170, "[1, inf)")
    # Outputs of the novel head; 0: as many as there are novel classes, -1: as ``estimate`` says.
    clusters: int = setting(0, "[-1, inf)")
    # Which images are taken for one class: by cosine, or as in AutoNovel by ranks of features.
    pairs: str = setting("cosine", ("cosine", "ranks"))
    threshold: float = setting(0.95, "[-1, 1]", pairs=("cosine",))  # from here on two are one class
    ranks: int = setting(5, "[1, inf)", pairs=("ranks",))  # as many strongest features must be the same
    # Final weight of the squared difference between two views' class probabilities.
    consistency: float = setting(5.0, "[0, inf)")
    ramp_epochs: int = setting(50, "[1, inf)")  # until that weight is reached
    ncl: float = setting(1.0, "[0, inf)")  # weight of neighbourhood contrastive learning
    ncl_from_epoch: int = setting(1, "[0, inf)", **WITH_NCL)
    scl: float = setting(0.1, "[0, inf)")  # weight of supervised contrastive learning
    neighbours: int = setting(200, "[0, inf)", **WITH_NCL)  # k; 0: queue / clusters / 2
    # "as_code": among queue and own other view; "as_paper": in the queue alone.
    neighbour_search: str = setting("as_code", ("as_code", "as_paper"), **WITH_NCL)
    queue: int = setting(2000, "[1, inf)")  # |M|, unlabelled
    labelled_queue: int = setting(2000, "[1, inf)")
    temperature: float = setting(0.05, "(0, inf)")
    # alpha: share of the other view, the neighbours have the rest.
    positive_weight: float = setting(0.2, "[0, 1]", **WITH_NCL)
    hard_from_epoch: int = setting(-1, "[-1, inf)")  # hard negatives are generated from this epoch on; -1: never
    safe: int = setting(50, "[1, inf)", **WITH_HARD)  # entries of each queue that are mixed
    rounds: int = setting(5, "[1, inf)", **WITH_HARD)
    keep: int = setting(400, "[1, inf)", **WITH_HARD)  # hard negatives of each image
    # Shares of a mix: "thirds", 1/3 and 2/3 of every pair, or "random".
    mixing: str = setting("thirds", ("thirds", "random"), **WITH_HARD)
    kmeans_on_features: bool = added(False)  # measure k-means on the features in the end, beside the head


@dataclass(frozen=True)
class Uno(Task):
    """Stage 3 of a later method: one classifier for all classes, pseudo-labels by Sinkhorn-Knopp."""

    epochs: int = setting(200, "[0, inf)")
    batch: int = setting(512, "[2, inf)")
    learning_rate: float = setting(0.4, "(0, inf)")  # SGD with momentum 0.9; cosine to ``least_rate``
    least_rate: float = setting(1e-3, "[0, inf)")
    warm_up_epochs: int = setting(10, "[0, inf)")
    weight_decay: float = setting(1.5e-4, "[0, inf)")
    heads: int = setting(4, "[1, inf)")
    # Clusters of the second kind of head, for each novel class; 0: no such heads.
    overcluster: int = setting(10, "[0, inf)")
    projection: int = setting(256, "[1, inf)")
    hidden: int = setting(2048, "[1, inf)")
    temperature: float = setting(0.1, "(0, inf)")
    sinkhorn_steps: int = setting(3, "[1, inf)")
    sinkhorn_epsilon: float = setting(0.05, "(0, inf)")
    kmeans_on_features: bool = added(False)


@dataclass(frozen=True)
class Cluster(Task):
    """k-means on fixed features of the unlabelled images."""

    encoder: str = setting("resnet18_cifar", ENCODERS, source=("stage", "untrained"))
    # Features of the stage that is needed, of an untrained encoder, or pixels.
    source: str = setting("stage", ("stage", "untrained", "pixels"))
    starts: int = setting(10, "[1, inf)")  # of which the tightest counts


@dataclass(frozen=True)
class Estimate(Task):
    """AutoNovel's estimate of the number of novel classes: k-means that knows some known classes, over many numbers."""

    probe: int = setting(4, "[2, inf)")  # known classes that take part
    anchors: int = setting(2, "[1, inf)")  # of these, keep their labels; the others are to be found again
    most: int = setting(20, "[2, inf)")  # novel classes at most
    starts: int = setting(5, "[1, inf)")
    images_per_class: int = setting(500, "[0, inf)")  # of the probe classes; 0: all
    silhouette_images: int = setting(5000, "[2, inf)")  # unlabelled images that the silhouette is measured on, at most
    least_share: float = setting(0.01, "[0, 1)")  # of the largest cluster; smaller clusters are not counted as classes


SUBSETS = ("A", "B", "C")  # of ImageNet's held-out classes: the papers print the mean over them


@dataclass(frozen=True)
class Mean:
    """The mean of the subsets' metrics."""
