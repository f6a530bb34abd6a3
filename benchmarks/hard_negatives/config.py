"""Every setting of one run. No torch here: planning reads it."""

from __future__ import annotations

from dataclasses import dataclass

from contrastbench.runner import added

LOSSES = ("nt_xent", "dcl", "hcl", "bcl")


@dataclass(frozen=True)
class Config:
    """Defaults are the papers' CIFAR-10 protocol as their code runs it (joshr17/HCL image/ at 7b4647f)."""

    dataset: str = "cifar10"
    encoder: str = "resnet50"  # a name of contrastbench.encoders.resnets.ENCODERS
    loss: str = "nt_xent"  # one of LOSSES; what a loss does not use stays at 0
    temperature: float = 0.5
    tau_plus: float = 0.0  # class prior: dcl, hcl and bcl
    alpha: float = 0.0  # bcl: assumed probability that a positive scores above a negative, 0.5 to 1
    beta: float = 0.0  # hardness: hcl from 0 on, bcl 0.5 to 1
    batch: int = 256  # items; the loss sees twice as many views
    epochs: int = 400
    learning_rate: float = 1e-3  # Adam, constant
    weight_decay: float = 1e-6
    augmentation: str = "natural"  # "natural" (the papers') or "digits"
    view_size: int = 32  # pixels
    evaluation_size: int = 0  # pixels that train and test images are resized to for evaluation; 0: as they are
    statistics: str = "cifar10"  # normalise by CIFAR-10's mean and deviation, as the code does for every set, or "own"
    precision: str = "float32"  # of the encoder: "float32", or "bf16" for its convolutions and matrix products
    knn_neighbours: int = 200
    knn_temperature: float = 0.5
    probe: str = "adam"  # "adam": the papers', on augmented images; "logistic": exact, on images as they are
    probe_epochs: int = 100  # "adam" only, as are the next four
    probe_batch: int = 512
    probe_learning_rate: float = 1e-3  # BCL's code: 1e-2 on STL-10
    probe_weight_decay: float = 1e-6
    probe_batchnorm: str = "train"  # the code's "frozen" encoder stays in training mode; "eval" is what the paper says
    train_images: int = 0  # a fixed random part of the training images, the same for all runs; 0: all
    validation: float = 0.0  # share of the training images held out; above 0 the metrics are on these and say so
    curve_epochs: tuple[int, ...] = added(())  # epochs that kNN and, if it is logistic, the probe are measured after
    anneal: str = added("none")  # hcl: how beta falls to 0 during training, "as_code" or "as_paper"; see schedules.py
    alpha_from: str = added("fixed")  # bcl: "fixed", "linear" (0.501 up to alpha) or "labels" (estimated with them)
    positives: str = added("views")  # of one image, or "labels": the second view is of any image of the class
    positive_samples: int = added(1)  # dcl: M, views of an item that its class is known by; 1 is the partner alone
    queue: int = added(0)  # MoCo's past keys as negatives; 0: the views of the batch
    key_momentum: float = added(0.99)  # queue only: of the encoder that makes the keys
    batchnorm_groups: int = added(1)  # batch norm over so many equal parts of a batch, as DataParallel on so many GPUs
    mochi: tuple[int, ...] = added(())  # queue only: hardest, mixed, mixed with the query; none: no mixed negatives
    compile: bool = added(False)  # encoder and augmentation through torch.compile: faster, with other last bits


# What --set accepts, and which runs read a field at all.
RANGES = {
    "encoder": ("small_resnet", "resnet18", "resnet50"),
    "loss": LOSSES,
    **{"temperature": "(0, inf)", "tau_plus": "[0, 1)", "alpha": "[0.5, 1]", "beta": "[0, 1000]"},
    **{"batch": "[2, inf)", "epochs": "[0, inf)", "learning_rate": "(0, inf)", "weight_decay": "[0, inf)"},
    **{"augmentation": ("natural", "digits"), "view_size": "[8, 1024]", "evaluation_size": "[0, 1024]"},
    **{"statistics": ("cifar10", "own"), "precision": ("float32", "bf16")},
    **{"knn_neighbours": "[1, inf)", "knn_temperature": "(0, inf)", "probe": ("adam", "logistic")},
    **{"probe_epochs": "[1, inf)", "probe_batch": "[2, inf)", "probe_learning_rate": "(0, inf)"},
    **{"probe_weight_decay": "[0, inf)", "probe_batchnorm": ("train", "eval")},
    **{"train_images": "[0, inf)", "validation": "[0, 1)", "curve_epochs": "[1, inf)"},
    **{"anneal": ("none", "as_code", "as_paper"), "alpha_from": ("fixed", "linear", "labels")},
    **{"positives": ("views", "labels"), "positive_samples": "[1, 64]", "batchnorm_groups": "[1, inf)"},
    **{"queue": "[0, inf)", "key_momentum": "[0, 1]", "mochi": "[0, inf)"},
}
_ENCODED, _TRAINED = {"stage": ("train", "supervised")}, {"stage": ("train",), "epochs": "(0, inf)"}
USED_BY = {
    **dict.fromkeys(("encoder", "epochs", "augmentation", "view_size", "statistics", "precision"), _ENCODED),
    **dict.fromkeys(("evaluation_size", "probe", "probe_batchnorm"), _ENCODED),
    **dict.fromkeys(("loss", "temperature", "positives", "queue", "curve_epochs"), _TRAINED),
    **dict.fromkeys(("batchnorm_groups", "compile"), _TRAINED),
    **dict.fromkeys(("learning_rate", "weight_decay"), {**_ENCODED, "epochs": "(0, inf)"}),
    "anneal": {**_TRAINED, "loss": ("hcl",)},
    "alpha_from": {**_TRAINED, "loss": ("bcl",)},
    "positive_samples": {**_TRAINED, "loss": ("dcl",)},
    **dict.fromkeys(("key_momentum", "mochi"), {**_TRAINED, "queue": "(0, inf)"}),
    "tau_plus": {**_TRAINED, "loss": ("dcl", "hcl", "bcl")},
    "alpha": {**_TRAINED, "loss": ("bcl",)},
    "beta": {**_TRAINED, "loss": ("hcl", "bcl")},
    **{
        name: {**_ENCODED, "probe": ("adam",)}
        for name in ("probe_epochs", "probe_batch", "probe_learning_rate", "probe_weight_decay")
    },
}
