"""The studies of the graph papers, as data: which runs fill which cells, at each scale."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.graph_contrastive.config import KERNELS, METHODS, Config
from contrastbench.runner import CPU_ONLY, CPU_PREFERRED, Line, On, Paper, Places, Run, Stage, Study, only

PROTOCOL_VERSIONS = dict.fromkeys(METHODS, 1)  # a method's is raised when a change of code changes its results
ACCURACY = "test_svm_accuracy_percent"

# -------------------------------------------------------------------------------------------- data sets and repeats

# Ten repeats, as HCL's launch.sh, where ten are cheap. From NCI1 on, an evaluation costs minutes: it is done once. The
# three largest sets had one repeat; three, the fewest that a verdict takes, were declared after that one was seen and
# before any further one was run, here and (but for COLLAB) in ``protocol``.
FEW, MORE = ("MUTAG", "PTC_MR", "IMDB-BINARY", "IMDB-MULTI"), ("ENZYMES", "PROTEINS")
LARGE = ("NCI1", "DD", "REDDIT-BINARY", "COLLAB")
REPEATS = {**dict.fromkeys(FEW, 10), **dict.fromkeys(MORE, 5), **dict.fromkeys(LARGE, 3)}
EVERYWHERE: Places = {
    "smoke": [On("MUTAG", {"epochs": 2, "evaluate_at": (0,), "folds": 3}, seeds=1)],
    "quick": [On("MUTAG", {}, seeds=5)],  # runs of the published protocol, which count as such
    "lite": [On(name, {"epochs": 20}, seeds=3) for name in FEW],
    "paper": [On(name, {}, seeds=repeats) for name, repeats in REPEATS.items()],
}


def asked_of(**repeats: int) -> Places:
    """Some data sets, with at most so many seeds; not at quick scale, which is kept to minutes."""
    named = {name.replace("_", "-").replace("PTC-MR", "PTC_MR"): count for name, count in repeats.items()}
    return {
        scale: [
            replace(on, seeds=named[on.dataset] if scale == "paper" else min(on.seeds, named[on.dataset]))
            for on in places
            if on.dataset in named
        ]
        for scale, places in EVERYWHERE.items()
        if scale != "quick"
    }


# More repeats, declared after ten were seen and before any further one was run; those of the paper's loss, at the two
# betas of the claim in ``beta``, when the others were known.
WIDENED = {
    *("WL kernel", "Feature sum", "Untrained GIN", "InfoGraph", "Hard (paper), beta=0", "Hard (paper), beta=10"),
    *(f"Hard (code), beta={beta}" for beta in (0, 1, 2, 10)),
}

# ------------------------------------------------------------------------------------------------------- the methods

BETAS = (0.0, 1.0, 2.0, 10.0)
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


def label(config: Config) -> str:
    """What people call the run, whichever table and cell it is in."""
    if config.method == "hard":
        return f"Hard ({config.variant.removeprefix('as_')}), beta={config.beta:g}"
    return NAMES[config.method]


def untrained(**changes: Any) -> Config:
    """The encoder as it is drawn (with the weights that a trained one of its seed starts from), or a kernel."""
    return Config(**{"method": "untrained", "epochs": 0, "evaluate_at": (), **changes})


def hard(variant: str, beta: float, tau_plus: float = 0.5) -> Config:
    """HCL's loss as the paper has it, or as its code has it.

    0.5 is fixed in its code; its paper names no value for graphs. The weight decay is the paper's, the code has none.
    """
    decay = 1e-6 if variant == "as_paper" else 0.0
    return Config(method="hard", variant=variant, beta=beta, tau_plus=tau_plus, weight_decay=decay)


def line(on: On, config: Config, method: str = "", stage: str = "train", **more: Any) -> Line:
    """``config`` on the data set, as the scale shortens it and the data set's size allows."""
    changes = dict(on.base)
    if config.epochs == 0:
        changes = {name: value for name, value in changes.items() if name not in ("epochs", "evaluate_at")}
    elif on.dataset in LARGE:
        changes["evaluate_at"] = ()
    config = replace(config, dataset=on.dataset, **changes)
    scale, version = "paper" if on.scale == "quick" else on.scale, PROTOCOL_VERSIONS[config.method]
    place = scale, on.dataset, label(config)
    run = Run("graph_contrastive", config, 0, *place, config.variant, config.protocol, version, stage)
    settings = {"method": config.method, "variant": config.variant, "beta": config.beta}
    # A clean cell is compared with the published one of its method.
    baseline = f"{label(config)}, published" if config.protocol == "clean" else ""
    return Line(run, settings, method=method or label(config), baseline=baseline, **more)


