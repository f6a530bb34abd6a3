"""The studies: each asks whether one claim of a founding paper holds."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from benchmarks.loss_studies.config import Estimators, Images, Information, Limit, Map, Mining, Noise
from contrastbench.runner import CPU_ONLY, Line, On, Paper, Run, Stage, Study

FUNCTIONS = {  # of each stage
    "noise_gradient": "noise.noise_gradient",
    "noise_training": "noise.noise_training",
    "information": "information.information",
    "estimators": "estimators.estimators",
    "limit": "limit.limit",
    "images": "digits.images",
    "mining": "triplets.mining",
    "drlim_map": "triplets.drlim_map",
}
PROTOCOL_VERSIONS = dict.fromkeys(FUNCTIONS, 1)  # a stage's is raised when a change of code changes its results

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


def places(quick: int, paper: int) -> dict[str, list[On]]:
    """Every scale, with its seeds; quick has so many that its rows alone can decide what is claimed."""
    seeds = {"smoke": 1, "quick": quick, "paper": paper}
    return {scale: [On("", smaller, seeds[scale])] for scale, smaller in SMALLER.items()}


def line(on: On, stage: str, config: Any, dataset: str, method: str, better: Any = "none", **settings: Any) -> Line:
    config, version = replace(config, **on.base.get(type(config), {})), PROTOCOL_VERSIONS[stage]
    run = Run("loss_studies", config, 0, on.scale, dataset, method, "as_paper", "clean", version, stage)
    return Line(run, settings, better=better)


def few(on: On, values: Iterable[Any], step: int) -> list[Any]:
    """All of the values, but every ``step``-th at smoke scale."""
    return list(values)[:: step if on.scale == "smoke" else 1]


# ------------------------------------------------------------------------------------------- what each study compares


def nce_gradient(on: On) -> Iterator[Line]:
    for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if on.scale != "smoke" else (1, 20):
        yield line(on, "noise_gradient", Noise(samples=k), "trigram source", f"NCE k={k}", "lower", k=k)


def nce_normaliser(on: On) -> Iterator[Line]:
    better = {"test_perplexity": "lower", "test_mean_absolute_log_z": "lower", "test_mean_log_z": "none"}
    for k in (0, 1, 5, 25, 100) if on.scale != "smoke" else (0, 1):
        method = f"NCE k={k}" if k else "maximum likelihood"
        yield line(on, "noise_training", Noise(samples=k), "trigram source", method, better)


def information(on: On) -> Iterator[Line]:
    grid = [(truth, size, "optimal") for truth in (2.0, 4.0, 6.0, 8.0, 10.0) for size in (4, 16, 64, 256, 1024)]
    sizes = (64, 256) if on.scale == "paper" else (64,)
    grid += [(truth, size, "trained") for truth in (2.0, 6.0, 10.0) for size in sizes]
    for truth, size, critic in grid if on.scale != "smoke" else grid[:2] + grid[-1:]:
        config = Information(truth=truth, size=size, critic=critic)
        method = f"N = {size}" + (", trained critic" if critic == "trained" else "")
        yield line(on, "information", config, f"I = {truth:g} nats", method)


def estimators(on: On) -> Iterator[Line]:
    sweeps = {
        "alpha": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        "tau_plus": (0.01, 0.05, 0.2, 0.3),
        "negatives": (10, 30, 300, 1000),
    }
    for name, values in sweeps.items():
        for value in few(on, values, len(values)):
            for method in ("biased", "DCL", "BCL"):
                config = replace(Estimators(estimator=method.lower()), **{name: value})
                yield line(on, "estimators", config, f"{name} = {value:g}", method, "lower")


def hard_estimator(on: On) -> Iterator[Line]:
    for beta in (0.0, 0.25, 0.5, 1.0, 2.0):
        for method, name in {"not debiased": "undebiased", "HCL": "hcl"}.items():
            config = Estimators(estimator=name, beta=beta)
            yield line(on, "estimators", config, f"beta = {beta:g}", method, "lower")


def limit(on: On) -> Iterator[Line]:
    for dimensions, name in ((2, "circle"), (3, "sphere")):
        for beta in few(on, (0.0, 1.0, 2.0, 5.0, 20.0), 4):
            yield line(on, "limit", Limit(dimensions=dimensions, beta=beta), name, f"HCL beta={beta:g}")


DCL, HCL = Images(loss="dcl"), Images(loss="hcl", beta=1.0)


def encoders(on: On) -> Iterator[Line]:
    for method, config in {"SimCLR": Images(), "DCL": DCL, "HCL": HCL}.items():
        yield line(on, "images", config, "MNIST-5k", method)


def annealing(on: On) -> Iterator[Line]:
    yield line(on, "images", DCL, "MNIST-5k", "DCL", "higher", beta=0.0)
    for beta in few(on, (1.0, 5.0), 2):
        fixed = replace(HCL, beta=beta)
        # With labelled positives the false negatives are as many as before; only the positives become sure.
        kinds = {
            f"HCL beta={beta:g}" if beta != HCL.beta else "HCL": fixed,
            f"HCL beta={beta:g}, annealed": replace(fixed, annealed=True),
            f"HCL beta={beta:g}, true positives": replace(fixed, positives="labels"),
        }
        for method, config in kinds.items():
            yield line(on, "images", config, "MNIST-5k", method, "higher", beta=beta)


def mining(on: On) -> Iterator[Line]:
    for miner in ("easy", "every", "semi_hard", "hard"):
        yield line(on, "mining", Mining(miner=miner), "MNIST-5k", miner.replace("_", "-"), "higher")


def plane(on: On) -> Iterator[Line]:
    yield line(on, "drlim_map", Map(), "4 and 9, similar by pixels", "DrLIM", "higher")
    by_label = Map(digits=tuple(range(10)), neighbours=0)
    yield line(on, "drlim_map", by_label, "ten digits, similar by label", "DrLIM", "higher")


# ------------------------------------------------------------------------------------------------------- the studies

KNN = ("test_knn_top1_percent",)
BIAS, ANGLE = ("bias_percent", "spread_percent"), ("angle_degrees", "mean_angle_of_a_draw_degrees")
NORMALISER = ("test_perplexity", "test_mean_absolute_log_z", "test_mean_log_z")
SIMILARITIES = ("test_positive_cosine", "test_negative_cosine", "test_positive_above_negative_percent")
SUMS, THRICE, TRAINED = places(quick=5, paper=1), places(quick=3, paper=3), places(quick=2, paper=5)
BY_NAME = {"only_by_name": ("quick",)}  # minutes of training that a whole quick run has no time for
METRICS = {"columns": "metric"}

# fmt: off
STUDIES = [
    Study("nce_gradient", "NCE: does its gradient approach maximum likelihood's as k grows?",
          nce_gradient, THRICE, (*BIAS, *ANGLE), **METRICS),
    Study("nce_normaliser",
          "NCE: does a model trained with its normaliser fixed to 1 normalise itself, and how good is it?",
          nce_normaliser, THRICE, NORMALISER, "maximum likelihood", **METRICS),
    Study("information", "InfoNCE: a lower bound on the mutual information that saturates at log N?",
          information, THRICE, ("bound_nats",)),
    Study("estimator_mse", "DCL and BCL: how far from the mean over true negatives (mean squared error)?",
          estimators, SUMS, ("mse",), "biased"),
    Study("estimator_bias", "DCL and BCL: how biased against the mean over true negatives (percent)?",
          estimators, SUMS, ("bias_percent",), "biased"),
    Study("hard_estimator", "HCL: how far from the hard mean over true negatives, over beta?",
          hard_estimator, SUMS, ("root_mse_percent",), "not debiased"),
    Study("limit_packing", "HCL: do classes pack like balls on the sphere as beta grows?",
          limit, THRICE, ("share_of_best_packing_percent",), "HCL beta=0", **BY_NAME),
    Study("limit_weights", "HCL: does the negative term become that of the worst negative as beta grows?",
          limit, THRICE, ("negative_term_of_the_worst_percent",), **BY_NAME),
    Study("alignment", "Alignment and uniformity after training with SimCLR, DCL and HCL",
          encoders, TRAINED, ("test_alignment", "test_uniformity", *KNN), "SimCLR", **METRICS, **BY_NAME),
    Study("similarities", "Do debiasing and hardness part positives from negatives?",
          encoders, TRAINED, SIMILARITIES, "SimCLR", **METRICS, **BY_NAME),
    Study("annealing", "Is harder better? Fixed and annealed beta, and positives that are surely right",
          annealing, TRAINED, KNN, "DCL", **BY_NAME),
    Study("mining", "Triplets: which negatives to mine, and does hard mining collapse?",
          mining, TRAINED, ("test_recall_at_1_percent", "test_mean_distance"), **METRICS, **BY_NAME),
    Study("map", "DrLIM: does the plane keep the digits apart?",
          plane, THRICE, ("test_nearest_in_the_map_top1_percent",)),
]
# fmt: on

PAPER = Paper(
    __package__,
    "What the founding papers claim of their losses, measured",
    STUDIES,
    # Small problems, whose draws, sorts and evaluations stay on the CPU.
    stages={name: Stage(function, CPU_ONLY) for name, function in FUNCTIONS.items()},
    versions=PROTOCOL_VERSIONS,
    figures="figures.FIGURES",
)
