"""The tables of DCL, HCL and BCL on images, as data: which runs fill which cells, at each scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from benchmarks.hard_negatives.config import LOSSES, Config
from benchmarks.hard_negatives.prices import expected_seconds
from benchmarks.hard_negatives.sweeps import BAYES, HCL_BETA, SWEEPS, compared, early, hcl, untrained
from contrastbench.runner import Cell, Run, Table, seeded

__all__ = ["PROTOCOL_VERSIONS", "TABLES", "TITLE", "cells", "expected_seconds"]  # what the suite reads
PAPER = "hard_negatives"
TITLE = "Contrastive learning with hard negatives on images: SimCLR, DCL, HCL, BCL"
# By loss, or by stage where no loss is trained; raised when a change of code changes its results. Since 2 a row has a
# map of its features.
PROTOCOL_VERSIONS = dict.fromkeys((*LOSSES, "supervised", "raw_pixels_knn"), 2)

BY_NAME = {"only_by_name": ("quick",)}  # half an hour of two cores that a whole quick run has no time for
TABLES = {
    "main": Table(
        title="Do debiased, hard and Bayesian negatives beat SimCLR's, the untrained encoder and the pixels?",
        baseline="SimCLR",
    ),
    "beta": Table(
        title="How hard should negatives be? HCL from beta = 0 (which is DCL) to 5 (6 on STL10)",
        baseline="HCL beta=0",
    ),
    "length": Table(title="How long does the gain last? Training four times as long", baseline="SimCLR epochs=400"),
    "tau_plus": Table(title="How many of the negatives should be taken for false ones?", baseline="SimCLR", **BY_NAME),
    "negatives": Table(
        title="How many negatives does each loss need? Batches of 16 to 512", baseline="SimCLR B=256", **BY_NAME
    ),
    "temperature": Table(title="Is a lower temperature as good as hard negatives?", baseline="SimCLR t=0.5", **BY_NAME),
    "annealing": Table(
        title="Should beta fall to 0 during training, as the code does it and as the paper says?",
        baseline="HCL beta=1",
        **BY_NAME,
    ),
    "positives": Table(
        title="What if positives were chosen by their label? (not self-supervised; the paper's oracle)",
        baseline="SimCLR",
        **BY_NAME,
    ),
    "alpha": Table(
        title="BCL's alpha: fixed, rising, or estimated with labels (not self-supervised)",
        **BY_NAME,
    ),
    "many_positives": Table(title="Does DCL gain by more views of each item (its M)?", baseline="DCL M=1", **BY_NAME),
    "queue": Table(
        title="Do hard negatives help where negatives come from a queue? MoCo-v2, with HCL's loss, and MoCHi as rival",
        baseline="MoCo-v2",
        **BY_NAME,
    ),
    "variants": Table(
        title="Does it matter that the code's frozen encoder is not frozen, and that every set is taken for CIFAR-10?",
        baseline="SimCLR",
    ),
    "copy": Table(
        title="What does a JPEG copy of the data cost? The same pictures, and each encoded once more",
        baseline="SimCLR",
    ),
    "early": Table(
        title="What is left of the gain after ten times as many epochs? 10,000 images of CIFAR-10, one H100",
        baseline="SimCLR epochs=10",
    ),
    "photographs": Table(
        title="Do they differ on photographs? 5,000 images of CIFAR-10, a small encoder on a CPU, ten epochs",
        baseline="SimCLR",
    ),
    "photographs_long": Table(
        title="Does hardness's gain last on photographs? The runs of photographs, five times as long", baseline="SimCLR"
    ),
    "photographs_beta": Table(
        title="How hard should negatives be on photographs? The setting of photographs over beta",
        baseline="HCL beta=0",
    ),
    "photographs_copy": Table(
        title="What does a JPEG copy cost? The setting of photographs, and each picture encoded once more",
        baseline="SimCLR",
    ),
    "photographs_temperature": Table(
        title="Is a lower temperature as good as hard negatives? The setting of photographs", baseline="SimCLR t=0.5"
    ),
}
LINEAR, KNN = "test_linear_top1_percent", "test_knn_top1_percent"

# Scale -> the data sets' names for people -> the settings of SimCLR there; every other run changes a few of them.
MNIST = Config(
    dataset="mnist5k",
    encoder="small_resnet",
    augmentation="digits",
    view_size=28,
    statistics="own",
    knn_neighbours=20,  # of 3,000: a bank seventeen times smaller than the papers' has no 200 near neighbours
    probe="logistic",
    probe_batchnorm="eval",
    learning_rate=3e-3,  # SimCLR's best on held-out training digits, see the README
    epochs=8,
)
CURVE = (1, 2, 5, 10, 20, 50, 100, 200, 400)  # epochs; those beyond a run's last are not met
CIFAR = Config(dataset="cifar10", curve_epochs=CURVE)
LITE = dataclasses.replace(
    CIFAR, encoder="resnet18", precision="bf16", epochs=100, probe="logistic", probe_batchnorm="eval"
)
# What ``lite`` was when the rows of ``early`` were made.
EARLY = dataclasses.replace(LITE, epochs=10, train_images=10_000, curve_epochs=())
# A study of photographs for a CPU, in several tables. It was fixed before any of its numbers was seen, by its cost
# alone: twenty trained runs in half an hour of a core. Nothing was tuned: rate, views, temperature, beta, tau_plus and
# alpha are the papers'. Batch 64, one of their sweeps' own, gives four times the updates of 256 for the same work. No
# schedule depends on the length: a run's accuracies after 1, 2 and 5 epochs are those of runs so long.
PHOTOGRAPHS = dataclasses.replace(
    LITE, encoder="small_resnet", precision="float32", train_images=5_000, batch=64, epochs=10
)
STUDY = {
    "photographs": PHOTOGRAPHS,
    # Fixed likewise before any run: as many epochs as an afternoon of two cores has room for.
    "photographs_long": dataclasses.replace(PHOTOGRAPHS, epochs=50),
    "photographs_beta": PHOTOGRAPHS,
    "photographs_copy": PHOTOGRAPHS,
    "photographs_temperature": PHOTOGRAPHS,
}
SMOKE = dataclasses.replace(MNIST, epochs=2, batch=64, train_images=256, probe_epochs=2, curve_epochs=(1, 2))
DATA_SETS: dict[str, dict[str, Config]] = {
    "smoke": {"MNIST-5k": SMOKE},
    "quick": {"MNIST-5k": MNIST},
    "lite": {"CIFAR10": LITE, "CIFAR100": dataclasses.replace(LITE, dataset="cifar100")},
    "paper": {
        "CIFAR10": CIFAR,
        "CIFAR100": dataclasses.replace(CIFAR, dataset="cifar100"),
        "STL10": dataclasses.replace(CIFAR, dataset="stl10"),
        "TinyImageNet": dataclasses.replace(CIFAR, dataset="tinyimagenet"),
    },
}
# The data sets that a table asks; all of the scale's where it is not named.
ASKED: dict[str, tuple[str, ...]] = {
    "length": ("CIFAR10", "CIFAR100"),
    "tau_plus": ("CIFAR10", "STL10"),
    "negatives": ("CIFAR10", "STL10"),
    "temperature": ("CIFAR10", "CIFAR100"),
    "annealing": ("CIFAR100", "STL10"),
    "positives": ("CIFAR100",),
    "many_positives": ("CIFAR10", "STL10"),
    "queue": ("CIFAR10", "CIFAR100"),
    "variants": ("CIFAR10", "STL10"),
    "copy": ("CIFAR10", "CIFAR100"),
    "early": ("CIFAR10",),
    **dict.fromkeys(STUDY, ("CIFAR10",)),
}
# What a table has in place of its scale's settings.
OWN_SETTINGS = {("early", "lite"): EARLY} | {(table, "lite"): config for table, config in STUDY.items()}
# The scales of a table; all of them where it is not named.
ASKED_AT = {
    "length": ("smoke", "lite"),  # 1,600 epochs are beyond the papers; their 400 are in the curves of main
    "variants": ("smoke", "paper"),  # the frozen encoder of the lite protocol is frozen
    "copy": ("smoke", "lite", "paper"),
    "early": ("smoke", "lite"),
    **dict.fromkeys(STUDY, ("smoke", "lite")),
}
SEEDS: dict[str, Sequence[int]] = {"smoke": range(2), "quick": range(3), "lite": range(3), "paper": range(3)}
OTHER_SEEDS: dict[tuple[str, str], Sequence[int]] = {
    ("main", "quick"): range(5),
    ("length", "lite"): range(1),
    **{(table, "lite"): range(5) for table in STUDY},
}


def cells(table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
    """The table's cells at a scale; ``seeds`` replaces the scale's own."""
    if scale not in ASKED_AT.get(table, tuple(DATA_SETS)):
        return []
    chosen = seeds if seeds is not None else OTHER_SEEDS.get((table, scale), SEEDS[scale])
    make = MADE_BY.get(table, _swept)
    asked = [name for name in DATA_SETS[scale] if name == "MNIST-5k" or name in ASKED.get(table, (name,))]
    return [cell for name in asked for cell in make(table, name, scale, chosen)]


def _swept(table: str, dataset: str, scale: str, seeds: Sequence[int]) -> list[Cell]:
    """The cells of a table that compares configs and nothing else. ``photographs_beta`` does as ``beta`` does."""
    made: list[Cell] = []
    base = OWN_SETTINGS.get((table, scale), DATA_SETS[scale][dataset])
    baseline = f"BCL alpha={BAYES[dataset][0]:g}" if table == "alpha" else ""  # the published one of the data set
    for method, config, settings in SWEEPS[table.removeprefix("photographs_")](base, dataset):
        made += _cells(_run(dataset, scale, method, config), seeds, settings, baseline)
    return made


def _main(table: str, dataset: str, scale: str, seeds: Sequence[int]) -> list[Cell]:
    base = OWN_SETTINGS.get((table, scale), DATA_SETS[scale][dataset])
    made = _pixels(dataset, scale, base, seeds)
    for method, config in {"untrained": untrained(base), **compared(base, dataset)}.items():
        made += _cells(_run(dataset, scale, method, config), seeds, {"method": method})
    if table == "main" and scale != "quick":
        upper = dataclasses.replace(base, curve_epochs=())
        made += _cells(_run(dataset, scale, "supervised", upper, stage="supervised"), seeds, {"method": "supervised"})
    return made


def _early(table: str, dataset: str, scale: str, seeds: Sequence[int]) -> list[Cell]:
    """Ten epochs with the scale's seeds and, of the first, a hundred. All betas at ten, two of them at a hundred."""
    shortened = dataclasses.replace(DATA_SETS[scale][dataset], epochs=1, curve_epochs=())
    base = OWN_SETTINGS.get((table, scale), shortened)
    made = _pixels(dataset, scale, base, seeds)
    made += _cells(_run(dataset, scale, "untrained", untrained(base)), seeds, {"epochs": 0})
    for method, config, settings in early(base, dataset):
        chosen = seeds if config.epochs == base.epochs else seeds[:1]
        made += _cells(_run(dataset, scale, method, config), chosen, settings)
    return made


