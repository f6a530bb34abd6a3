"""What novel class discovery runs: the chains of runs, and the studies that are made of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.novel_class_discovery.config import SUBSETS, Cluster, Mean
from benchmarks.novel_class_discovery.protocols import (
    LITE,
    PAPER_CIFAR10,
    PHOTOGRAPHS,
    PHOTOGRAPHS_30,
    QUICK,
    SMOKE,
    TREC,
    Protocol,
    Settings,
    cifar100,
    imagenet,
    with_k_means,
)
from contrastbench.runner import ANY_DEVICE, CPU_ONLY, Line, On, Paper, Run, Stage, Study, only

STAGES = ("pretrain", "supervise", "discover", "uno", "cluster", "estimate", "mean")
PROTOCOL_VERSIONS = dict.fromkeys(STAGES, 1)  # a stage's is raised when a change of code changes its results

# ------------------------------------------------------------------------------------------ where the studies run

EVERYWHERE = {
    "smoke": [On("MNIST-5k 3/2", SMOKE, seeds=2)],
    "quick": [On("MNIST-5k 5/5", QUICK, seeds=5)],
    "lite": [On("CIFAR10-5/5", LITE)],
    "paper": [
        On("CIFAR10-5/5", PAPER_CIFAR10),
        On("CIFAR100-80/20", cifar100("0-79", "80-99", 20, overcluster=5)),
        On("CIFAR100-50/50", cifar100("0-49", "50-99", 50, overcluster=3)),
    ],
}
IMAGENET = "ImageNet-882/30"  # the published number is the mean over three subsets of its held-out classes
WITH_IMAGENET = {**EVERYWHERE, "paper": [*EVERYWHERE["paper"], On(IMAGENET, imagenet("A"))]}
# At other scales ``main`` and ``k`` are of photographs.
BESIDE_PHOTOGRAPHS = {
    "smoke": EVERYWHERE["smoke"],
    "quick": [*EVERYWHERE["quick"], On("CIFAR-10 5/5, 10,000 images", PHOTOGRAPHS, seeds=5)],
}
SMOKE_K_MEANS = On("MNIST-5k 3/2", with_k_means(SMOKE), seeds=2)
LONG_PHOTOGRAPHS = {"smoke": [SMOKE_K_MEANS], "quick": [On("CIFAR-10 5/5, 10,000 images", PHOTOGRAPHS_30, seeds=5)]}
QUESTIONS = {"smoke": [SMOKE_K_MEANS], "quick": [On("TREC 3/3", TREC, seeds=20)]}

# --------------------------------------------------------------------- the runs, each with the runs that it needs


# CIFAR-100 with the code's own statistics; version 1 took those that the code has for CIFAR-10.
CIFAR100_VERSION = 2


def stage(
    on: On, name: str, config: Any, method: str, needs: Mapping[str, Run | None] | None = None, variant: str = "as_code"
) -> Run:
    version = PROTOCOL_VERSIONS[name]
    if on.base.discover.dataset == "cifar100" and getattr(config, "statistics", "own") == "code":
        version *= CIFAR100_VERSION
    place, needs = (on.scale, on.dataset, method), {name: run for name, run in (needs or {}).items() if run}
    return Run("novel_class_discovery", config, 0, *place, variant, on.base.label, version, name, needs)


def pretrain(on: On) -> Run | None:
    return stage(on, "pretrain", on.base.pretrain, "stage 1: RotNet") if on.base.pretrain else None


def supervise(on: On, *, from_nothing: bool = False) -> Run:
    config, first = on.base.supervise, pretrain(on)
    if from_nothing or first is None:
        config = replace(config, start="nothing", frozen=False)
        return stage(on, "supervise", config, "stage 2: supervised from nothing")
    return stage(on, "supervise", config, "stage 2: supervised", {"pretrain": first})


def discover(
    on: On, method: str, *, needs: Mapping[str, Run] | None = None, variant: str = "as_code", **changes
) -> Run:
    config = replace(on.base.discover, **changes)
    config = replace(config, hard_from_epoch=min(config.hard_from_epoch, on.base.hard_from))
    return stage(on, "discover", config, method, {"supervise": supervise(on), **(needs or {})}, variant)


def k_means(on: On, source: str, features: Run | None = None) -> Run:
    config = replace(on.base.pixels, source="stage" if features else source)
    if features:
        config = replace(config, statistics=features.config.statistics)
    return stage(on, "cluster", config, f"k-means, {source}", {"features": features})


def estimate(on: On, name: str, features: Run) -> Run:
    config = replace(on.base.estimate, statistics=features.config.statistics)
    return stage(on, "estimate", config, f"estimate, {name}", {"features": features})


# ------------------------------------------------------------------------------------------- what each study compares

TRAIN, TEST = "train_novel_accuracy_percent", "test_novel_accuracy_percent"
INFORMATION = tuple(f"{split}_novel_{measure}_percent" for split in ("train", "test") for measure in ("nmi", "ari"))
K_MEANS = tuple(
    f"{split}_novel_kmeans_{measure}_percent" for split in ("train", "test") for measure in ("accuracy", "nmi", "ari")
)
KNOWN, AGNOSTIC = "test_known_accuracy_percent", "test_agnostic_accuracy_percent"
COLLAPSED, ERROR, ESTIMATED = "collapsed_percent", "absolute_error_classes", "estimated_classes"
NOVEL = (TRAIN, TEST, *INFORMATION, COLLAPSED)
ALL = (TRAIN, TEST, *INFORMATION, KNOWN, AGNOSTIC, COLLAPSED)

BASELINE, WITH_NCL, WITHOUT_HARD, FULL = "BCE", "BCE + NCL", "BCE + NCL + SCL", "NCL"
NO_CONTRAST = {"ncl": 0.0, "scl": 0.0}
HARD = {"hard_from_epoch": 3}  # --hard_negative_start in the authors' scripts
METHODS: dict[str, Settings] = {
    BASELINE: NO_CONTRAST,
    "RS": {**NO_CONTRAST, "pairs": "ranks"},
    WITH_NCL: {"scl": 0.0},
    WITHOUT_HARD: {},
    FULL: HARD,
}


def line(run: Run, metrics: Sequence[str] = (), *, baseline: str = "", **settings) -> Line:
    """A line with the study's metrics, where none are given."""
    better = {COLLAPSED: "lower", ERROR: "lower", ESTIMATED: "none"}
    return Line(run, settings, metrics, better=better, baseline=baseline)


