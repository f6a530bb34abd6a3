"""The tables of the graph papers, as data: which runs fill which cells, at each scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.graph_contrastive.config import KERNELS, METHODS, Config
from benchmarks.graph_contrastive.methods import LARGE, QUESTIONS, hard, label, untrained
from contrastbench.runner import CPU_ONLY, CPU_PREFERRED, Cell, Run, Table, seeded

PAPER = "graph_contrastive"
TITLE = "Contrastive learning on graphs: InfoGraph, and HCL's hard negatives with both signs"
PROTOCOL_VERSIONS = dict.fromkeys(METHODS, 1)  # a method's is raised when a change of code changes its results


def device_of(config: Config) -> str:
    """Kernels and feature sums know the CPU only. Two runs on MUTAG took 13.5 s on two cores and 23 s on an H100."""
    return CPU_ONLY if config.method in (*KERNELS, "feature_sum") else CPU_PREFERRED


DEVICES = {"train": device_of, "fold_draws": device_of, "scaling": device_of}
TABLES = {
    "main": Table(
        title="Do InfoGraph and hard negatives beat an untrained GIN and graph kernels on the TU data sets?",
        baseline="InfoGraph",
    ),
    "beta": Table(
        title="How hard should negatives be, in the paper's loss and in its code's? beta = 0, 1, 2, 10",
        baseline="InfoGraph",
        claims=tuple((f"Hard ({kind}), beta=10", f"Hard ({kind}), beta=0") for kind in ("paper", "code")),
    ),
    "epochs": Table(
        title="Does training help over epoch 0? Accuracy before training and after 20, 100 and 200 epochs",
        columns="metric",
    ),
    "sign": Table(
        title="Which sign helps? The paper's weights alone (no debiasing), from the easiest to the hardest negatives",
        baseline="InfoGraph",
    ),
    "tau": Table(
        title="What does debiasing do? Subtracted as in the paper, added as in its code; beta = 1",
        baseline="InfoGraph",
    ),
    "depth": Table(title="How deep should the encoder be, trained or not?", baseline="InfoGraph, depth 3"),
    "features": Table(
        title="What is the node degree worth where nodes have no labels? HCL's code gives it, InfoGraph's a constant",
        baseline="InfoGraph",
    ),
    "supervised": Table(title="What are labels worth? GIN trained with them under the same folds", columns="metric"),
    "graphcl": Table(
        title="GraphCL, and its code's two quirks: one augmented view, no positive in the denominator",
        baseline="GraphCL",
    ),
    "protocol": Table(  # a clean cell is compared with the published one of its method
        title="What is the leak worth? Published protocol against an encoder per fold that never sees the test graphs",
        baseline="InfoGraph, published",
    ),
    "scaling": Table(
        title="What is the scale of the features worth? The same embeddings and folds, standardised and as they are",
        baseline="Untrained GIN",
        columns="metric",
    ),
    "folds": Table(
        title="How much of the noise is the draw of the folds? Ten draws for every embedding",
        columns="metric",
    ),
}

ACCURACY = "test_svm_accuracy_percent"
BEST_EPOCH_ON_TEST = "test_svm_accuracy_best_epoch_on_test_folds_percent"  # leaks; what some papers print
SUPERVISED_METRICS = (
    "test_classifier_accuracy_percent",
    "test_classifier_accuracy_best_epoch_on_test_folds_percent",  # leaks; what GIN's paper prints
)
BETAS = (0.0, 1.0, 2.0, 10.0)

FOLD_METRICS = (
    ACCURACY,  # under the seed's own folds, the first draw
    "test_svm_accuracy_mean_over_fold_draws_percent",
    "test_svm_accuracy_sd_over_fold_draws_percent",
)

SCALING_METRICS = ("test_svm_accuracy_standardised_percent", "test_svm_accuracy_unscaled_percent")

# Repeats: ten, as HCL's launch.sh, where ten are cheap. From NCI1 on, an evaluation costs minutes: it is done once. The
# three largest sets had one repeat; three, the fewest that a verdict takes, were declared after that one was seen and
# before any further one was run, here and (but for COLLAB) in ``protocol``.
REPEATS = {
    "MUTAG": 10,
    "PTC_MR": 10,
    "IMDB-BINARY": 10,
    "IMDB-MULTI": 10,
    "ENZYMES": 5,
    "PROTEINS": 5,
    "NCI1": 3,
    "DD": 3,
    "REDDIT-BINARY": 3,
    "COLLAB": 3,
}

# More repeats, declared after ten were seen and before any further one was run; those of the paper's loss, at the two
# betas of the claim in ``beta``, when the others were known.
CODE_LOSS = tuple(f"Hard (code), beta={beta:g}" for beta in BETAS)
CLAIMED = ("Hard (paper), beta=0", "Hard (paper), beta=10")
WIDENED = ("WL kernel", "Feature sum", "Untrained GIN", "InfoGraph", *CODE_LOSS, *CLAIMED)
MORE_REPEATS = dict.fromkeys(("MUTAG", "PTC_MR"), dict.fromkeys(WIDENED, 50))
WITHOUT_HARD = ("DD", "REDDIT-BINARY", "COLLAB")  # no hard losses there: a run takes ten minutes

# Tables that ask a question of a few data sets only, with fewer repeats where a run costs more. ``scaling`` was
# declared for five sets, and after those were seen for the other five. No run on DD was begun when it was withdrawn for
# its cost: a run there takes longest of all.
QUESTION_REPEATS: dict[str, dict[str, int]] = {
    "sign": {"MUTAG": 10, "PTC_MR": 10, "IMDB-BINARY": 10, "IMDB-MULTI": 10},  # 5 on the IMDB sets at first
    "tau": {"MUTAG": 10, "PTC_MR": 10},
    "depth": {"MUTAG": 10, "PTC_MR": 10, "IMDB-BINARY": 3, "IMDB-MULTI": 3, "ENZYMES": 3},
    "features": {"IMDB-BINARY": 10, "IMDB-MULTI": 10},
    "supervised": {"MUTAG": 3, "PTC_MR": 3, "IMDB-BINARY": 1, "PROTEINS": 1},
    "graphcl": {"MUTAG": 5, "PTC_MR": 5, "IMDB-BINARY": 5, "IMDB-MULTI": 5, "PROTEINS": 5},
    "protocol": {
        "MUTAG": 5,
        "PTC_MR": 5,
        "IMDB-BINARY": 2,
        "IMDB-MULTI": 2,
        "ENZYMES": 2,
        "NCI1": 1,
        "DD": 3,
        "REDDIT-BINARY": 3,
        "COLLAB": 1,
    },
    "folds": {"MUTAG": 20, "PTC_MR": 10},
    "scaling": {name: min(repeats, 5) for name, repeats in REPEATS.items() if name != "DD"},
}
METRICS = {"supervised": SUPERVISED_METRICS, "folds": FOLD_METRICS, "scaling": SCALING_METRICS}  # others: ACCURACY
STAGES = {"folds": "fold_draws", "scaling": "scaling"}  # other tables: train

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
SEEDS = {"smoke": 1, "quick": 5, "lite": 3}  # paper: REPEATS
RUN_SCALE = {"quick": "paper"}  # MUTAG's quick runs are runs of the published protocol, and count as such


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The table's cells at a scale, cheap and important ones first; ``seeds`` replaces the scale's own."""
    if table in QUESTION_REPEATS:
        return _question(table, scale, seeds)
    make = {"main": _main, "beta": _beta, "epochs": _epochs}[table]
    return [cell for dataset in DATA_SETS.get(scale, ()) for cell in make(dataset, scale, seeds)]


