"""What decides a run of the graph papers (InfoGraph, HCL's graph part, GraphCL and their baselines)."""

from dataclasses import dataclass

from contrastbench.runner import setting

KERNELS = ("wl", "shortest_path", "graphlet")
CONTRASTED = ("graphcl", "graphcl_info_nce")  # the second has the positive in the denominator
TRAINED = ("infograph", "hard", *CONTRASTED, "supervised")
ENCODED = ("untrained", *TRAINED)
METHODS = (*ENCODED, "feature_sum", *KERNELS)


@dataclass(frozen=True)
class Config:
    dataset: str = "MUTAG"  # a TU data set, or any folder in the TU text format
    method: str = setting("infograph", METHODS)
    # Of "hard" and "graphcl": the paper's loss, or that of the authors' code.
    variant: str = setting("as_paper", ("as_paper", "as_code"), method=("hard", "graphcl"))
    # "clean": ten encoders, none of which sees its test fold.
    protocol: str = setting("published", ("published", "clean"), method=("untrained", "infograph", "hard"))
    # Of sets without node labels: "degree" (HCL's code) or "constant" (InfoGraph's code).
    features: str = setting("degree", ("degree", "constant"))

    # The encoder: HCL's launch.sh runs 3 layers of 32 (InfoGraph's paper chooses among 4, 8 and 12 layers).
    layers: int = setting(3, "[1, 64]", method=ENCODED)
    hidden: int = setting(32, "[1, 4096]", method=ENCODED)
    dropout: float = setting(0.0, "[0, 1)", method=("supervised",))  # probability, before the classifier

    # The objective.
    beta: float = setting(0.0, "[-1000, 1000]", method=("hard",))  # hardness; the authors' grid is 0, 1, 2, 10
    tau_plus: float = setting(0.0, "[0, 1)", method=("hard",))  # P(a false negative); fixed at 0.5 in HCL's code
    temperature: float = setting(0.2, "(0, inf)", method=CONTRASTED)
    # A choice that is drawn for every batch.
    augmentation: str = setting("", ("random2", "random3", "random4"), method=CONTRASTED)
    augmented_views: int = setting(1, (1, 2), method=CONTRASTED)  # GraphCL's code augments one view, its paper both

    # The training: Adam, constant learning rate.
    batch: int = setting(128, "[2, inf)", method=ENCODED)  # graphs
    epochs: int = setting(200, "[0, inf)", method=TRAINED)
    lr: float = setting(1e-3, "(0, inf)", method=TRAINED)
    weight_decay: float = setting(0.0, "[0, inf)", method=("infograph", "hard", *CONTRASTED))  # HCL's paper: 1e-6

    # The evaluation.
    # Epochs done; HCL's code: 0, 100, 200; InfoGraph trains for 20.
    evaluate_at: tuple[int, ...] = setting((0, 20, 100, 200), "[0, inf)", method=(*ENCODED[:3], *CONTRASTED))
    folds: int = setting(10, "[2, inf)")
    inner_folds: int = setting(5, "[2, inf)", method=tuple(name for name in METHODS if name != "supervised"))  # for C
    steps: int = setting(5, "[1, 64]", method=("wl", "graphlet"))  # refinements; of "graphlet" its most nodes
