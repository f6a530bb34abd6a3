"""The tables of sequential recommendation, as data: which runs fill which cells, at each scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from benchmarks.sequential_recommendation.config import Count, Pretrain, Train
from contrastbench.runner import CPU_ONLY, Cell, Run, Table, seeded

PAPER = "sequential_recommendation"
TITLE = "Sequential recommendation: S3-Rec, CL4SRec, CoSeRec, ICLRec and DuoRec, each beside SASRec with the same loss"
STAGES = ("train", "count", "pretrain")
PROTOCOL_VERSIONS = dict.fromkeys(STAGES, 1)  # a stage's is raised when a change of code changes its results
DEVICES = {"count": CPU_ONLY}

TABLES = {
    "main": Table(
        title="Do contrastive views help SASRec find the next item?",
        baseline="SASRec",
        claims=(("CL4SRec, CE", "SASRec, CE"), ("DuoRec", "SASRec, CE")),
    ),
    "pretraining": Table(
        title="What is S3-Rec's pre-training worth, with the items' attributes and without?",
        baseline="SASRec",
        claims=(("S3-Rec", "S3-Rec, MIP + SP"),),
        only_by_name=("quick",),
    ),
    "rules": Table(title="What is the treatment of seen items worth? Three rules of full ranking", baseline="SASRec"),
    "negatives": Table(
        title="What is it worth that the item of the test is never drawn as a negative?", baseline="SASRec"
    ),
    "loss": Table(
        title="One random negative, or all items? SASRec and both contrastive methods under both losses",
        baseline="SASRec",
        claims=(("CL4SRec, CE", "CL4SRec"), ("DuoRec", "DuoRec, BCE")),
    ),
    "prefixes": Table(title="DuoRec's protocol: a row for each target, cross-entropy, no mask", baseline="SASRec, CE"),
    "beta": Table(title="How hard should negatives be? HCL and DCL on CL4SRec's views", baseline="NT-Xent"),
    "lambda": Table(title="How much should the contrastive loss of CL4SRec weigh?", baseline="lambda=0"),
    "k": Table(title="How many intents? ICLRec over the number of clusters", baseline="K=256"),
    "temperature": Table(title="CL4SRec over the temperature, by dot product and cosine", baseline="dot, t=1"),
}
CUTS = (5, 10, 20)
# Declared before any run, by time alone: on LastFM an epoch of SASRec takes 1.2 seconds of one core, of CL4SRec 2.7, of
# SASRec with cross-entropy 3.9 and of DuoRec 5.9.
SEEDS = {"smoke": range(2), "quick": range(3), "lite": range(3), "paper": range(5)}
SEEDS_OF_LASTFM = {"SASRec": range(10), "SASRec, clean negatives": range(10)}

# By scale. No setting of smoke, quick and lite was chosen by a result: sizes follow from the time a run takes.
PAPER_RUN = Train()
QUICK_RUN = Train(dataset="gensim_sequences", users=300, longest=20, width=32, batch=64, epochs=6, patience=3)
BASE = {
    "smoke": dataclasses.replace(QUICK_RUN, users=60, longest=12, width=8, batch=24, epochs=2, pieces=2),
    "quick": QUICK_RUN,
    "lite": dataclasses.replace(PAPER_RUN, epochs=30),
    "paper": PAPER_RUN,
}
LARGE = ("Beauty", "Sports", "Toys", "Yelp")  # these need a GPU
# DuoRec's seq.yaml: a row for each target, at most 50 epochs, chosen by the validation MRR@10 without a mask.
PREFIXES = {"sequences": "prefixes", "epochs": 50, "selection": "mrr10_unmasked"}

METHODS: dict[str, dict[str, object]] = {
    "SASRec": {},
    "SASRec, clean negatives": {"negatives": "untrained"},
    "CL4SRec": {"views": "cl4srec"},
    "DuoRec, BCE": {"views": "duorec"},
    "SASRec, CE": {"loss": "ce"},
    "CL4SRec, CE": {"loss": "ce", "views": "cl4srec"},
    "DuoRec": {"loss": "ce", "views": "duorec"},
}
# CoSeRec's main.py and its scripts. Its code hands the share of the mask to the reordering: 0.7 in place of 0.2.
COSEREC: dict[str, object] = {"views": "coserec", "crop": 0.2, "mask": 0.7, "reorder": 0.7}
METHODS |= {"CoSeRec": COSEREC, "CoSeRec, as paper": {**COSEREC, "reorder": 0.2}}
COSEREC_AT: dict[str, dict[str, object]] = {
    "smoke": {"warm_up": 0},
    "paper": {"epochs": 300, "patience": 40},
    "Beauty": {"short": 12, "short_operations": "SIMRC", "warm_up": 220, "insert": 0.5, "substitute": 0.05},
    "Yelp": {"warm_up": 300, "insert": 0.5},
}
# ICLRec's scripts; the number of layers is each data set's own.
METHODS["ICLRec"] = {"views": "iclrec", "crop": 0.2, "mask": 0.7, "reorder": 0.2}
ICLREC_AT: dict[str, dict[str, object]] = {
    "smoke": {"clusters": 8},
    "quick": {"clusters": 16},
    "paper": {"epochs": 300, "patience": 40},
    "Beauty": {"layers": 1},
    "Toys": {"layers": 3},
}
# SASRec from pre-trained weights. Later papers list S3-Rec without attributes; which losses they kept is unconfirmed.
PRETRAINED: dict[str, dict[str, object]] = {"S3-Rec": {}, "S3-Rec, MIP + SP": {"aap": 0.0, "map": 0.0}}
PRETRAINED_AT: dict[str, dict[str, object]] = {
    # By time alone: at paper scale an epoch on LastFM has 258 steps, and there are 150.
    "smoke": {"batch": 24, "pieces": 2, "epochs": 1},
    "quick": {"pieces": 3, "epochs": 2},
    "lite": {"epochs": 3},
    # The epochs that the authors' reproduce/README.md goes on from.
    "Sports": {"epochs": 100},
    "Yelp": {"epochs": 100},
}
METHODS |= {name: {"start": "pretrain"} for name in PRETRAINED}
COUNTED = {
    "PopRec": {"method": "popularity"},
    # Declared after PopRec's first row on LastFM, to find out why it is below print.
    "PopRec, all actions": {"method": "popularity", "actions": "all"},
    "Transitions": {"method": "transitions"},
}


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The table's cells at a scale; ``seeds`` replaces the scale's own."""
    make: dict[str, Callable[[str], list[Cell]]] = {
        "main": _main,
        "pretraining": _pretraining,
        "rules": _rules,
        "negatives": _negatives,
        "loss": _loss,
        "prefixes": _prefixes,
        "beta": _beta,
        "lambda": _lambda,
        "k": _k,
        "temperature": _temperature,
    }
    return [_with_seeds(cell, seeds) for cell in make[table](scale)]