def _main(dataset: str, scale: str, seeds: Sequence[int] | None) -> list[Cell]:
    configs = [untrained(), Config(), untrained(method="wl"), untrained(method="feature_sum")]
    if dataset not in WITHOUT_HARD:
        betas = (1.0,) if dataset in LARGE else BETAS
        configs += [hard(variant, beta) for beta in betas for variant in ("as_code", "as_paper")]
    if dataset in ("MUTAG", "PTC_MR") and scale != "quick":
        configs += [untrained(method="shortest_path"), untrained(method="graphlet")]
    return [_cell(dataset, scale, _widened(dataset, scale, seeds, config), label(config), config) for config in configs]


def _widened(dataset: str, scale: str, seeds: Sequence[int] | None, config: Config) -> Sequence[int] | None:
    """The method's own number of seeds where it has one on this set; None for the scale's."""
    more = MORE_REPEATS.get(dataset, {}).get(label(config)) if seeds is None and scale == "paper" else None
    return range(more) if more else seeds


def _beta(dataset: str, scale: str, seeds: Sequence[int] | None) -> list[Cell]:
    if dataset in LARGE:
        return []
    configs = [Config(), *(hard(variant, beta) for variant in ("as_code", "as_paper") for beta in BETAS)]
    return [_cell(dataset, scale, seeds, label(config), config) for config in configs]


