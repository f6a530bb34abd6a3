"""The tables of sentence embeddings, as data: which runs fill which cells, at each scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from benchmarks.sentence_embeddings.config import STS, TRANSFER, SimCSE, Words
from benchmarks.sentence_embeddings.runs import (
    PROTOCOL_VERSIONS,
    bags_of_words,
    hcl,
    quick_thoughts,
    simcse,
    starts_of_simcse,
)
from benchmarks.sentence_embeddings.scales import (
    BATCHES,
    BETAS,
    MINILM,
    POOLED,
    POOLERS,
    QT,
    SEEDS,
    SEEDS_OF_GAIN,
    SIMCSE_BETAS,
    SUPERVISED,
    TAU_PLUS,
    UNSUPERVISED,
    WHOLE_QT,
)
from contrastbench.runner import CPU_ONLY, Cell, Run, Table, seeded

__all__ = ["DEVICES", "PROTOCOL_VERSIONS", "TABLES", "TITLE", "cells"]
DEVICES = {"words": CPU_ONLY}
TITLE = "Sentence embeddings: Quick-Thoughts and SimCSE with debiased and hard negatives"

TABLES = {
    "transfer": Table(
        title="Do debiased and hard negatives help Quick-Thoughts? Classifiers on frozen sentence embeddings",
        baseline="QT (biased)",
    ),
    "books": Table(
        title="Does more text change it? Quick-Thoughts on all of the novels, and all seven transfer tests",
        baseline="QT (biased)",
    ),
    "gain": Table(
        title="Do hard negatives help sentences? HCL with beta = 1, averaged over the tests of each encoder",
        baseline="its own loss",
    ),
    "sts": Table(title="Does SimCSE, with and without labels, rank pairs of sentences as people do?"),
    "beta": Table(title="How hard should negatives be? HCL on Quick-Thoughts and on SimCSE", baseline="HCL beta=0"),
    "tau_plus": Table(title="How much should be debiased? DCL over the class prior", baseline="QT (biased)"),
    "temperature": Table(title="SimCSE over the temperature", baseline="t=0.05"),
    "pooler": Table(title="SimCSE over the ways to make one embedding of the words", baseline="cls_before_pooler"),
    "selection": Table(
        title="What is choosing the checkpoint on STS-B's development part worth?", baseline="last step"
    ),
    "hard_weight": Table(title="Supervised SimCSE over the weight of the contradictions", baseline="alpha=1"),
    "batch": Table(title="Supervised SimCSE over the batch, which is its number of negatives", baseline="B=64"),
}
ACCURACY = {name: f"test_{name.lower()}_accuracy_percent" for name in TRANSFER}
COLUMNS = {  # the columns of a family of tests: name for people -> metric
    "transfer": {
        **{name: metric for name, metric in ACCURACY.items() if name != "SST2"},
        "MRPC (F1)": "test_mrpc_f1_percent",
        "average": "test_transfer_average_percent",
    },
    "all transfer": {
        **ACCURACY,
        "MRPC (F1)": "test_mrpc_f1_percent",
        "average of seven": "test_transfer_average_percent",
    },
    "sts": {
        **{name: f"test_{name.lower().replace('-', '_')}_spearman_x100" for name in STS},
        "average": "test_sts_average_x100",
        "STSB dev": "validation_stsb_spearman_x100",
    },
    "embedded": {"Lee": "test_lee_pearson_x100", "polarity": "test_polarity_accuracy_percent"},
}


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The table's cells at a scale; ``seeds`` replaces the scale's own."""
    make: dict[str, Callable[[str], list[Cell]]] = {
        "transfer": _transfer,
        "books": _books,
        "gain": _gain,
        "sts": _sts,
        "beta": _beta,
        "tau_plus": _tau_plus,
        "temperature": _temperature,
        "pooler": _pooler,
        "selection": _selection,
        "hard_weight": _hard_weight,
        "batch": _batch,
    }
    more = _runs_of_more_seeds(scale)

    def chosen(run: Run) -> Sequence[int]:
        declared = SEEDS_OF_GAIN if run.key in more else SEEDS[scale]
        return declared if seeds is None else seeds

    return [_with_seeds(cell, chosen(cell.runs[0])) for cell in make[table](scale)]


def _runs_of_more_seeds(scale: str) -> set[str]:
    """The keys, under seed 0, of the runs that have ``SEEDS_OF_GAIN``, whichever table asks for them."""
    if scale != "lite":
        return set()
    tested = [run for cell in _gain(scale) for run in cell.runs]
    return {run.key for run in (*tested, *starts_of_simcse(scale))}