def _with_seeds(cell: Cell, seeds: Sequence[int] | None) -> Cell:
    """The cell under the seeds; what has nothing random in it takes one."""
    (run,) = cell.runs
    declared = SEEDS[run.scale]
    if run.scale == "paper" and run.dataset == "LastFM":
        declared = SEEDS_OF_LASTFM.get(run.method, declared)
    chosen = tuple(declared if seeds is None else seeds)
    counted = run.stage == "count"  # nothing in it is random
    return dataclasses.replace(cell, runs=seeded(run, chosen[:1] if counted else chosen), deterministic=counted)


def trained(scale: str, method: str, dataset: str = "", **changes: object) -> Run:
    """A run of the stage ``train`` under a name for people."""
    config = dataclasses.replace(BASE[scale], **changes)  # type: ignore[arg-type]
    if dataset:
        config = dataclasses.replace(config, dataset=dataset)
    own = {"coserec": COSEREC_AT, "iclrec": ICLREC_AT}.get(config.views, {})
    settled = {**own.get(scale, {}), **own.get(config.dataset, {}), **changes}
    config = dataclasses.replace(config, **settled)  # type: ignore[arg-type]
    protocol = "clean" if config.negatives == "untrained" else "published"
    needs = {"pretrain": pretrained(scale, method, config)} if config.start == "pretrain" else {}
    return _run(scale, method, config, "train", protocol, needs)


def pretrained(scale: str, method: str, then: Train) -> Run:
    """S3-Rec's pre-training of the encoder that the run ``then`` goes on with."""
    alike = ("dataset", "users", "longest", "width", "layers", "heads", "dropout")
    settled = {**PRETRAINED_AT.get(scale, {}), **PRETRAINED_AT.get(then.dataset, {}), **PRETRAINED[method]}
    config = Pretrain(**{name: getattr(then, name) for name in alike}, **settled)  # type: ignore[arg-type]
    return _run(scale, f"{method}: pre-training", config, "pretrain", "published")


def counted(scale: str, method: str, dataset: str = "") -> Run:
    config = Count(dataset or BASE[scale].dataset, BASE[scale].users, **COUNTED[method])
    return _run(scale, method, config, "count", "clean" if config.method == "transitions" else "published")


def _run(
    scale: str,
    method: str,
    config: Train | Count | Pretrain,
    stage: str,
    protocol: str,
    needs: Mapping[str, Run] | None = None,
) -> Run:
    return Run(
        PAPER, config, 0, scale, config.dataset, method, stage=stage, protocol=protocol, needs=needs or {},
        variant="as_paper" if method.endswith("as paper") else "as_code", protocol_version=PROTOCOL_VERSIONS[stage],
    )  # fmt: skip


def columns(rule: str, cuts: Sequence[int] = CUTS) -> list[str]:
    return [f"test_{name}{cut}_{rule}_percent" for cut in cuts for name in ("hr", "ndcg")]