def stages_alone(on: On) -> Iterator[Line]:
    """k-means on pixels, on an untrained network's features, and on those of stages 1 and 2."""
    yield line(k_means(on, "pixels"), NOVEL)
    yield line(k_means(on, "untrained"), NOVEL)
    if first := pretrain(on):
        yield line(k_means(on, "stage 1", first), NOVEL)
    yield line(k_means(on, "stage 2", supervise(on)), NOVEL)


def methods(on: On, *but: str) -> list[Line]:
    """Stage 3 by each method, but for those named, and UNO."""
    lines = [line(discover(on, method, **changes)) for method, changes in METHODS.items() if method not in but]
    return [*lines, line(stage(on, "uno", on.base.uno, "UNO", {"supervise": supervise(on)}))]


def main(on: On) -> Iterator[Line]:
    if on.dataset == IMAGENET:
        yield from mean_over_subsets(on)
        return
    yield from (each for each in stages_alone(on) if each.run.method != "k-means, stage 1")
    yield from methods(on)


def mean_over_subsets(on: On) -> Iterator[Line]:
    subsets = {name: replace(on, base=imagenet(name)) for name in SUBSETS}
    for method, changes in METHODS.items():
        needs = {name: discover(subset, f"{method}, {name}", **changes) for name, subset in subsets.items()}
        yield line(stage(on, "mean", Mean(), method, needs))


def photographs(on: On) -> Iterator[Line]:
    yield from stages_alone(on)
    yield from methods(on, "RS")


def long_photographs(on: On) -> Iterator[Line]:
    """UNO trains all layers: so does NCL once, beside NCL as published."""
    yield line(k_means(on, "stage 2", supervise(on)), NOVEL)
    yield from methods(on, "RS", WITH_NCL, WITHOUT_HARD)
    yield line(discover(on, f"{FULL}, all layers", **HARD, frozen=False))


