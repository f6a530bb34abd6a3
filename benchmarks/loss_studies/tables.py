"""The studies as tables: each asks whether one claim of a founding paper holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.loss_studies.config import Estimators, Images, Information, Limit, Map, Mining, Noise
from contrastbench.runner import CPU_ONLY, Cell, Run, Table, seeded

PAPER = "loss_studies"
TITLE = "What the founding papers claim of their losses, measured"

# Small problems, whose draws, sorts and evaluations stay on the CPU.
DEVICES = dict.fromkeys(
    (
        *("drlim_map", "estimators", "images", "information"),
        *("limit", "mining", "noise_gradient", "noise_training"),
    ),
    CPU_ONLY,
)
PROTOCOL_VERSIONS = dict.fromkeys(DEVICES, 1)  # a study's is raised when a change of code changes its results
BY_NAME = {"only_by_name": ("quick",)}  # minutes of training that a whole quick run has no time for
TABLES = {
    "nce_gradient": Table("NCE: does its gradient approach maximum likelihood's as k grows?", columns="metric"),
    "nce_normaliser": Table(
        "NCE: does a model trained with its normaliser fixed to 1 normalise itself, and how good is it?",
        columns="metric",
        baseline="maximum likelihood",
    ),
    "information": Table("InfoNCE: a lower bound on the mutual information that saturates at log N?"),
    "estimator_mse": Table(
        "DCL and BCL: how far from the mean over true negatives (mean squared error)?", baseline="biased"
    ),
    "estimator_bias": Table(
        "DCL and BCL: how biased against the mean over true negatives (percent)?", baseline="biased"
    ),
    "hard_estimator": Table("HCL: how far from the hard mean over true negatives, over beta?", baseline="not debiased"),
    "limit_packing": Table(
        "HCL: do classes pack like balls on the sphere as beta grows?", baseline="HCL beta=0", **BY_NAME
    ),
    "limit_weights": Table("HCL: does the negative term become that of the worst negative as beta grows?", **BY_NAME),
    "alignment": Table(
        "Alignment and uniformity after training with SimCLR, DCL and HCL",
        columns="metric",
        baseline="SimCLR",
        **BY_NAME,
    ),
    "similarities": Table(
        "Do debiasing and hardness part positives from negatives?",
        columns="metric",
        baseline="SimCLR",
        **BY_NAME,
    ),
    "annealing": Table(
        "Is harder better? Fixed and annealed beta, and positives that are surely right", baseline="DCL", **BY_NAME
    ),
    "mining": Table("Triplets: which negatives to mine, and does hard mining collapse?", columns="metric", **BY_NAME),
    "map": Table("DrLIM: does the plane keep the digits apart?"),
}
KS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
TRAINING_KS = (1, 5, 25, 100)
TRUTHS, SIZES = (2.0, 4.0, 6.0, 8.0, 10.0), (4, 16, 64, 256, 1024)
SWEEPS: dict[str, tuple[float, ...]] = {
    "alpha": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "tau_plus": (0.01, 0.05, 0.2, 0.3),
    "negatives": (10, 30, 300, 1000),
}
ESTIMATOR_BETAS = (0.0, 0.25, 0.5, 1.0, 2.0)
LIMIT_BETAS = (0.0, 1.0, 2.0, 5.0, 20.0)
HARD_BETAS = (1.0, 5.0)
KNN = "test_knn_top1_percent"

# Scale -> what is smaller there than in the full study (which is the paper scale).
SMALLER: dict[str, dict[type, dict[str, Any]]] = {
    "smoke": {
        Noise: {"words": 1000, "epochs": 2, "repeats": 2, "batch": 100},
        Information: {"pairs": 1024, "steps": 200},
        Estimators: {"repeats": 2},
        Limit: {"steps": 200, "starts": 2},
        Images: {"epochs": 2, "images": 256},
        Mining: {"epochs": 2, "images": 500},
        Map: {"epochs": 2, "images": 500},
    },
    "quick": {
        Noise: {"words": 30_000, "epochs": 6, "repeats": 20},
        Information: {"pairs": 8192, "steps": 600},
        Estimators: {"repeats": 30},
        Limit: {"steps": 1200},
        Images: {"epochs": 3},
        Mining: {"epochs": 8},
        Map: {"epochs": 10},
    },
    "paper": {},
}
SEEDS: dict[str, dict[str, int]] = {  # seeds of each table; 1 where nothing is trained and little is left to chance
    "smoke": {},
    "quick": {"alignment": 2, "similarities": 2, "annealing": 2, "mining": 2},
    "paper": {
        **dict.fromkeys(("nce_normaliser", "nce_gradient", "information"), 3),
        **dict.fromkeys(("limit_packing", "limit_weights", "map"), 3),
        **dict.fromkeys(("alignment", "similarities", "annealing", "mining"), 5),
    },
}


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The table's cells at a scale; ``seeds`` replaces the scale's own."""
    if scale not in SMALLER:
        return []
    chosen = seeds if seeds is not None else range(SEEDS[scale].get(table, 1))
    return [cell for cell in MAKERS[table](scale, chosen) if cell.runs]