def _variants(table: str, dataset: str, scale: str, seeds: Sequence[int]) -> list[Cell]:
    base = dataclasses.replace(DATA_SETS[scale][dataset], probe="adam", probe_batchnorm="train")
    made = []
    for method, config in {"SimCLR": base, "HCL": hcl(base, dataset, beta=HCL_BETA)}.items():
        for variant, settled in (("as_paper", as_paper(config)), ("as_code", config)):
            made += _cells(_run(dataset, scale, method, settled, variant=variant), seeds, {"variant": variant})
    return made


def as_paper(config: Config) -> Config:
    """What the papers describe: the encoder frozen altogether, the data's own statistics, one image size."""
    return dataclasses.replace(config, probe_batchnorm="eval", statistics="own", evaluation_size=config.view_size)


def _pixels(dataset: str, scale: str, base: Config, seeds: Sequence[int]) -> list[Cell]:
    """The one cell of what has neither an encoder nor anything random."""
    run = _run(dataset, scale, "raw pixels (kNN)", untrained(base), stage="raw_pixels_knn")
    return [Cell(dataset, run.method, KNN, seeded(run, seeds[:1]), {"method": run.method}, deterministic=True)]


# What makes a table's cells; ``_swept`` where it is not named.
MADE_BY = {"main": _main, "photographs": _main, "variants": _variants, "early": _early}


def _run(
    dataset: str, scale: str, method: str, config: Config, *, stage: str = "train", variant: str | None = None
) -> Run:
    embedded = dataset == "MNIST-5k"
    return Run(
        PAPER,
        config,
        seed=0,
        scale=scale,
        dataset=dataset,
        method=method,
        # The published numbers came from the code. There is none for MNIST: frozen features, as the papers say.
        variant=variant or ("as_paper" if embedded else "as_code"),
        # The papers chose beta, tau_plus and alpha on test images; for MNIST settings see the README, point 1.
        protocol="clean" if embedded else "published",
        protocol_version=PROTOCOL_VERSIONS[config.loss if stage == "train" else stage],
        stage=stage,
    )


def _cells(run: Run, seeds: Sequence[int], settings: dict[str, object], baseline: str = "") -> list[Cell]:
    runs = seeded(run, seeds)
    return [Cell(run.dataset, run.method, name, runs, settings, baseline=baseline) for name in (LINEAR, KNN)]
