"""What people call the methods, and the configs behind the names. No torch here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from benchmarks.graph_contrastive.config import Config

SIGNED_BETAS = (-10.0, -2.0, -1.0, 1.0, 2.0, 10.0)  # 0 is InfoGraph
NAMES = {
    "untrained": "Untrained GIN",
    "infograph": "InfoGraph",
    "wl": "WL kernel",
    "shortest_path": "Shortest-path kernel",
    "graphlet": "Graphlet kernel",
    "feature_sum": "Feature sum",
    "supervised": "Supervised GIN",
    "graphcl": "GraphCL",
    "graphcl_info_nce": "GraphCL, positive in the denominator",
}
TAUS = (0.0, 0.1, 0.5)
DEPTHS = (1, 2, 3, 5, 8)
LARGE = ("NCI1", "DD", "REDDIT-BINARY", "COLLAB")
TAU_PLUS = 0.5  # fixed in HCL's code; its paper names no value for graphs
PAPER_DECAY = 1e-6  # HCL's paper; its code has none


def _sign(dataset: str) -> dict[str, Config]:
    reweighted = {f"beta={beta:g}": Config(method="hard", beta=beta) for beta in SIGNED_BETAS}
    return {"InfoGraph": Config(), **reweighted}


def _tau(dataset: str) -> dict[str, Config]:
    made = {"InfoGraph": Config()}
    for variant in ("as_paper", "as_code"):
        for tau_plus in TAUS:
            config = dataclasses.replace(hard(variant, 1.0), tau_plus=tau_plus)
            made[f"{label(config)}, tau_plus={tau_plus:g}"] = config
    return made


def _depth(dataset: str) -> dict[str, Config]:
    trained = {f"InfoGraph, depth {layers}": Config(layers=layers) for layers in DEPTHS}
    return {**trained, **{f"Untrained GIN, depth {layers}": untrained(layers=layers) for layers in DEPTHS}}


def _features(dataset: str) -> dict[str, Config]:
    return {
        "Untrained GIN": untrained(),
        "InfoGraph": Config(),
        "Untrained GIN, constant": untrained(features="constant"),
        "InfoGraph, constant": Config(features="constant"),
    }


def _protocol(dataset: str) -> dict[str, Config]:
    """A clean run trains an encoder a fold: ten times the cost of a published one. Small sets have all methods."""
    both = [untrained()] if dataset in LARGE else [untrained(), Config()]
    if dataset in ("MUTAG", "PTC_MR", "IMDB-BINARY"):
        both += [hard("as_code", 1.0), hard("as_paper", 1.0)]
    made = {
        f"{label(config)}, {protocol}": dataclasses.replace(config, protocol=protocol)
        for config in both
        for protocol in ("published", "clean")
    }
    return made if Config() in both else {**made, "InfoGraph, published": Config()}


def _scaling(dataset: str) -> dict[str, Config]:
    """Nothing is evaluated on the way: only the last embeddings are."""
    return {"Untrained GIN": untrained(), "InfoGraph": Config(evaluate_at=())}


def _graphcl(dataset: str) -> dict[str, Config]:
    """Its own protocol: 20 epochs at learning rate 0.01, constant features where there are no labels."""
    social = dataset.startswith("IMDB")
    features = "constant" if social else "degree"  # the same where there are labels; the key must not tell them apart
    base = Config(
        method="graphcl",
        variant="as_code",
        features=features,
        augmentation="random4" if social else "random2",
        epochs=20,
        evaluate_at=(10, 20),
        lr=0.01,
    )
    made = {"Untrained GIN": untrained(features=features), "GraphCL": base}
    if dataset not in ("MUTAG", "PTC_MR"):
        return made
    return {
        **made,
        "GraphCL, both views augmented": dataclasses.replace(base, variant="as_paper", augmented_views=2),
        "GraphCL, positive in the denominator": dataclasses.replace(base, method="graphcl_info_nce"),
    }


def _supervised(dataset: str) -> dict[str, Config]:
    return {"Supervised GIN": Config(method="supervised", batch=32, epochs=100, lr=0.01, dropout=0.5, evaluate_at=())}


def _folds(dataset: str) -> dict[str, Config]:
    """Nothing is evaluated on the way: only the last embeddings are."""
    return {
        "Untrained GIN": untrained(),
        "InfoGraph": Config(evaluate_at=()),
        "Hard (code), beta=1": dataclasses.replace(hard("as_code", 1.0), evaluate_at=()),
    }


QUESTIONS: dict[str, Callable[[str], dict[str, Config]]] = {
    "sign": _sign,
    "tau": _tau,
    "depth": _depth,
    "features": _features,
    "supervised": _supervised,
    "graphcl": _graphcl,
    "protocol": _protocol,
    "scaling": _scaling,
    "folds": _folds,
}


def untrained(**changes: Any) -> Config:
    """The encoder as it is drawn (with the weights that a trained one of its seed starts from), or a kernel."""
    return Config(**{"method": "untrained", "epochs": 0, "evaluate_at": (), **changes})


def hard(variant: str, beta: float) -> Config:
    """HCL's loss as the paper has it, or as its code has it."""
    decay = PAPER_DECAY if variant == "as_paper" else 0.0
    return Config(method="hard", variant=variant, beta=beta, tau_plus=TAU_PLUS, weight_decay=decay)


def label(config: Config) -> str:
    """What people call the run, whichever table and cell it is in."""
    if config.method == "hard":
        return f"Hard ({config.variant.removeprefix('as_')}), beta={config.beta:g}"
    return NAMES[config.method]