def _with_seeds(cell: Cell, seeds: Sequence[int]) -> Cell:
    """The cell under the seeds; what has nothing random in it takes one."""
    (run,) = cell.runs
    config = run.config
    if isinstance(config, Words):
        once = config.method == "tfidf"
    else:
        once = config.epochs == 0 and bool(getattr(config, "model", ""))
    return dataclasses.replace(cell, runs=seeded(run, seeds[:1] if once else seeds), deterministic=once)


def _transfer(scale: str) -> list[Cell]:
    losses = {
        "untrained": {"epochs": 0},
        "QT (biased)": {},
        **({} if scale == "lite" else {"QT (biased, as paper)": {"diagonal": "paper"}}),
        "DCL": {"loss": "dcl", "tau_plus": TAU_PLUS},
        **{f"HCL beta={beta:g}": hcl(beta) for beta in (BETAS if scale != "smoke" else BETAS[:1])},
    }
    runs = [*bags_of_words(scale), *(quick_thoughts(scale, method, **changes) for method, changes in losses.items())]
    if scale in ("lite", "paper"):
        runs.append(
            simcse(
                scale,
                "MiniLM (trained elsewhere)",
                dataclasses.replace(MINILM, tests=QT[scale].tests, folds=QT[scale].folds),
            )
        )
    family = "embedded" if scale in ("smoke", "quick") else "transfer"
    return [cell for run in runs for cell in _cells(run, family, {"method": run.method})]


def _books(scale: str) -> list[Cell]:
    """The comparison of ``transfer`` with all the text there is here; at paper scale ``transfer`` has all of it."""
    if scale != "lite":
        return []
    losses = {
        "untrained": {"epochs": 0},
        "QT (biased)": {},
        "DCL": {"loss": "dcl", "tau_plus": TAU_PLUS},
        **{f"HCL beta={beta:g}": hcl(beta) for beta in BETAS},
    }
    runs = bags_of_words(scale, WHOLE_QT)
    runs += [quick_thoughts(scale, method, WHOLE_QT, **changes) for method, changes in losses.items()]
    return [cell for run in runs for cell in _cells(run, "all transfer", {"method": run.method})]


def _gain(scale: str) -> list[Cell]:
    """HCL against the encoder's own loss, by the average over the tests: they look at one encoder, so a seed is one
    observation, however many tests there are."""
    if scale not in ("lite", "paper"):
        return []
    made = []
    for method, changes in {"its own loss": {}, "HCL beta=1": hcl(1.0)}.items():
        runs = {
            "Quick-Thoughts, transfer tests": quick_thoughts(scale, method, **changes),
            "SimCSE without labels, STS": simcse(scale, method, dataclasses.replace(UNSUPERVISED[scale], **changes)),
            "SimCSE with labels, STS": simcse(scale, method, dataclasses.replace(SUPERVISED[scale], **changes)),
        }
        for name, run in runs.items():
            metric = COLUMNS["transfer" if run.stage == "quick_thoughts" else "sts"]["average"]
            made.append(Cell(name, method, metric, (run,), {"beta": float(method != "its own loss")}))
    return made


def _sts(scale: str) -> list[Cell]:
    if scale == "quick":
        return []
    runs = {"unsupervised SimCSE": UNSUPERVISED[scale]}
    if scale in SUPERVISED:
        runs["supervised SimCSE"] = SUPERVISED[scale]
    named = {f"{method}, HCL beta=1": dataclasses.replace(config, **hcl(1.0)) for method, config in runs.items()}
    configs = {**runs, **named}
    if scale in ("lite", "paper"):
        configs["MiniLM (trained elsewhere)"] = MINILM
    family = "embedded" if scale == "smoke" else "sts"
    starts = starts_of_simcse(scale)
    made = [*starts, *(simcse(scale, method, config) for method, config in configs.items())]
    tested = [cell for run in made for cell in _cells(run, family, {"method": run.method})]
    return [dataclasses.replace(cell, baseline=starts[0].method) for cell in tested]


