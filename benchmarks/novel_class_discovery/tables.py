"""The tables of novel class discovery, as data: which chains of runs fill which cells, at each scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.novel_class_discovery.config import Cluster, Discover, Estimate, Mean, Pretrain, Supervise, Uno
from contrastbench.runner import ANY_DEVICE, CPU_ONLY, Cell, Run, Table, seeded

PAPER = "novel_class_discovery"
TITLE = "Novel class discovery: AutoNovel, Neighborhood Contrastive Learning, UNO"


def _device_of_features(config: Cluster) -> str:
    """Features come from the device; pixels are features on the CPU, as k-means is."""
    return CPU_ONLY if config.source == "pixels" else ANY_DEVICE


STAGES = ("pretrain", "supervise", "discover", "uno", "cluster", "estimate", "mean")
PROTOCOL_VERSIONS = dict.fromkeys(STAGES, 1)  # a stage's is raised when a change of code changes its results
DEVICES = {"cluster": _device_of_features, "mean": CPU_ONLY}
BASELINE, WITH_NCL, WITHOUT_HARD, FULL = "BCE", "BCE + NCL", "BCE + NCL + SCL", "NCL"
TABLES = {
    "main": Table("Does NCL beat its baseline, AutoNovel, k-means and UNO?", baseline=BASELINE),
    "components": Table("What does each of NCL's losses add?", baseline=BASELINE),
    "k": Table("How many neighbours? The published choice is |M| / classes / 2", baseline=WITHOUT_HARD),
    "alpha": Table("How much weight has the other view beside the neighbours?", baseline=WITHOUT_HARD),
    "queue": Table("How long a queue, with k in proportion?", baseline=WITHOUT_HARD),
    "threshold": Table("From which cosine on are two images one class?", baseline=BASELINE),
    "temperature": Table("Which temperature?", baseline=WITHOUT_HARD),
    "stages": Table("How far do the stages carry alone, and is stage 1 needed?", baseline="k-means, pixels"),
    "shared": Table("How much spread does one checkpoint for all seeds hide?", baseline=WITHOUT_HARD),
    "variants": Table("Does it matter where the authors' code departs from the paper?", baseline=FULL),
    "unknown_number": Table("How many classes are there? AutoNovel's estimate, and what its error costs"),
}
TRAIN, TEST = "train_novel_accuracy_percent", "test_novel_accuracy_percent"
KNOWN, AGNOSTIC = "test_known_accuracy_percent", "test_agnostic_accuracy_percent"
COLLAPSED, ERROR, ESTIMATED = "collapsed_percent", "absolute_error_classes", "estimated_classes"
SUBSETS = ("A", "B", "C")  # of ImageNet's held-out classes; the published number is the mean over them


@dataclass(frozen=True)
class Protocol:
    """What runs on a data set at a scale. ``pretrain`` is None where stage 2 starts from nothing."""

    pretrain: Pretrain | None
    supervise: Supervise
    discover: Discover
    uno: Uno
    estimate: Estimate
    pixels: Cluster
    ks: tuple[int, ...]
    novel: int
    label: str = "published"

    @property
    def published_k(self) -> int:
        return int(self.discover.queue / self.novel / 2)

    @property
    def task(self) -> dict[str, Any]:
        """The settings that the stages share."""
        names = ("dataset", "known", "novel", "encoder", "precision")
        return {name: getattr(self.supervise, name) for name in names}


def _protocol(task: dict[str, Any], novel: int, ks: tuple[int, ...], **stages: dict[str, Any]) -> Protocol:
    def made(kind: type, name: str) -> Any:
        return kind(**{**task, **stages.get(name, {})})

    discover = made(Discover, "discover")
    seen = {"views": discover.views, "statistics": discover.statistics}
    own = {**task, "statistics": "own"}
    return Protocol(
        pretrain=Pretrain(**{**own, **stages["pretrain"]}) if "pretrain" in stages else None,
        supervise=made(Supervise, "supervise"),
        discover=discover,
        uno=Uno(**{**task, **seen, **stages.get("uno", {})}),
        estimate=made(Estimate, "estimate"),
        pixels=made(Cluster, "pixels"),
        ks=ks,
        novel=novel,
        label="clean" if task["dataset"] == "mnist5k" else "published",
    )


DIGITS = {"dataset": "mnist5k", "encoder": "small", "views": "digits", "statistics": "own"}
DIGITS_DISCOVER = {
    **{"epochs": 4, "drop_every": 4, "ramp_epochs": 3, "queue": 500, "labelled_queue": 500, "neighbours": 50},
    **{"safe": 20, "keep": 160},
    **{"batch": 64, "learning_rate": 0.03, "threshold": 0.9},  # chosen on known classes, see the README
}
DIGITS_UNO = {
    **{"epochs": 4, "batch": 128, "warm_up_epochs": 1, "heads": 1, "overcluster": 3, "hidden": 128, "projection": 64}
}
QUICK = _protocol(
    DIGITS,
    novel=5,
    ks=(5, 15, 50, 150, 300),
    pretrain={"epochs": 3, "batch": 64, "drops": (1, 2)},
    supervise={"epochs": 5, "batch": 64, "drop_every": 2},
    discover=DIGITS_DISCOVER,
    uno=DIGITS_UNO,
    estimate={"most": 10, "images_per_class": 100, "silhouette_images": 1000, "starts": 3},
    pixels={"starts": 4},
)
SMOKE = _protocol(
    {**DIGITS, "known": "0-2", "novel": "3-4"},
    novel=2,
    ks=(5, 30),
    pretrain={"epochs": 1, "drops": (1,)},
    supervise={"epochs": 1},
    discover={
        **DIGITS_DISCOVER,
        "epochs": 2,
        "queue": 128,
        "labelled_queue": 200,
        "neighbours": 30,
        "safe": 5,
        "keep": 40,
    },
    uno={**DIGITS_UNO, "epochs": 2},
    estimate={"probe": 3, "anchors": 1, "most": 3, "images_per_class": 20, "silhouette_images": 100, "starts": 1},
    pixels={"starts": 1},
)
CIFAR10: dict[str, Any] = {"dataset": "cifar10"}
AS_CODE_STATISTICS = {"statistics": "code"}
CIFAR_KS = (10, 50, 100, 200, 400, 1000)
LITE = _protocol(
    {**CIFAR10, "precision": "bf16"},
    novel=5,
    ks=CIFAR_KS,
    pretrain={"epochs": 15, "drops": (5, 10, 13)},
    supervise={**AS_CODE_STATISTICS, "epochs": 10, "drop_every": 2},
    discover={"epochs": 20, "drop_every": 17, "ramp_epochs": 5},
    uno={"epochs": 20, "warm_up_epochs": 2},
    estimate={"starts": 2, "most": 10},
)
CIFAR100: dict[str, Any] = {
    **{"dataset": "cifar100", "known": "0-79", "novel": "80-99"},
}
CIFAR100_DISCOVER = {"views": "crop", "consistency": 50.0, "ramp_epochs": 150, "safe": 400}
IMAGENET: dict[str, Any] = {
    **{"known": "0-881", "novel": "882-911", "encoder": "resnet18", "views": "imagenet", "statistics": "own"},
}
IMAGENET_DISCOVER = {
    **{"epochs": 90, "drop_every": 30, "ramp_epochs": 50, "consistency": 10.0, "batch": 512, "unlabelled_batch": 128},
    **{"queue": 3000, "labelled_queue": 30000, "neighbours": 50, "safe": 400},
}


def _imagenet(subset: str) -> Protocol:
    return _protocol(
        {**IMAGENET, "dataset": f"imagenet_{subset}"},
        novel=30,
        ks=(10, 25, 50, 100, 200),
        supervise={
            "start": "nothing",
            "frozen": False,
            "epochs": 90,
            "batch": 256,
            "drop_every": 30,
            "drop_factor": 0.1,
        },
        discover=IMAGENET_DISCOVER,
        uno={"epochs": 60},
        estimate={"probe": 82, "anchors": 50, "most": 100, "images_per_class": 50},
    )


def _cifar100(known: str, novel: str, classes: int, overcluster: int) -> Protocol:
    k = int(2000 / classes / 2)
    return _protocol(
        {**CIFAR100, "known": known, "novel": novel},
        novel=classes,
        ks=tuple(sorted({5, 10, 25, 50, 100, 200, 400, k})),
        pretrain={},
        supervise=AS_CODE_STATISTICS,
        discover={**CIFAR100_DISCOVER, "neighbours": k},
        uno={"overcluster": overcluster},
        estimate={"probe": 20, "anchors": 10, "most": 100},
    )


PROTOCOLS: dict[str, dict[str, Protocol]] = {
    "smoke": {"MNIST-5k 3/2": SMOKE},
    "quick": {"MNIST-5k 5/5": QUICK},
    "lite": {"CIFAR10-5/5": LITE},
    "paper": {
        "CIFAR10-5/5": _protocol(
            CIFAR10, novel=5, ks=CIFAR_KS, pretrain={}, supervise=AS_CODE_STATISTICS, discover={}, estimate={"most": 10}
        ),
        "CIFAR100-80/20": _cifar100("0-79", "80-99", 20, overcluster=5),
        "CIFAR100-50/50": _cifar100("0-49", "50-99", 50, overcluster=3),
        "ImageNet-882/30": _imagenet("A"),  # main: the mean of A, B and C
    },
}
QUICK_TABLES = ("main", "k", "stages", "unknown_number")
SEEDS: dict[str, Sequence[int]] = {"smoke": range(2), "quick": range(5), "lite": range(3), "paper": range(3)}


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The table's cells at a scale; ``seeds`` replaces the scale's own."""
    if scale == "quick" and table not in QUICK_TABLES:
        return []
    chosen = SEEDS[scale] if seeds is None else seeds
    made = []
    for dataset in PROTOCOLS[scale]:
        if dataset.startswith("ImageNet") and table != "main":
            continue
        made += MAKERS[table](Chains(dataset, scale, PROTOCOLS[scale][dataset]), chosen)
    return [cell for cell in made if cell.runs]