def questions(on: On) -> Iterator[Line]:
    """k-means on MiniLM's features and on those of the layer after stage 2, and stage 3 by each method."""
    features = k_means(on, "pixels")
    yield line(features if on.base.pretrain else replace(features, method="k-means, MiniLM"), NOVEL)
    yield line(k_means(on, "stage 2", supervise(on)), NOVEL)
    yield from methods(on, "RS")


def components(on: On) -> list[Line]:
    changes = {
        BASELINE: NO_CONTRAST,
        "BCE + SCL": {"ncl": 0.0},
        WITH_NCL: {"scl": 0.0},
        "BCE + NCL + hard": {"scl": 0.0, **HARD},
        WITHOUT_HARD: {},
        FULL: HARD,
    }
    return [line(discover(on, method, **each)) for method, each in changes.items()]


def sweep(name: str, values: Sequence[float], base: str = WITHOUT_HARD) -> Callable[[On], Iterable[Line]]:
    """The lines over one setting; the data set's own is the baseline. At smoke scale the first and it are enough."""

    def lines(on: On) -> list[Line]:
        own = getattr(on.base.discover, name)
        some = values if on.scale != "smoke" else dict.fromkeys((values[0], own))
        return over(on, name, own, {value: {name: value} for value in some}, base)

    return lines


def over(on: On, name: str, own: float, changes: Mapping[float, Settings], base: str = WITHOUT_HARD) -> list[Line]:
    """A line for each value of a setting, with what it changes; the data set's own value is the baseline."""
    runs = {x: discover(on, f"{base}, {name}={x:g}", **{**METHODS[base], **more}) for x, more in changes.items()}
    return [line(run, baseline=f"{base}, {name}={own:g}", **{name: value}) for value, run in runs.items()]


def thresholds(on: On) -> Iterator[Line]:
    yield from sweep("threshold", (0.8, 0.9, 0.95, 0.98), BASELINE)(on)
    if on.scale != "smoke":
        yield line(discover(on, FULL, **HARD), baseline=f"{BASELINE}, threshold=0.95")


def queue(on: On) -> list[Line]:
    """A part of the data set's own queue and up to twice as much, with k in proportion."""
    own = on.base.discover.queue
    lengths = [int(share * own) for share in ((0.25, 0.5, 1, 2) if on.scale != "smoke" else (1, 2))]
    changes = {length: {"queue": length, "neighbours": int(length / on.base.novel / 2)} for length in lengths}
    return over(on, "queue", own, changes)


def neighbours(on: On) -> list[Line]:
    return over(on, "k", on.base.published_k, {k: {"neighbours": k} for k in on.base.ks})


def stages(on: On) -> Iterator[Line]:
    yield from stages_alone(on)
    yield line(discover(on, WITHOUT_HARD))
    from_nothing = {"supervise": supervise(on, from_nothing=True)}
    yield line(discover(on, f"{WITHOUT_HARD} without stage 1", needs=from_nothing))


def shared(on: On) -> list[Line]:
    one = replace(discover(on, f"{WITHOUT_HARD}, one checkpoint"), shared=("supervise",))
    return [line(discover(on, WITHOUT_HARD)), line(one)]


def variants(on: On) -> list[Line]:
    described = discover(on, FULL, variant="as_paper", **as_paper(on.base))
    return [line(discover(on, FULL, **HARD), variant="as_code"), line(described, variant="as_paper")]


def as_paper(protocol: Protocol) -> Settings:
    """What the paper describes where its code does something else: all losses from the start with weight 1, neighbours
    searched in the queue alone, mixes with random shares of as many far entries as neighbours, k of them kept."""
    k = protocol.published_k
    return {
        **{"scl": 1.0, "ncl_from_epoch": 0, "hard_from_epoch": 0, "neighbour_search": "as_paper"},
        **{"mixing": "random", "safe": k, "keep": k, "neighbours": k},
    }


