"""The tables of the graph papers, as data: which runs fill which cells, at each scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.graph_contrastive.config import Config
from contrastbench.runner import Cell, Run, Table, seeded

PAPER = "graph_contrastive"
TITLE = "Contrastive learning on graphs: InfoGraph, and HCL's hard negatives with both signs"
PROTOCOL_VERSION = 1

TABLES = {
    "main": Table(
        title="Do InfoGraph and hard negatives beat an untrained GIN and graph kernels on the TU data sets?",
        baseline="InfoGraph",
    ),
    "beta": Table(
        title="How hard should negatives be, in the paper's loss and in its code's? beta = 0, 1, 2, 10",
        baseline="InfoGraph",
    ),
    "epochs": Table(
        title="Does training help over epoch 0? Accuracy before training and after 20, 100 and 200 epochs",
        columns="metric",
    ),
}

ACCURACY = "test_svm_accuracy_percent"
BETAS = (0.0, 1.0, 2.0, 10.0)
TAU_PLUS = 0.5  # fixed in HCL's code; its paper names no value for graphs
PAPER_DECAY = 1e-6  # HCL's paper; its code has none

# Repeats: ten, as HCL's launch.sh, where ten are cheap. From NCI1 on, an evaluation costs minutes: it is done once.
REPEATS = {
    "MUTAG": 10,
    "PTC_MR": 10,
    "IMDB-BINARY": 10,
    "IMDB-MULTI": 10,
    "ENZYMES": 5,
    "PROTEINS": 5,
    "NCI1": 3,
    "DD": 1,
    "REDDIT-BINARY": 1,
    "COLLAB": 1,
}
LARGE = ("NCI1", "DD", "REDDIT-BINARY", "COLLAB")
FEW_METHODS = ("DD", "REDDIT-BINARY", "COLLAB")  # untrained and InfoGraph only

# Scale -> data sets, and what every config of that scale changes.
DATA_SETS: dict[str, tuple[str, ...]] = {
    "smoke": ("MUTAG",),
    "quick": ("MUTAG",),
    "lite": ("MUTAG", "PTC_MR", "IMDB-BINARY", "IMDB-MULTI"),
    "paper": tuple(REPEATS),
}
SHORTENED: dict[str, dict[str, Any]] = {
    "smoke": {"epochs": 2, "evaluate_at": (0,), "folds": 3},
    "lite": {"epochs": 20},
}
SEEDS = {"smoke": 1, "lite": 3}  # other scales: REPEATS
RUN_SCALE = {"quick": "paper"}  # MUTAG's quick runs are runs of the published protocol, and count as such


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The table's cells at a scale, cheap and important ones first; ``seeds`` replaces the scale's own."""
    make = {"main": _main, "beta": _beta, "epochs": _epochs}[table]
    return [cell for dataset in DATA_SETS.get(scale, ()) for cell in make(dataset, scale, seeds)]


def _main(dataset: str, scale: str, seeds: Sequence[int] | None) -> list[Cell]:
    configs = {"Untrained GIN": untrained(), "InfoGraph": Config()}
    if dataset not in FEW_METHODS:
        configs |= {"WL kernel": untrained(method="wl"), "Feature sum": untrained(method="feature_sum")}
        betas = (1.0,) if dataset in LARGE else BETAS
        configs |= dict(hard(variant, beta) for beta in betas for variant in ("as_code", "as_paper"))
    if dataset in ("MUTAG", "PTC_MR") and scale != "quick":
        configs |= {
            "Shortest-path kernel": untrained(method="shortest_path"),
            "Graphlet kernel": untrained(method="graphlet"),
        }
    return [_cell(dataset, scale, seeds, method, config) for method, config in configs.items()]


def _beta(dataset: str, scale: str, seeds: Sequence[int] | None) -> list[Cell]:
    if dataset in LARGE:
        return []
    configs = {"InfoGraph": Config()}
    configs |= dict(hard(variant, beta) for variant in ("as_code", "as_paper") for beta in BETAS)
    return [_cell(dataset, scale, seeds, method, config) for method, config in configs.items()]


def _epochs(dataset: str, scale: str, seeds: Sequence[int] | None) -> list[Cell]:
    if dataset in LARGE or scale == "smoke":
        return []
    configs = {"InfoGraph": Config(), **dict([hard("as_code", 1.0), hard("as_paper", 1.0)])}
    shown = [
        epoch for epoch in Config().evaluate_at if epoch <= SHORTENED.get(scale, {}).get("epochs", Config().epochs)
    ]
    metrics = [f"test_svm_accuracy_epoch_{epoch}_percent" for epoch in shown]
    return [
        _cell(dataset, scale, seeds, method, config, metric)
        for method, config in configs.items()
        for metric in [*metrics, "test_svm_accuracy_best_epoch_on_test_folds_percent"]
    ]


def untrained(**changes: Any) -> Config:
    """The encoder as it is drawn (with the weights that a trained one of its seed starts from), or a kernel."""
    return Config(**{"method": "untrained", "epochs": 0, "evaluate_at": (), **changes})


def hard(variant: str, beta: float) -> tuple[str, Config]:
    """A method's name and its config: HCL's loss as the paper has it, or as its code has it."""
    decay = PAPER_DECAY if variant == "as_paper" else 0.0
    config = Config(method="hard", variant=variant, beta=beta, tau_plus=TAU_PLUS, weight_decay=decay)
    return f"Hard ({variant.removeprefix('as_')}), beta={beta:g}", config


def _cell(
    dataset: str, scale: str, seeds: Iterable[int] | None, method: str, config: Config, metric: str = ACCURACY
) -> Cell:
    config = dataclasses.replace(config, dataset=dataset, **_shortened(config, dataset, scale))
    run = Run(
        paper=PAPER,
        config=config,
        seed=0,
        scale=RUN_SCALE.get(scale, scale),
        dataset=dataset,
        method=method,
        variant=config.variant,
        protocol=config.protocol,
        protocol_version=PROTOCOL_VERSION,
    )
    chosen = range(SEEDS.get(scale, REPEATS[dataset])) if seeds is None else tuple(seeds)
    settings = {"method": config.method, "variant": config.variant, "beta": config.beta}
    return Cell(dataset, method, metric, seeded(run, chosen), settings)


def _shortened(config: Config, dataset: str, scale: str) -> dict[str, Any]:
    """What the scale or the data set's size changes in a config."""
    changes = dict(SHORTENED.get(scale, {}))
    if config.epochs == 0:
        changes.pop("epochs", None)
        changes.pop("evaluate_at", None)
    elif dataset in LARGE:
        changes["evaluate_at"] = ()
    return changes