def lines(methods: Callable[[str], dict[str, Config]], stage: str = "train") -> Callable[[On], list[Line]]:
    """The lines of methods that are named by table, each with a config for the data set."""
    return lambda on: [line(on, config, method, stage) for method, config in methods(on.dataset).items()]


# ------------------------------------------------------------------------------------------- what each study compares


def main(on: On) -> list[Line]:
    """Cheap and important ones first. No hard losses from DD on: a run takes ten minutes."""
    configs = [untrained(), Config(), untrained(method="wl"), untrained(method="feature_sum")]
    if on.dataset not in ("DD", "REDDIT-BINARY", "COLLAB"):
        betas = (1.0,) if on.dataset in LARGE else BETAS
        configs += [hard(variant, beta) for beta in betas for variant in ("as_code", "as_paper")]
    widened = on.scale == "paper" and on.dataset in ("MUTAG", "PTC_MR")
    if on.dataset in ("MUTAG", "PTC_MR") and on.scale != "quick":
        configs += [untrained(method="shortest_path"), untrained(method="graphlet")]
    return [line(on, config, seeds=50 if widened and label(config) in WIDENED else None) for config in configs]


def hardness(on: On) -> list[Line]:
    configs = [Config(), *(hard(variant, beta) for variant in ("as_code", "as_paper") for beta in BETAS)]
    return [line(on, config) for config in configs]


def epochs(on: On) -> list[Line]:
    last = on.base.get("epochs", Config().epochs)
    metrics = [f"test_svm_accuracy_epoch_{epoch}_percent" for epoch in Config().evaluate_at if epoch <= last]
    metrics.append("test_svm_accuracy_best_epoch_on_test_folds_percent")  # leaks; what some papers print
    return [line(on, config, metrics=metrics) for config in (Config(), hard("as_code", 1.0), hard("as_paper", 1.0))]


def signs(dataset: str) -> dict[str, Config]:
    """Beta = 0 is InfoGraph."""
    betas = (-10.0, -2.0, -1.0, 1.0, 2.0, 10.0)
    return {"InfoGraph": Config(), **{f"beta={beta:g}": Config(method="hard", beta=beta) for beta in betas}}


def debiasing(dataset: str) -> dict[str, Config]:
    configs = [hard(variant, 1.0, tau) for variant in ("as_paper", "as_code") for tau in (0.0, 0.1, 0.5)]
    return {"InfoGraph": Config(), **{f"{label(each)}, tau_plus={each.tau_plus:g}": each for each in configs}}


def depths(dataset: str) -> dict[str, Config]:
    made = {f"InfoGraph, depth {layers}": Config(layers=layers) for layers in (1, 2, 3, 5, 8)}
    return made | {f"Untrained GIN, depth {layers}": untrained(layers=layers) for layers in (1, 2, 3, 5, 8)}


def features(dataset: str) -> dict[str, Config]:
    return {
        "Untrained GIN": untrained(),
        "InfoGraph": Config(),
        "Untrained GIN, constant": untrained(features="constant"),
        "InfoGraph, constant": Config(features="constant"),
    }


def protocols(dataset: str) -> dict[str, Config]:
    """A clean run trains an encoder a fold: ten times the cost of a published one. Small sets have all methods."""
    both = [untrained()] if dataset in LARGE else [untrained(), Config()]
    if dataset in ("MUTAG", "PTC_MR", "IMDB-BINARY"):
        both += [hard("as_code", 1.0), hard("as_paper", 1.0)]
    made = {
        f"{label(config)}, {protocol}": replace(config, protocol=protocol)
        for config in both
        for protocol in ("published", "clean")
    }
    return made if Config() in both else {**made, "InfoGraph, published": Config()}


def trained_or_not(dataset: str) -> dict[str, Config]:
    """Nothing is evaluated on the way: only the last embeddings are."""
    return {"Untrained GIN": untrained(), "InfoGraph": Config(evaluate_at=())}


def trained_two_ways(dataset: str) -> dict[str, Config]:
    return {**trained_or_not(dataset), "Hard (code), beta=1": replace(hard("as_code", 1.0), evaluate_at=())}


def graphcl(dataset: str) -> dict[str, Config]:
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
    if dataset in ("MUTAG", "PTC_MR"):
        made["GraphCL, both views augmented"] = replace(base, variant="as_paper", augmented_views=2)
        made["GraphCL, positive in the denominator"] = replace(base, method="graphcl_info_nce")
    return made


def supervised(dataset: str) -> dict[str, Config]:
    return {"Supervised GIN": Config(method="supervised", batch=32, epochs=100, lr=0.01, dropout=0.5, evaluate_at=())}


# ------------------------------------------------------------------------------------------------------- the studies