def _cells(run: Run, metrics: Sequence[str], **settings: object) -> list[Cell]:
    return [Cell(run.dataset, run.method, metric, (run,), {"method": run.method, **settings}) for metric in metrics]


def _main(scale: str) -> list[Cell]:
    if scale == "lite":
        return []
    coserec = ("CoSeRec",) if scale == "quick" else ("CoSeRec", "CoSeRec, as paper")
    s3rec = () if scale == "quick" else tuple(PRETRAINED)
    on_large = ("SASRec", *s3rec, "CL4SRec", *coserec, "ICLRec")
    on_small = (*on_large, "SASRec, CE", "CL4SRec, CE", "DuoRec")
    runs = [
        *(counted(scale, method) for method in COUNTED),
        *(trained(scale, name, **METHODS[name]) for name in on_small),
    ]
    for dataset in LARGE if scale == "paper" else ():
        runs += [counted(scale, method, dataset) for method in COUNTED]
        runs += [trained(scale, name, dataset, **METHODS[name]) for name in on_large]
    return [cell for run in runs for cell in _cells(run, columns("zeroed"))]


def _pretraining(scale: str) -> list[Cell]:
    runs = [trained(scale, name, **METHODS[name]) for name in ("SASRec", *PRETRAINED)]
    return [cell for run in runs for cell in _cells(run, columns("zeroed"))]


def _rules(scale: str) -> list[Cell]:
    if scale == "lite":
        return []
    runs = [counted(scale, "PopRec"), *(trained(scale, name, **METHODS[name]) for name in ("SASRec", "SASRec, CE"))]
    metrics = [metric for rule in ("zeroed", "unmasked", "excluded") for metric in columns(rule, (10,))]
    return [cell for run in runs for cell in _cells(run, metrics)]


def _negatives(scale: str) -> list[Cell]:
    if scale == "lite":
        return []
    runs = [trained(scale, name, **METHODS[name]) for name in ("SASRec", "SASRec, clean negatives")]
    return [cell for run in runs for cell in _cells(run, columns("zeroed", (10, 20)))]


def _loss(scale: str) -> list[Cell]:
    if scale == "lite":
        return []
    names = ("SASRec", "CL4SRec", "DuoRec, BCE", "SASRec, CE", "CL4SRec, CE", "DuoRec")
    runs = [trained(scale, name, **METHODS[name]) for name in names]
    metrics = [*columns("zeroed", (10,)), *columns("unmasked", (10,))]
    return [cell for run in runs for cell in _cells(run, metrics)]


def _prefixes(scale: str) -> list[Cell]:
    datasets = {"smoke": ("",), "paper": LARGE}.get(scale, ())
    changes = {**PREFIXES, **({"epochs": 1, "users": 20} if scale == "smoke" else {})}
    names = ("SASRec, CE", "CL4SRec, CE", "DuoRec")
    runs = [trained(scale, name, each, **METHODS[name], **changes) for each in datasets for name in names]
    return [cell for run in runs for cell in _cells(run, columns("unmasked"))]


def _beta(scale: str) -> list[Cell]:
    losses: dict[str, dict[str, object]] = {
        "NT-Xent": {},
        "DCL tau=0.1": {"contrast": "dcl", "tau_plus": 0.1},
        **{f"HCL beta={beta:g}": {"contrast": "hcl", "beta": beta} for beta in (0.5, 1.0, 2.0)},
    }
    return _axis(scale, losses, "beta", 0.0)


def _lambda(scale: str) -> list[Cell]:
    values = {f"lambda={weight:g}": {"weight": weight} for weight in (0.05, 0.1, 0.2, 0.5)}
    return _axis(scale, {"lambda=0": {"views": "none"}, **values}, "weight", 0.1)


def _temperature(scale: str) -> list[Cell]:
    values = {f"dot, t={t:g}": {"temperature": t} for t in (0.5, 1.0, 2.0, 32.0, 64.0)}
    cosine = {f"cosine, t={t:g}": {"temperature": t, "similarity": "cosine"} for t in (0.1, 0.5, 1.0)}
    return _axis(scale, {**values, **cosine}, "temperature", 1.0)


def _k(scale: str) -> list[Cell]:
    values = {"smoke": (4, 8), "paper": (64, 128, 256, 512)}.get(scale, ())
    runs = {k: trained(scale, f"K={k}", **{**METHODS["ICLRec"], "clusters": k}) for k in values}
    return [cell for k, run in runs.items() for cell in _cells(run, columns("zeroed", (10,)), clusters=k)]


def _axis(scale: str, methods: dict[str, dict[str, object]], name: str, default: float) -> list[Cell]:
    """CL4SRec with one setting changed: HR@10 and NDCG@10."""
    if scale == "quick":
        return []
    made = []
    for method, changes in methods.items():
        run = trained(scale, method, **{"views": "cl4srec", **changes})
        value = 0.0 if changes.get("views") == "none" else changes.get(name, default)
        made += _cells(run, columns("zeroed", (10,)), **{name: value})
    return made