@dataclass(frozen=True)
class Chains:
    """The runs of one data set at one scale, each with the runs that it needs."""

    dataset: str
    scale: str
    protocol: Protocol

    def run(self, stage: str, config: Any, method: str, needs: dict[str, Run] | None = None, **options: Any) -> Run:
        named = {"variant": "as_code", "protocol": self.protocol.label, "protocol_version": PROTOCOL_VERSIONS[stage]}
        return Run(
            PAPER, config, 0, self.scale, self.dataset, method, stage=stage, needs=needs or {}, **{**named, **options}
        )

    def pretrain(self) -> Run | None:
        config = self.protocol.pretrain
        return self.run("pretrain", config, "stage 1: RotNet") if config else None

    def supervise(self, *, from_nothing: bool = False) -> Run:
        config, first = self.protocol.supervise, self.pretrain()
        if from_nothing or first is None:
            config = dataclasses.replace(config, start="nothing", frozen=False)
            return self.run("supervise", config, "stage 2: supervised from nothing")
        return self.run("supervise", config, "stage 2: supervised", {"pretrain": first})

    def discover(self, method: str, *, needs: dict[str, Run] | None = None, variant: str = "as_code", **changes) -> Run:
        config = dataclasses.replace(self.protocol.discover, **changes)
        if config.hard_from_epoch > 1 and config.dataset == "mnist5k":
            config = dataclasses.replace(config, hard_from_epoch=1)  # of the few epochs there
        return self.run("discover", config, method, {"supervise": self.supervise(), **(needs or {})}, variant=variant)

    def uno(self) -> Run:
        return self.run("uno", self.protocol.uno, "UNO", {"supervise": self.supervise()})

    def cluster(self, source: str, features: Run | None = None) -> Run:
        config = dataclasses.replace(self.protocol.pixels, source="stage" if features else source)
        if features:
            config = dataclasses.replace(config, statistics=features.config.statistics)
        return self.run("cluster", config, f"k-means, {source}", {"features": features} if features else {})

    def estimate(self, method: str, features: Run) -> Run:
        config = dataclasses.replace(self.protocol.estimate, statistics=features.config.statistics)
        return self.run("estimate", config, method, {"features": features})