def _epochs(dataset: str, scale: str, seeds: Sequence[int] | None) -> list[Cell]:
    if dataset in LARGE or scale == "smoke":
        return []
    last = SHORTENED.get(scale, {}).get("epochs", Config().epochs)
    made = []
    for config in (Config(), hard("as_code", 1.0), hard("as_paper", 1.0)):
        method = label(config)
        for epoch in (epoch for epoch in config.evaluate_at if epoch <= last):
            made.append(_cell(dataset, scale, seeds, method, config, f"test_svm_accuracy_epoch_{epoch}_percent"))
        made.append(_cell(dataset, scale, seeds, method, config, BEST_EPOCH_ON_TEST))
    return made


def _question(table: str, scale: str, seeds: Sequence[int] | None) -> list[Cell]:
    """Cells of the tables that vary one thing; not at quick scale, which is kept to minutes."""
    if scale == "quick":
        return []
    made = []
    for dataset, repeats in QUESTION_REPEATS[table].items():
        if dataset in DATA_SETS.get(scale, ()):
            methods = QUESTIONS[table](dataset)
            chosen = range(min(repeats, SEEDS.get(scale, repeats))) if seeds is None else seeds
            made += [
                _cell(dataset, scale, chosen, method, config, metric, STAGES.get(table, "train"))
                for method, config in methods.items()
                for metric in METRICS.get(table, (ACCURACY,))
            ]
    return made


def _cell(
    dataset: str,
    scale: str,
    seeds: Iterable[int] | None,
    method: str,
    config: Config,
    metric: str = ACCURACY,
    stage: str = "train",
) -> Cell:
    config = dataclasses.replace(config, dataset=dataset, **_shortened(config, dataset, scale))
    run = Run(
        paper=PAPER,
        config=config,
        seed=0,
        scale=RUN_SCALE.get(scale, scale),
        dataset=dataset,
        method=label(config),
        variant=config.variant,
        protocol=config.protocol,
        protocol_version=PROTOCOL_VERSIONS[config.method],
        stage=stage,
    )
    chosen = range(SEEDS.get(scale, REPEATS[dataset])) if seeds is None else tuple(seeds)
    settings = {"method": config.method, "variant": config.variant, "beta": config.beta}
    baseline = f"{label(config)}, published" if config.protocol == "clean" else ""
    return Cell(dataset, method, metric, seeded(run, chosen), settings, baseline=baseline)


def _shortened(config: Config, dataset: str, scale: str) -> dict[str, Any]:
    """What the scale or the data set's size changes in a config."""
    changes = dict(SHORTENED.get(scale, {}))
    if config.epochs == 0:
        changes.pop("epochs", None)
        changes.pop("evaluate_at", None)
    elif dataset in LARGE:
        changes["evaluate_at"] = ()
    return changes