def unknown_number(on: On) -> Iterator[Line]:
    number = (ESTIMATED, ERROR)
    if first := pretrain(on):
        yield line(estimate(on, "stage 1", first), number)
    second = estimate(on, "stage 2", supervise(on))
    yield line(second, number)
    yield line(discover(on, WITHOUT_HARD))
    needs, changes = {"estimate": second}, {"clusters": -1, "neighbours": 0}
    yield line(discover(on, f"{WITHOUT_HARD}, number estimated", needs=needs, **changes))


# ------------------------------------------------------------------------------------------------------- the studies

BY_NAME = {"only_by_name": ("quick",)}  # what a whole quick run has no time for

# fmt: off
STUDIES = [
    Study("main", "Does NCL beat its baseline, AutoNovel, k-means and UNO?", main, WITH_IMAGENET, ALL, BASELINE),
    Study("components", "What does each of NCL's losses add?", components, EVERYWHERE, ALL, BASELINE, **BY_NAME),
    # In a study of one setting the baseline is the data set's own value, which each line names.
    Study("k", "How many neighbours? The published choice is |M| / classes / 2", neighbours, EVERYWHERE, NOVEL),
    Study("alpha", "How much weight has the other view beside the neighbours?",
          sweep("positive_weight", (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)), EVERYWHERE, NOVEL, **BY_NAME),
    Study("queue", "How long a queue, with k in proportion?", queue, EVERYWHERE, NOVEL, **BY_NAME),
    Study("threshold", "From which cosine on are two images one class? NCL beside its baseline at each",
          thresholds, EVERYWHERE, NOVEL, **BY_NAME),
    Study("temperature", "Which temperature?",
          sweep("temperature", (0.02, 0.05, 0.1, 0.2)), EVERYWHERE, NOVEL, **BY_NAME),
    Study("stages", "How far do the stages carry alone, and is stage 1 needed?",
          stages, EVERYWHERE, NOVEL, "k-means, pixels", **BY_NAME),
    Study("shared", "How much spread does one checkpoint for all seeds hide?",
          shared, only(EVERYWHERE, seeds={"quick": 10}), NOVEL, WITHOUT_HARD, **BY_NAME),
    Study("variants", "Does it matter where the authors' code departs from the paper?",
          variants, EVERYWHERE, ALL, FULL, **BY_NAME),
    Study("unknown_number", "How many classes are there? AutoNovel's estimate, and what its error costs",
          unknown_number, EVERYWHERE, (TRAIN, TEST), WITHOUT_HARD, **BY_NAME),
    # The claim, declared before the first row on photographs: NCL minus BCE, pooled over both data sets.
    Study("photographs",
          "Does NCL beat its baseline on photographs as on digits, and do generated hard negatives help?",
          photographs, BESIDE_PHOTOGRAPHS, ALL, BASELINE, ((FULL, WITHOUT_HARD),), **BY_NAME),
    Study("photographs_30",
          "Do they differ after 30 epochs, in their heads or in their features? And where NCL trains all layers?",
          long_photographs, LONG_PHOTOGRAPHS, (*ALL, *K_MEANS), BASELINE, **BY_NAME),
    Study("questions", "Does NCL help where neighbours are of one class: TREC's questions on frozen MiniLM features?",
          questions, QUESTIONS, (*ALL, *K_MEANS), BASELINE, ((FULL, WITHOUT_HARD),), **BY_NAME),
    Study("photographs_k", "How many neighbours on photographs, beside digits?",
          neighbours, BESIDE_PHOTOGRAPHS, NOVEL, **BY_NAME),
]
# fmt: on


def device_of_features(config: Cluster) -> str:
    """Features come from the device; pixels are features on the CPU, as k-means is."""
    return CPU_ONLY if config.source == "pixels" else ANY_DEVICE


PAPER = Paper(
    __package__,
    "Novel class discovery: AutoNovel, Neighborhood Contrastive Learning, UNO",
    STUDIES,
    stages={
        "pretrain": Stage("stages.pretrain"),
        "supervise": Stage("stages.supervise"),
        "discover": Stage("discover.discover"),
        "uno": Stage("uno.uno"),
        "cluster": Stage("outcome.cluster", device_of_features),
        "estimate": Stage("outcome.estimate"),
        "mean": Stage("outcome.mean", CPU_ONLY),
    },
    versions=PROTOCOL_VERSIONS,
    figures="figures.FIGURES",
)