def _cell(
    scale: str,
    seeds: Sequence[int],
    stage: str,
    config: Any,
    dataset: str,
    method: str,
    metric: str,
    better: str = "none",
    **settings: Any,
) -> Cell:
    config = dataclasses.replace(config, **SMALLER[scale].get(type(config), {}))
    version = PROTOCOL_VERSIONS[stage]
    run = Run(PAPER, config, 0, scale, dataset, method, protocol_version=version, stage=stage, protocol="clean")
    return Cell(dataset, method, metric, seeded(run, seeds), settings, better)


def _nce_gradient(scale: str, seeds: Sequence[int]) -> list[Cell]:
    metrics = ("bias_percent", "spread_percent", "angle_degrees", "mean_angle_of_a_draw_degrees")
    return [
        _cell(scale, seeds, "noise_gradient", Noise(samples=k), "trigram source", f"NCE k={k}", metric, "lower", k=k)
        for k in (KS if scale != "smoke" else (1, 20))
        for metric in metrics
    ]


def _nce_normaliser(scale: str, seeds: Sequence[int]) -> list[Cell]:
    methods = {"maximum likelihood": 0, **{f"NCE k={k}": k for k in TRAINING_KS}}
    metrics = {"test_perplexity": "lower", "test_mean_absolute_log_z": "lower", "test_mean_log_z": "none"}
    return [
        _cell(scale, seeds, "noise_training", Noise(samples=k), "trigram source", method, metric, better)
        for method, k in list(methods.items())[: 2 if scale == "smoke" else None]
        for metric, better in metrics.items()
    ]


def _information(scale: str, seeds: Sequence[int]) -> list[Cell]:
    grid = [(t, n, "optimal") for t in TRUTHS for n in SIZES]
    grid += [(t, n, "trained") for t in (2.0, 6.0, 10.0) for n in ((64,) if scale != "paper" else (64, 256))]
    return [
        _cell(
            scale,
            seeds,
            "information",
            Information(truth=truth, size=size, critic=critic),
            f"I = {truth:g} nats",
            f"N = {size}" + (", trained critic" if critic == "trained" else ""),
            "bound_nats",
        )
        for truth, size, critic in (grid if scale != "smoke" else grid[:2] + grid[-1:])
    ]


def _estimators(metric: str):
    def make(scale: str, seeds: Sequence[int]) -> list[Cell]:
        made = []
        for name, values in SWEEPS.items():
            for value in values if scale != "smoke" else values[:1]:
                for method in ("biased", "DCL", "BCL"):
                    config = dataclasses.replace(Estimators(estimator=method.lower()), **{name: value})
                    dataset = f"{name} = {value:g}"
                    made.append(_cell(scale, seeds, "estimators", config, dataset, method, metric, "lower"))
        return made

    return make


