"""What decides a run of the graph papers (InfoGraph, HCL's graph part, GraphCL and their baselines)."""

from __future__ import annotations

from dataclasses import dataclass

KERNELS = ("wl", "shortest_path", "graphlet")
METHODS = ("untrained", "infograph", "hard", "graphcl", "graphcl_info_nce", "supervised", "feature_sum", *KERNELS)


@dataclass(frozen=True)
class Config:
    dataset: str = "MUTAG"  # a TU data set, or any folder in the TU text format
    method: str = "infograph"  # one of METHODS; "graphcl_info_nce" has the positive in the denominator
    variant: str = "as_paper"  # of "hard" and "graphcl": the paper's loss, or that of the authors' code
    protocol: str = "published"  # or "clean": ten encoders, none of which sees its test fold
    features: str = "degree"  # of sets without node labels: "degree" (HCL's code) or "constant" (InfoGraph's code)

    # The encoder: HCL's launch.sh runs 3 layers of 32 (InfoGraph's paper chooses among 4, 8 and 12 layers).
    layers: int = 3
    hidden: int = 32
    dropout: float = 0.0  # probability, before the classifier of "supervised"

    # The objective.
    beta: float = 0.0  # hardness, "hard" only; the authors' grid is 0, 1, 2, 10
    tau_plus: float = 0.0  # probability of a false negative, "hard" only; fixed at 0.5 in HCL's code
    temperature: float = 0.2  # "graphcl..." only
    augmentation: str = ""  # "graphcl..." only: "random2", "random3" or "random4", a choice drawn for every batch
    augmented_views: int = 1  # "graphcl..." only: GraphCL's code augments one view of the two, its paper both

    # The training: Adam, constant learning rate.
    batch: int = 128  # graphs
    epochs: int = 200
    lr: float = 1e-3
    weight_decay: float = 0.0  # HCL's paper: 1e-6; its code: none

    # The evaluation.
    evaluate_at: tuple[int, ...] = (0, 20, 100, 200)  # epochs done; HCL's code: 0, 100, 200; InfoGraph trains for 20
    folds: int = 10
    inner_folds: int = 5  # for the SVM's C
    steps: int = 5  # "wl": refinements; "graphlet": largest graphlet, in nodes


# What --set accepts, and which runs read a field at all.
ENCODED = ("untrained", "infograph", "hard", "graphcl", "graphcl_info_nce", "supervised")
TRAINED = ENCODED[1:]
CONTRASTED = ("graphcl", "graphcl_info_nce")
RANGES = {
    "method": METHODS,
    "variant": ("as_paper", "as_code"),
    "protocol": ("published", "clean"),
    "features": ("degree", "constant"),
    **{"layers": "[1, 64]", "hidden": "[1, 4096]", "dropout": "[0, 1)"},
    **{"beta": "[-1000, 1000]", "tau_plus": "[0, 1)", "temperature": "(0, inf)"},
    **{"augmentation": ("random2", "random3", "random4"), "augmented_views": (1, 2)},
    **{"batch": "[2, inf)", "epochs": "[0, inf)", "lr": "(0, inf)", "weight_decay": "[0, inf)"},
    **{"evaluate_at": "[0, inf)", "folds": "[2, inf)", "inner_folds": "[2, inf)", "steps": "[1, 64]"},
}
USED_BY = {
    "variant": {"method": ("hard", "graphcl")},
    "protocol": {"method": ("untrained", "infograph", "hard")},
    **{name: {"method": ENCODED} for name in ("layers", "hidden", "batch")},
    **{name: {"method": TRAINED} for name in ("epochs", "lr")},
    "weight_decay": {"method": ("infograph", "hard", *CONTRASTED)},
    "evaluate_at": {"method": ("untrained", "infograph", "hard", *CONTRASTED)},
    "dropout": {"method": ("supervised",)},
    **{name: {"method": ("hard",)} for name in ("beta", "tau_plus")},
    **{name: {"method": CONTRASTED} for name in ("temperature", "augmentation", "augmented_views")},
    "inner_folds": {"method": tuple(method for method in METHODS if method != "supervised")},
    "steps": {"method": ("wl", "graphlet")},
}