def _beta(scale: str) -> list[Cell]:
    betas = (0.0, *BETAS) if scale != "smoke" else (0.0, BETAS[0])
    family = "embedded" if scale in ("smoke", "quick") else "transfer"
    made = []
    for beta in betas:
        run = quick_thoughts(scale, f"HCL beta={beta:g}", **hcl(beta))
        made += _cells(run, family, {"beta": beta, "on": "Quick-Thoughts"}, only=["average"])
    for beta in (0.0, *SIMCSE_BETAS) if scale in ("lite", "paper") else ():
        config = dataclasses.replace(UNSUPERVISED[scale], **hcl(beta))
        run = simcse(scale, f"HCL beta={beta:g}", config)
        made += _cells(run, "sts", {"beta": beta, "on": "SimCSE"}, only=["average"])
    return made


def _tau_plus(scale: str) -> list[Cell]:
    if scale == "quick":
        return []
    family = "embedded" if scale == "smoke" else "transfer"
    values = {"paper": (0.005, 0.01, 0.05, 0.1), "lite": (0.005, 0.01, 0.1)}.get(scale, (0.01,))
    only = ["average"] if scale == "lite" else ()
    made = _cells(quick_thoughts(scale, "QT (biased)"), family, {"tau_plus": 0.0}, only=only)
    for tau_plus in values:
        run = quick_thoughts(scale, f"DCL tau={tau_plus:g}", loss="dcl", tau_plus=tau_plus)
        made += _cells(run, family, {"tau_plus": tau_plus}, only=only)
    return made


def _temperature(scale: str) -> list[Cell]:
    values = {"smoke": (0.05,), "lite": (0.01, 0.05, 0.1, 1.0), "paper": (0.001, 0.01, 0.05, 0.1, 1.0)}.get(scale, ())
    base = UNSUPERVISED if scale == "smoke" else SUPERVISED
    return _simcse_axis(scale, base, "temperature", {f"t={value:g}": value for value in values})


def _pooler(scale: str) -> list[Cell]:
    if scale == "lite":
        return _pooled()
    poolers = POOLERS if scale == "paper" else ()
    made = _simcse_axis(scale, UNSUPERVISED, "pooler", {name: name for name in poolers})
    return made + _simcse_axis(scale, SUPERVISED, "pooler", {f"{name}, supervised": name for name in poolers})


def _pooled() -> list[Cell]:
    """Poolers of a pretrained model before training and after it; the layer of `cls` is random before."""
    made = []
    for pooler in ("cls_before_pooler", "cls", "avg", "avg_first_last"):
        config = dataclasses.replace(POOLED, pooler=pooler)
        if pooler != "cls":
            made.append(simcse("lite", f"{pooler}, start", dataclasses.replace(config, epochs=0)))
        made.append(simcse("lite", pooler, config))
    only = ("STSB", "STSB dev")
    return [cell for run in made for cell in _cells(run, "sts", {"pooler": run.config.pooler}, only=only)]


def _selection(scale: str) -> list[Cell]:
    values = {"last step": "last", "best on STS-B dev": "best_on_stsb_dev"} if scale in ("lite", "paper") else {}
    return _simcse_axis(scale, UNSUPERVISED, "selection", values)


def _hard_weight(scale: str) -> list[Cell]:
    values = {"lite": (0.5, 1.0, 2.0), "paper": (0.5, 1.0, 1.5, 2.0)}.get(scale, ())
    return _simcse_axis(scale, SUPERVISED, "hard_weight", {f"alpha={value:g}": value for value in values})


def _batch(scale: str) -> list[Cell]:
    return _simcse_axis(scale, SUPERVISED, "batch", {f"B={batch}": batch for batch in BATCHES.get(scale, ())})


def _simcse_axis(scale: str, base: Mapping[str, SimCSE], name: str, values: Mapping[str, object]) -> list[Cell]:
    """SimCSE with one field changed: the average over the tests, and STS-B's development part."""
    family = "embedded" if scale == "smoke" else "sts"
    made = []
    for method, value in values.items():
        run = simcse(scale, method, dataclasses.replace(base[scale], **{name: value}))  # type: ignore[arg-type]
        made += _cells(run, family, {name: value}, only=("average", "STSB dev"))
    return made


def _cells(run: Run, family: str, settings: dict[str, object], only: Sequence[str] = ()) -> list[Cell]:
    """The run's cells, one a test; of a large family only some, where asked for."""
    columns = COLUMNS[family]
    if only and family != "embedded":
        columns = {f"{'transfer' if family == 'transfer' else 'STS'} {name}": columns[name] for name in only}
        columns = {name.replace("STS STSB", "STSB"): metric for name, metric in columns.items()}
    return [Cell(dataset, run.method, metric, (run,), settings) for dataset, metric in columns.items()]