NO_CONTRAST = {"ncl": 0.0, "scl": 0.0}
HARD = {"hard_from_epoch": 3}  # --hard_negative_start in the authors' scripts
METHODS: dict[str, dict[str, Any]] = {
    BASELINE: NO_CONTRAST,
    "RS": {**NO_CONTRAST, "pairs": "ranks"},
    WITH_NCL: {"scl": 0.0},
    WITHOUT_HARD: {},
    FULL: HARD,
}
COMPONENTS: dict[str, dict[str, Any]] = {
    BASELINE: NO_CONTRAST,
    "BCE + SCL": {"ncl": 0.0},
    WITH_NCL: {"scl": 0.0},
    "BCE + NCL + hard": {"scl": 0.0, **HARD},
    WITHOUT_HARD: {},
    FULL: HARD,
}


def _cells(
    run: Run, seeds: Sequence[int], metrics: Sequence[str], shared: Sequence[str] = (), **settings
) -> list[Cell]:
    runs = seeded(run, seeds, shared)
    lower = (COLLAPSED, ERROR)
    betters = {metric: "lower" if metric in lower else "higher" for metric in metrics}
    return [
        Cell(run.dataset, run.method, metric, runs, settings, "none" if metric == ESTIMATED else betters[metric])
        for metric in metrics
    ]


NOVEL = (TRAIN, TEST, COLLAPSED)
ALL = (TRAIN, TEST, KNOWN, AGNOSTIC, COLLAPSED)


