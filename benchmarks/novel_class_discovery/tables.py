"""The tables of novel class discovery, as data: which chains of runs fill which cells, at each scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.novel_class_discovery.chains import PROTOCOL_VERSIONS, Chains
from benchmarks.novel_class_discovery.config import Cluster, Mean
from benchmarks.novel_class_discovery.protocols import BESIDE_PHOTOGRAPHS, PROTOCOLS, Protocol, imagenet_protocol
from contrastbench.runner import ANY_DEVICE, CPU_ONLY, Cell, Run, Table, seeded

__all__ = ["DEVICES", "PROTOCOL_VERSIONS", "TABLES", "TITLE", "cells"]  # what the suite reads
TITLE = "Novel class discovery: AutoNovel, Neighborhood Contrastive Learning, UNO"


def _device_of_features(config: Cluster) -> str:
    """Features come from the device; pixels are features on the CPU, as k-means is."""
    return CPU_ONLY if config.source == "pixels" else ANY_DEVICE


DEVICES = {"cluster": _device_of_features, "mean": CPU_ONLY}
BASELINE, WITH_NCL, WITHOUT_HARD, FULL = "BCE", "BCE + NCL", "BCE + NCL + SCL", "NCL"
ON_DEMAND = {"only_by_name": ("quick",)}  # what a whole quick run has no time for
TABLES = {
    "main": Table("Does NCL beat its baseline, AutoNovel, k-means and UNO?", baseline=BASELINE),
    "components": Table("What does each of NCL's losses add?", baseline=BASELINE, **ON_DEMAND),
    # In a table over one setting the baseline is the protocol's own value, which each cell names.
    "k": Table("How many neighbours? The published choice is |M| / classes / 2"),
    "alpha": Table("How much weight has the other view beside the neighbours?", **ON_DEMAND),
    "queue": Table("How long a queue, with k in proportion?", **ON_DEMAND),
    "threshold": Table("From which cosine on are two images one class?", **ON_DEMAND),
    "temperature": Table("Which temperature?", **ON_DEMAND),
    "stages": Table(
        "How far do the stages carry alone, and is stage 1 needed?", baseline="k-means, pixels", **ON_DEMAND
    ),
    "shared": Table("How much spread does one checkpoint for all seeds hide?", baseline=WITHOUT_HARD, **ON_DEMAND),
    "variants": Table("Does it matter where the authors' code departs from the paper?", baseline=FULL, **ON_DEMAND),
    "unknown_number": Table(
        "How many classes are there? AutoNovel's estimate, and what its error costs", baseline=WITHOUT_HARD, **ON_DEMAND
    ),
    # The claim, declared before the first row on photographs: NCL minus BCE, pooled over both data sets.
    "photographs": Table(
        "Does NCL beat its baseline on photographs as on digits, and do generated hard negatives help?",
        baseline=BASELINE,
        claims=((FULL, WITHOUT_HARD),),
        **ON_DEMAND,
    ),
    "photographs_k": Table("How many neighbours on photographs, beside digits?", **ON_DEMAND),
}
TRAIN, TEST = "train_novel_accuracy_percent", "test_novel_accuracy_percent"
KNOWN, AGNOSTIC = "test_known_accuracy_percent", "test_agnostic_accuracy_percent"
COLLAPSED, ERROR, ESTIMATED = "collapsed_percent", "absolute_error_classes", "estimated_classes"
SUBSETS = ("A", "B", "C")  # of ImageNet's held-out classes; the published number is the mean over them
SEEDS: dict[str, Sequence[int]] = {"smoke": range(2), "quick": range(5), "lite": range(3), "paper": range(3)}
OTHER_SEEDS: dict[tuple[str, str], Sequence[int]] = {("shared", "quick"): range(10)}  # it is about a spread


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The table's cells at a scale; ``seeds`` replaces the scale's own."""
    chosen = OTHER_SEEDS.get((table, scale), SEEDS[scale]) if seeds is None else seeds
    made = []
    for dataset, protocol in protocols_of(table, scale).items():
        made += MAKERS[table](Chains(dataset, scale, protocol), chosen)
    return [cell for cell in made if cell.runs]