# Metrics of other stages. The best epoch leaks; it is what GIN's paper prints.
CLASSIFIER = ("test_classifier_accuracy_percent", "test_classifier_accuracy_best_epoch_on_test_folds_percent")
SCALES_OF_FEATURES = ("test_svm_accuracy_standardised_percent", "test_svm_accuracy_unscaled_percent")
# The seed's own folds are the first draw.
DRAWS = (ACCURACY, *(f"test_svm_accuracy_{of}_over_fold_draws_percent" for of in ("mean", "sd")))
NOT_LARGE = (*FEW, *MORE)

# fmt: off
STUDIES = [
    Study("main", "Do InfoGraph and hard negatives beat an untrained GIN and graph kernels on the TU data sets?",
          main, EVERYWHERE, [ACCURACY], "InfoGraph"),
    Study("beta", "How hard should negatives be, in the paper's loss and in its code's? beta = 0, 1, 2, 10",
          hardness, only(EVERYWHERE, *NOT_LARGE), [ACCURACY], "InfoGraph",
          claims=tuple((f"Hard ({kind}), beta=10", f"Hard ({kind}), beta=0") for kind in ("paper", "code"))),
    Study("epochs", "Does training help over epoch 0? Accuracy before training and after 20, 100 and 200 epochs",
          epochs, only(EVERYWHERE, *NOT_LARGE, at=("quick", "lite", "paper")), columns="metric"),
    Study("sign",  # 5 repeats on the IMDB sets at first
          "Which sign helps? The paper's weights alone (no debiasing), from the easiest to the hardest negatives",
          lines(signs), asked_of(MUTAG=10, PTC_MR=10, IMDB_BINARY=10, IMDB_MULTI=10), [ACCURACY], "InfoGraph"),
    Study("tau", "What does debiasing do? Subtracted as in the paper, added as in its code; beta = 1",
          lines(debiasing), asked_of(MUTAG=10, PTC_MR=10), [ACCURACY], "InfoGraph"),
    Study("depth", "How deep should the encoder be, trained or not?",
          lines(depths), asked_of(MUTAG=10, PTC_MR=10, IMDB_BINARY=3, IMDB_MULTI=3, ENZYMES=3), [ACCURACY],
          "InfoGraph, depth 3"),
    Study("features",
          "What is the node degree worth where nodes have no labels? HCL's code gives it, InfoGraph's a constant",
          lines(features), asked_of(IMDB_BINARY=10, IMDB_MULTI=10), [ACCURACY], "InfoGraph"),
    Study("supervised", "What are labels worth? GIN trained with them under the same folds",
          lines(supervised), asked_of(MUTAG=3, PTC_MR=3, IMDB_BINARY=1, PROTEINS=1), CLASSIFIER, columns="metric"),
    Study("graphcl", "GraphCL, and its code's two quirks: one augmented view, no positive in the denominator",
          lines(graphcl), asked_of(MUTAG=5, PTC_MR=5, IMDB_BINARY=5, IMDB_MULTI=5, PROTEINS=5), [ACCURACY], "GraphCL"),
    Study("protocol",
          "What is the leak worth? Published protocol against an encoder per fold that never sees the test graphs",
          lines(protocols), asked_of(MUTAG=5, PTC_MR=5, IMDB_BINARY=2, IMDB_MULTI=2, ENZYMES=2, NCI1=1, DD=3,
                                     REDDIT_BINARY=3, COLLAB=1), [ACCURACY], "InfoGraph, published"),
    # Declared for five sets, and after those were seen for the others. No run on DD was begun when it was withdrawn for
    # its cost: a run there takes longest of all.
    Study("scaling",
          "What is the scale of the features worth? The same embeddings and folds, standardised and as they are",
          lines(trained_or_not, "scaling"), asked_of(MUTAG=5, PTC_MR=5, IMDB_BINARY=5, IMDB_MULTI=5, ENZYMES=5,
                                                     PROTEINS=5, NCI1=3, REDDIT_BINARY=3, COLLAB=3),
          SCALES_OF_FEATURES, "Untrained GIN", columns="metric"),
    Study("folds", "How much of the noise is the draw of the folds? Ten draws for every embedding",
          lines(trained_two_ways, "fold_draws"), asked_of(MUTAG=20, PTC_MR=10), DRAWS, columns="metric"),
]
# fmt: on


def device_of(config: Config) -> str:
    """Kernels and feature sums know the CPU only. Two runs on MUTAG took 13.5 s on two cores and 23 s on an H100."""
    return CPU_ONLY if config.method in (*KERNELS, "feature_sum") else CPU_PREFERRED


PAPER = Paper(
    __package__,
    "Contrastive learning on graphs: InfoGraph, and HCL's hard negatives with both signs",
    STUDIES,
    stages={name: Stage(f"train.{name}", device_of) for name in ("train", "fold_draws", "scaling")},
    versions=PROTOCOL_VERSIONS,
)