def _main(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    if chains.dataset.startswith("ImageNet"):
        return _mean_over_subsets(chains, seeds)
    made = _cells(chains.cluster("pixels"), seeds, NOVEL)
    made += _cells(chains.cluster("untrained"), seeds, NOVEL)
    made += _cells(chains.cluster("stage 2", chains.supervise()), seeds, NOVEL)
    for method, changes in METHODS.items():
        made += _cells(chains.discover(method, **changes), seeds, ALL)
    return made + _cells(chains.uno(), seeds, ALL)


def _mean_over_subsets(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    made = []
    for method, changes in METHODS.items():
        needs = {
            subset: dataclasses.replace(chains, protocol=_imagenet(subset)).discover(f"{method}, {subset}", **changes)
            for subset in SUBSETS
        }
        made += _cells(chains.run("mean", Mean(), method, needs), seeds, ALL)
    return made


def _components(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    return [
        cell
        for method, changes in COMPONENTS.items()
        for cell in _cells(chains.discover(method, **changes), seeds, ALL)
    ]


def _sweep(name: str, values: Sequence[Any], *, base: str = WITHOUT_HARD):
    """A table over one setting, of the method without generated negatives; the protocol's own value is shared."""

    def make(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
        made = []
        for value in values if chains.scale != "smoke" else values[:2]:
            changes = {**METHODS[base], name: value}
            if name == "queue":
                value = value if chains.scale != "smoke" else value // 4
                changes = {"queue": value, "neighbours": int(value / chains.protocol.novel / 2)}
            made += _cells(chains.discover(f"{base}, {name}={value:g}", **changes), seeds, NOVEL, **{name: value})
        return made

    return make


def _k(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    made = []
    for k in chains.protocol.ks:
        run = chains.discover(f"{WITHOUT_HARD}, k={k}", neighbours=k)
        made += _cells(run, seeds, NOVEL, k=k)
    return made


def _stages(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    runs = [chains.cluster("pixels"), chains.cluster("untrained")]
    if first := chains.pretrain():
        runs.append(chains.cluster("stage 1", first))
    runs.append(chains.cluster("stage 2", chains.supervise()))
    runs.append(chains.discover(WITHOUT_HARD))
    if chains.scale != "quick":
        runs.append(
            chains.discover(f"{WITHOUT_HARD} without stage 1", needs={"supervise": chains.supervise(from_nothing=True)})
        )
    return [cell for run in runs for cell in _cells(run, seeds, NOVEL)]


def _shared(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    own, one = chains.discover(WITHOUT_HARD), chains.discover(f"{WITHOUT_HARD}, one checkpoint")
    return _cells(own, seeds, NOVEL) + _cells(one, seeds, NOVEL, shared=("supervise",))


def _variants(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    made = _cells(chains.discover(FULL, **METHODS[FULL]), seeds, ALL, variant="as_code")
    return made + _cells(
        chains.discover(FULL, variant="as_paper", **as_paper(chains.protocol)), seeds, ALL, variant="as_paper"
    )


def as_paper(protocol: Protocol) -> dict[str, Any]:
    """What the paper describes where its code does something else: all losses from the start with weight 1, neighbours
    searched in the queue alone, mixes with random shares of as many far entries as neighbours, k of them kept."""
    k = protocol.published_k
    return {
        **{"scl": 1.0, "ncl_from_epoch": 0, "hard_from_epoch": 0, "neighbour_search": "as_paper"},
        **{"mixing": "random", "safe": k, "keep": k, "neighbours": k},
    }


def _unknown_number(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    made = []
    second = chains.estimate("estimate, stage 2", chains.supervise())
    if first := chains.pretrain():
        made += _cells(chains.estimate("estimate, stage 1", first), seeds, (ESTIMATED, ERROR))
    made += _cells(second, seeds, (ESTIMATED, ERROR))
    if chains.scale == "quick":
        return made
    made += _cells(chains.discover(WITHOUT_HARD), seeds, (TRAIN, TEST))
    guessed = chains.discover(
        f"{WITHOUT_HARD}, number estimated", needs={"estimate": second}, clusters=-1, neighbours=0
    )
    return made + _cells(guessed, seeds, (TRAIN, TEST))


MAKERS = {
    "main": _main,
    "components": _components,
    "k": _k,
    "alpha": _sweep("positive_weight", (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)),
    "queue": _sweep("queue", (500, 1000, 2000, 4000)),
    "threshold": _sweep("threshold", (0.8, 0.9, 0.95, 0.98), base=BASELINE),
    "temperature": _sweep("temperature", (0.02, 0.05, 0.1, 0.2)),
    "stages": _stages,
    "shared": _shared,
    "variants": _variants,
    "unknown_number": _unknown_number,
}
