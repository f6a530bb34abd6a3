"""Every setting of one run. No torch here: planning reads it."""

from dataclasses import dataclass

from contrastbench.runner import added, setting

LOSSES = ("nt_xent", "dcl", "hcl", "bcl")
ENCODED, TRAINED = {"stage": ("train", "supervised")}, {"stage": ("train",), "epochs": "(0, inf)"}
PROBED = {**ENCODED, "probe": ("adam",)}  # on augmented images, as the papers do


@dataclass(frozen=True)
class Config:
    """Defaults are the papers' CIFAR-10 protocol as their code runs it (joshr17/HCL image/ at 7b4647f)."""

    dataset: str = "cifar10"
    encoder: str = setting("resnet50", ("small_resnet", "resnet18", "resnet50"), **ENCODED)
    loss: str = setting("nt_xent", LOSSES, **TRAINED)  # what a loss does not use stays at 0
    temperature: float = setting(0.5, "(0, inf)", **TRAINED)
    tau_plus: float = setting(0.0, "[0, 1)", **TRAINED, loss=("dcl", "hcl", "bcl"))  # class prior
    alpha: float = setting(0.0, "[0.5, 1]", **TRAINED, loss=("bcl",))  # assumed P(a positive scores above a negative)
    beta: float = setting(0.0, "[0, 1000]", **TRAINED, loss=("hcl", "bcl"))  # hardness: hcl from 0 on, bcl 0.5 to 1
    batch: int = setting(256, "[2, inf)")  # items; the loss sees twice as many views
    epochs: int = setting(400, "[0, inf)", **ENCODED)
    learning_rate: float = setting(1e-3, "(0, inf)", **ENCODED, epochs="(0, inf)")  # Adam, constant
    weight_decay: float = setting(1e-6, "[0, inf)", **ENCODED, epochs="(0, inf)")
    augmentation: str = setting("natural", ("natural", "digits"), **ENCODED)  # "natural" is the papers'
    view_size: int = setting(32, "[8, 1024]", **ENCODED)  # pixels
    evaluation_size: int = setting(0, "[0, 1024]", **ENCODED)  # pixels that images are resized to; 0: as they are
    statistics: str = setting("cifar10", ("cifar10", "own"), **ENCODED)  # mean and deviation: the code's for every set
    precision: str = setting("float32", ("float32", "bf16"), **ENCODED)  # of the encoder's products
    knn_neighbours: int = setting(200, "[1, inf)")
    knn_temperature: float = setting(0.5, "(0, inf)")
    probe: str = setting("adam", ("adam", "logistic"), **ENCODED)  # "logistic": exact, on images as they are
    probe_epochs: int = setting(100, "[1, inf)", **PROBED)
    probe_batch: int = setting(512, "[2, inf)", **PROBED)
    probe_learning_rate: float = setting(1e-3, "(0, inf)", **PROBED)  # BCL's code: 1e-2 on STL-10
    probe_weight_decay: float = setting(1e-6, "[0, inf)", **PROBED)
    # The code's "frozen" encoder stays in training mode; "eval" is what the paper says.
    probe_batchnorm: str = setting("train", ("train", "eval"), **ENCODED)
    train_images: int = setting(0, "[0, inf)")  # a fixed random part of them, the same for all runs; 0: all
    validation: float = setting(0.0, "[0, 1)")  # share of the training images held out; then metrics are on these
    # Epochs after which kNN and, if it is logistic, the probe are measured.
    curve_epochs: tuple[int, ...] = added((), "[1, inf)", **TRAINED)
    # How beta falls to 0 during training; see schedules.py.
    anneal: str = added("none", ("none", "as_code", "as_paper"), **TRAINED, loss=("hcl",))
    # "linear": 0.501 up to alpha; "labels": estimated with them.
    alpha_from: str = added("fixed", ("fixed", "linear", "labels"), **TRAINED, loss=("bcl",))
    positives: str = added("views", ("views", "labels"), **TRAINED)  # "labels": the second view is of any of the class
    positive_samples: int = added(1, "[1, 64]", **TRAINED, loss=("dcl",))  # M, views that a class is known by
    queue: int = added(0, "[0, inf)", **TRAINED)  # MoCo's past keys as negatives; 0: the views of the batch
    key_momentum: float = added(0.99, "[0, 1]", **TRAINED, queue="(0, inf)")  # of the encoder that makes the keys
    batchnorm_groups: int = added(1, "[1, inf)", **TRAINED)  # equal parts of a batch, as DataParallel on so many GPUs
    # Hardest keys, mixed ones, mixed ones with the query; none: no mixed negatives.
    mochi: tuple[int, ...] = added((), "[0, inf)", **TRAINED, queue="(0, inf)")
    compile: bool = added(False, **TRAINED)  # through torch.compile: faster, with other last bits