def protocols_of(table: str, scale: str) -> dict[str, Protocol]:
    """What runs in a table at a scale, by data set. ImageNet stands in ``main`` alone."""
    if table.startswith("photographs"):
        return BESIDE_PHOTOGRAPHS.get(scale, {})
    everything = PROTOCOLS[scale]
    return {name: each for name, each in everything.items() if table == "main" or not name.startswith("ImageNet")}


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
    run: Run, seeds: Sequence[int], metrics: Sequence[str], shared: Sequence[str] = (), baseline: str = "", **settings
) -> list[Cell]:
    runs = seeded(run, seeds, shared)
    known = {COLLAPSED: "lower", ERROR: "lower", ESTIMATED: "none"}
    betters = {metric: known.get(metric, "higher") for metric in metrics}
    return [
        Cell(run.dataset, run.method, metric, runs, settings, better, baseline=baseline)
        for metric, better in betters.items()
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


def _photographs(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    runs = _stages_alone(chains)
    runs += [chains.discover(method, **changes) for method, changes in METHODS.items() if method != "RS"]
    made = [cell for run in runs for cell in _cells(run, seeds, ALL if run.stage == "discover" else NOVEL)]
    return made + _cells(chains.uno(), seeds, ALL)


def _mean_over_subsets(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    made = []
    for method, changes in METHODS.items():
        needs = {
            subset: dataclasses.replace(chains, protocol=imagenet_protocol(subset)).discover(
                f"{method}, {subset}", **changes
            )
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


def _sweep(name: str, values: Sequence[float], *, base: str = WITHOUT_HARD):
    """A table over one setting, of the method without generated negatives; the protocol's own value is shared.

    At smoke scale the first value and the protocol's own are enough.
    """

    def make(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
        made, own = [], getattr(chains.protocol.discover, name)
        baseline = f"{base}, {name}={own:g}"
        for value in values if chains.scale != "smoke" else dict.fromkeys((values[0], own)):
            run = chains.discover(f"{base}, {name}={value:g}", **{**METHODS[base], name: value})
            made += _cells(run, seeds, NOVEL, baseline=baseline, **{name: value})
        return made

    return make


QUEUES = (0.25, 0.5, 1, 2)  # of the protocol's own: 2000 images, 500 digits


def _queue(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    made = []
    for share in QUEUES if chains.scale != "smoke" else QUEUES[2:]:
        queue = int(share * chains.protocol.discover.queue)
        changes = {"queue": queue, "neighbours": int(queue / chains.protocol.novel / 2)}
        run = chains.discover(f"{WITHOUT_HARD}, queue={queue}", **changes)
        baseline = f"{WITHOUT_HARD}, queue={chains.protocol.discover.queue}"
        made += _cells(run, seeds, NOVEL, baseline=baseline, queue=queue)
    return made


def _k(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    made = []
    for k in chains.protocol.ks:
        run = chains.discover(f"{WITHOUT_HARD}, k={k}", neighbours=k)
        made += _cells(run, seeds, NOVEL, baseline=f"{WITHOUT_HARD}, k={chains.protocol.published_k}", k=k)
    return made


def _stages_alone(chains: Chains) -> list[Run]:
    """k-means on pixels, on an untrained network's features, and on those of stages 1 and 2."""
    runs = [chains.cluster("pixels"), chains.cluster("untrained")]
    if first := chains.pretrain():
        runs.append(chains.cluster("stage 1", first))
    return [*runs, chains.cluster("stage 2", chains.supervise())]


def _stages(chains: Chains, seeds: Sequence[int]) -> list[Cell]:
    runs = _stages_alone(chains)
    runs.append(chains.discover(WITHOUT_HARD))
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
    "queue": _queue,
    "threshold": _sweep("threshold", (0.8, 0.9, 0.95, 0.98), base=BASELINE),
    "temperature": _sweep("temperature", (0.02, 0.05, 0.1, 0.2)),
    "stages": _stages,
    "shared": _shared,
    "variants": _variants,
    "unknown_number": _unknown_number,
    "photographs": _photographs,
    "photographs_k": _k,
}