def _hard_estimator(scale: str, seeds: Sequence[int]) -> list[Cell]:
    made = []
    for beta in ESTIMATOR_BETAS:
        for method, name in {"not debiased": "undebiased", "HCL": "hcl"}.items():
            config = Estimators(estimator=name, beta=beta)
            made.append(
                _cell(scale, seeds, "estimators", config, f"beta = {beta:g}", method, "root_mse_percent", "lower")
            )
    return made


def _limit(metric: str):
    def make(scale: str, seeds: Sequence[int]) -> list[Cell]:
        return [
            _cell(scale, seeds, "limit", Limit(dimensions=dimensions, beta=beta), name, f"HCL beta={beta:g}", metric)
            for dimensions, name in ((2, "circle"), (3, "sphere"))
            for beta in (LIMIT_BETAS if scale != "smoke" else LIMIT_BETAS[::4])
        ]

    return make


SIMCLR, DCL, HCL = Images(), Images(loss="dcl"), Images(loss="hcl", beta=1.0)


def _encoders(*metrics: str):
    def make(scale: str, seeds: Sequence[int]) -> list[Cell]:
        return [
            _cell(scale, seeds, "images", config, "MNIST-5k", method, metric)
            for method, config in {"SimCLR": SIMCLR, "DCL": DCL, "HCL": HCL}.items()
            for metric in metrics
        ]

    return make


def _annealing(scale: str, seeds: Sequence[int]) -> list[Cell]:
    made = [_cell(scale, seeds, "images", DCL, "MNIST-5k", "DCL", KNN, "higher", beta=0.0)]
    for beta in HARD_BETAS if scale != "smoke" else HARD_BETAS[:1]:
        fixed = dataclasses.replace(HCL, beta=beta)
        # With labelled positives the false negatives are as many as before; only the positives become sure.
        kinds = {
            f"HCL beta={beta:g}" if beta != HCL.beta else "HCL": fixed,
            f"HCL beta={beta:g}, annealed": dataclasses.replace(fixed, annealed=True),
            f"HCL beta={beta:g}, true positives": dataclasses.replace(fixed, positives="labels"),
        }
        made += [
            _cell(scale, seeds, "images", config, "MNIST-5k", method, KNN, "higher", beta=beta)
            for method, config in kinds.items()
        ]
    return made


def _mining(scale: str, seeds: Sequence[int]) -> list[Cell]:
    return [
        _cell(scale, seeds, "mining", Mining(miner=miner), "MNIST-5k", miner.replace("_", "-"), metric, "higher")
        for miner in ("easy", "every", "semi_hard", "hard")
        for metric in ("test_recall_at_1_percent", "test_mean_distance")
    ]


def _map(scale: str, seeds: Sequence[int]) -> list[Cell]:
    configs = {
        "4 and 9, similar by pixels": Map(),
        "ten digits, similar by label": Map(digits=tuple(range(10)), neighbours=0),
    }
    metric = "test_nearest_in_the_map_top1_percent"
    return [
        _cell(scale, seeds, "drlim_map", config, name, "DrLIM", metric, "higher") for name, config in configs.items()
    ]


MAKERS = {
    "nce_gradient": _nce_gradient,
    "nce_normaliser": _nce_normaliser,
    "information": _information,
    "estimator_mse": _estimators("mse"),
    "estimator_bias": _estimators("bias_percent"),
    "hard_estimator": _hard_estimator,
    "limit_packing": _limit("share_of_best_packing_percent"),
    "limit_weights": _limit("negative_term_of_the_worst_percent"),
    "alignment": _encoders("test_alignment", "test_uniformity", KNN),
    "similarities": _encoders("test_positive_cosine", "test_negative_cosine", "test_positive_above_negative_percent"),
    "annealing": _annealing,
    "mining": _mining,
    "map": _map,
}
