"""The studies of DCL, HCL and BCL on images, as data: which runs fill which cells, at each scale."""

from dataclasses import replace
from typing import Any

from benchmarks.hard_negatives.config import LOSSES, Config
from benchmarks.hard_negatives.prices import expected_seconds
from contrastbench.runner import Line, On, Paper, Run, Stage, Study, only

LINEAR, KNN = "test_linear_top1_percent", "test_knn_top1_percent"
# By loss, or by stage where no loss is trained; raised when a change of code changes its results. Since 2 a row has a
# map of its features.
PROTOCOL_VERSIONS = dict.fromkeys((*LOSSES, "supervised", "raw_pixels_knn"), 2)

# ------------------------------------------------------------- the settings of SimCLR on each data set, at each scale

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
SMOKE = replace(MNIST, epochs=2, batch=64, train_images=256, probe_epochs=2, curve_epochs=(1, 2))
CURVE = (1, 2, 5, 10, 20, 50, 100, 200, 400)  # epochs; those beyond a run's last are not met
CIFAR = Config(dataset="cifar10", curve_epochs=CURVE)
LITE = replace(CIFAR, encoder="resnet18", precision="bf16", epochs=100, probe="logistic", probe_batchnorm="eval")
# What ``lite`` was when the rows of ``early`` were made.
EARLY = replace(LITE, epochs=10, train_images=10_000, curve_epochs=())
# Photographs for a CPU. The setting was fixed before any of its numbers was seen, by its cost alone: twenty trained
# runs in half an hour of a core. Nothing was tuned: rate, views, temperature, beta, tau_plus and alpha are the papers'.
# Batch 64, one of their sweeps' own, gives four times the updates of 256 for the same work. No schedule depends on the
# length: a run's accuracies after 1, 2 and 5 epochs are those of runs so long.
PHOTOGRAPHS = replace(LITE, encoder="small_resnet", precision="float32", train_images=5_000, batch=64, epochs=10)

DIGITS = {"smoke": [On("MNIST-5k", SMOKE, seeds=2)], "quick": [On("MNIST-5k", MNIST)]}
EVERYWHERE = {
    **DIGITS,
    "lite": [On("CIFAR10", LITE), On("CIFAR100", replace(LITE, dataset="cifar100"))],
    "paper": [
        On("CIFAR10", CIFAR),
        On("CIFAR100", replace(CIFAR, dataset="cifar100")),
        On("STL10", replace(CIFAR, dataset="stl10")),
        On("TinyImageNet", replace(CIFAR, dataset="tinyimagenet")),
    ],
}


def on_photographs(base: Config = PHOTOGRAPHS) -> dict[str, list[On]]:
    return {"smoke": DIGITS["smoke"], "lite": [On("CIFAR10", base, seeds=5)]}


# ------------------------------------------------------------------------------------------------------- the methods

HCL_BETA = 1.0  # the paper's best on STL-10
# The class prior: 1 / classes, which is also what the papers use where it is known (section 8 of the README).
TAU_PLUS = {"MNIST-5k": 0.1, "CIFAR10": 0.1, "STL10": 0.1, "CIFAR100": 0.05, "TinyImageNet": 0.01}
# BCL's best printed (alpha, beta) that needs no labels; its README has no MNIST, so there CIFAR-10's are taken.
BAYES = {
    "MNIST-5k": (0.9, 0.9),
    "CIFAR10": (0.9, 0.9),
    "STL10": (0.7, 1.0),
    "CIFAR100": (0.7, 1.0),
    "TinyImageNet": (0.8, 1.0),
}
BCL_TAU_PLUS = 0.1  # the default of BCL's code; its README names no other


def line(
    on: On, method: str, config: Config, *, stage: str = "train", variant: str = "", more: Any = None, **settings: Any
) -> Line:
    """A line that is known by the settings and variant, or by its method; ``more`` are further fields of it."""
    settings |= {"variant": variant} if variant else {}
    digits = on.dataset == "MNIST-5k"
    # The published numbers came from the code. There is none for MNIST: frozen features, as the papers say.
    variant = variant or ("as_paper" if digits else "as_code")
    # The papers chose beta, tau_plus and alpha on test images; for MNIST settings see the README, point 1.
    protocol = "clean" if digits else "published"
    version = PROTOCOL_VERSIONS[config.loss if stage == "train" else stage]
    run = Run("hard_negatives", config, 0, on.scale, on.dataset, method, variant, protocol, version, stage)
    return Line(run, settings or {"method": method}, **(more or {}))


def untrained(base: Config) -> Config:
    return replace(base, epochs=0, curve_epochs=())


def hcl(base: Config, dataset: str, *, beta: float = HCL_BETA) -> Config:
    """HCL on a data set; beta = 0 is DCL and is run as such, so that the tables share the run."""
    return replace(base, loss="hcl" if beta else "dcl", beta=beta, tau_plus=TAU_PLUS[dataset])


def bcl(base: Config, dataset: str) -> Config:
    """BCL with its published location and hardness."""
    alpha, beta = BAYES[dataset]
    config = replace(base, loss="bcl", alpha=alpha, beta=beta, tau_plus=BCL_TAU_PLUS)
    return replace(config, probe_learning_rate=1e-2) if dataset == "STL10" else config


def published_losses(base: Config, dataset: str) -> dict[str, Config]:
    """SimCLR and the three papers' losses, at the settings that they print."""
    return {
        "SimCLR": base,
        "DCL": hcl(base, dataset, beta=0.0),
        "HCL": hcl(base, dataset),
        "BCL": bcl(base, dataset),
    }


def simclr_and_hcl(base: Config, dataset: str) -> dict[str, Config]:
    return {"SimCLR": base, "HCL": hcl(base, dataset)}


# ------------------------------------------------------------------------------------------- what each study compares


def raw_pixels(on: On) -> Line:
    """What has neither an encoder nor anything random."""
    more = {"metrics": [KNN], "seeds": 1, "deterministic": True}
    return line(on, "raw pixels (kNN)", untrained(on.base), stage="raw_pixels_knn", more=more)


def losses_and_floors(on: On) -> list[Line]:
    configs = {"untrained": untrained(on.base), **published_losses(on.base, on.dataset)}
    return [raw_pixels(on), *(line(on, method, config) for method, config in configs.items())]


def main(on: On) -> list[Line]:
    lines = losses_and_floors(on)
    if on.scale != "quick":
        lines.append(line(on, "supervised", replace(on.base, curve_epochs=()), stage="supervised"))
    return lines


def two_losses(on: On) -> list[Line]:
    """The two methods whose difference is hardness and debiasing together."""
    return [line(on, method, config) for method, config in simclr_and_hcl(on.base, on.dataset).items()]


def hardness(on: On) -> list[Line]:
    betas = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
    if on.dataset == "STL10":
        betas = (*betas, 6.0)  # 6 is printed, 0.25 and 5 are ours
    return [line(on, f"HCL beta={beta:g}", hcl(on.base, on.dataset, beta=beta), beta=beta) for beta in betas]


def length(on: On) -> list[Line]:
    return [
        line(on, f"{method} epochs={epochs}", replace(config, epochs=epochs), epochs=epochs)
        for epochs in (on.base.epochs, 4 * on.base.epochs)
        for method, config in published_losses(on.base, on.dataset).items()
    ]


def early(on: On) -> list[Line]:
    """All losses and betas at the base's epochs; all losses and two betas, with one seed, at ten times as many."""
    lines = [raw_pixels(on), line(on, "untrained", untrained(on.base), epochs=0)]
    for times, betas, seeds in ((1, (0.25, 0.5, 1.0, 2.0, 5.0), None), (10, (0.5, 1.0), 1)):
        base, more = replace(on.base, epochs=times * on.base.epochs), {"seeds": seeds}
        epochs = base.epochs
        for method, config in published_losses(base, on.dataset).items():
            if method != "HCL":
                lines.append(line(on, f"{method} epochs={epochs}", config, more=more, epochs=epochs))
        for beta in betas:
            config, name = hcl(base, on.dataset, beta=beta), f"HCL beta={beta:g} epochs={epochs}"
            lines.append(line(on, name, config, more=more, beta=beta, epochs=epochs))
    return lines


def tau_plus(on: On) -> list[Line]:
    lines = [line(on, "SimCLR", on.base, tau_plus=0.0)]
    for value in (0.01, 0.05, 0.1, 0.2):
        for method, beta in (("DCL", 0.0), ("HCL", HCL_BETA)):
            config = replace(hcl(on.base, on.dataset, beta=beta), tau_plus=value)
            lines.append(line(on, f"{method} tau_plus={value:g}", config, tau_plus=value))
    return lines


def batch(on: On) -> list[Line]:
    """BCL's table; of HCL it has on STL-10 the number that HCL's README has for beta = 0.5."""
    configs = published_losses(on.base, on.dataset)
    configs["HCL"] = hcl(on.base, on.dataset, beta=0.5 if on.dataset == "STL10" else HCL_BETA)
    sizes = (64, 128, 256, 512) if on.dataset == "MNIST-5k" else (16, 32, 64, 128, 256, 512)
    return [
        line(on, f"{method} B={size}", replace(config, batch=size), B=size)
        for method, config in configs.items()
        for size in sizes
        if size <= (on.base.train_images or size)
    ]


def temperature(on: On) -> list[Line]:
    return [
        line(on, f"{method} t={value:g}", replace(config, temperature=value), t=value)
        for method, config in simclr_and_hcl(on.base, on.dataset).items()
        for value in (0.1, 0.2, 0.3, 0.5, 1.0)
    ]


def annealing(on: On) -> list[Line]:
    lines = []
    for beta in (1.0, 2.0, 5.0):
        fixed = hcl(on.base, on.dataset, beta=beta)
        lines.append(line(on, f"HCL beta={beta:g}", fixed, beta=beta, anneal="none"))
        for anneal in ("as_code", "as_paper"):
            method = f"HCL beta={beta:g}, annealed {anneal.replace('_', ' ')}"
            lines.append(line(on, method, replace(fixed, anneal=anneal), beta=beta, anneal=anneal))
    return lines


def positives(on: On) -> list[Line]:
    lines = []
    for method, config in published_losses(on.base, on.dataset).items():
        lines.append(line(on, method, config, positives="views"))
        by_label = replace(config, positives="labels")
        lines.append(line(on, f"{method}, positives by label", by_label, positives="labels"))
    return lines


def alpha(on: On) -> list[Line]:
    """The published values and, where few are, more. Each data set's own published one is the baseline."""
    published = bcl(on.base, on.dataset)
    values = {"STL10": (0.7, 0.75, 0.8, 0.85), "TinyImageNet": (0.8, 0.85)}.get(on.dataset, (0.6, 0.7, 0.8, 0.9))
    linear, labels = (replace(published, alpha_from=source) for source in ("linear", "labels"))
    configs = {f"{value:g}": (replace(published, alpha=value), value) for value in values}
    configs[f"0.501 to {published.alpha:g}"] = linear, "linear"
    configs["estimated with labels"] = labels, "estimated with labels"
    more = {"baseline": f"BCL alpha={published.alpha:g}"}
    return [line(on, f"BCL alpha={name}", config, more=more, alpha=value) for name, (config, value) in configs.items()]


def many_positives(on: On) -> list[Line]:
    debiased = hcl(on.base, on.dataset, beta=0.0)
    return [line(on, f"DCL M={m}", replace(debiased, positive_samples=m), M=m) for m in (1, 2, 4, 8)]


def queue(on: On) -> list[Line]:
    """MoCo-v2's own are 65,536 keys of 1.3 million images and t = 0.2; MoCHi's 1,024, 1,024 and 128 of 16,384 keys."""
    keys, mochi = (1024, (64, 64, 8)) if on.dataset == "MNIST-5k" else (4096, (256, 256, 32))
    if 0 < on.base.train_images < keys:
        keys, mochi = on.base.train_images // 2, (16, 16, 4)
    moco = replace(on.base, queue=keys, temperature=0.2)
    lines = [line(on, "MoCo-v2", moco, loss="nt_xent")]
    for beta in (0.5, 1.0):
        hard = hcl(moco, on.dataset, beta=beta)
        lines.append(line(on, f"MoCo-v2 + hard negatives, beta={beta:g}", hard, beta=beta))
    return [*lines, line(on, "MoCHi", replace(moco, mochi=mochi), loss="mochi")]


def variants(on: On) -> list[Line]:
    """As the code does it, and as the papers describe it: the encoder frozen altogether, the data's own statistics,
    one image size."""
    base = replace(on.base, probe="adam", probe_batchnorm="train")
    lines = []
    for method, config in simclr_and_hcl(base, on.dataset).items():
        described = replace(config, probe_batchnorm="eval", statistics="own", evaluation_size=config.view_size)
        for variant, settled in (("as_paper", described), ("as_code", config)):
            lines.append(line(on, method, settled, variant=variant))
    return lines


def copy(on: On) -> list[Line]:
    encoded = replace(on.base, dataset=f"{on.base.dataset}_reencoded")
    return [
        line(on, f"{method}{suffix}", config, data=base.dataset)
        for base, suffix in ((on.base, ""), (encoded, ", encoded once more"))
        for method, config in simclr_and_hcl(base, on.dataset).items()
    ]


# ------------------------------------------------------------------------------------------------------- the studies

BOTH = (LINEAR, KNN)
BY_NAME = {"only_by_name": ("quick",)}  # half an hour of two cores that a whole quick run has no time for
SMALL_IMAGES, TEN_CLASSES = ("MNIST-5k", "CIFAR10", "CIFAR100"), ("MNIST-5k", "CIFAR10", "STL10")

# fmt: off
STUDIES = [
    Study("main", "Do debiased, hard and Bayesian negatives beat SimCLR's, the untrained encoder and the pixels?",
          main, only(EVERYWHERE, seeds={"quick": 5}), BOTH, "SimCLR"),
    Study("beta", "How hard should negatives be? HCL from beta = 0 (which is DCL) to 5 (6 on STL10)",
          hardness, only(EVERYWHERE, seeds={"quick": 5}), BOTH, "HCL beta=0"),
    Study("length", "How long does the gain last? Training four times as long",  # the papers' 400 are in main's curves
          length, only(EVERYWHERE, at=("smoke", "lite"), seeds={"lite": 1}), BOTH, "SimCLR epochs=400"),
    Study("tau_plus", "How many of the negatives should be taken for false ones?",
          tau_plus, only(EVERYWHERE, *TEN_CLASSES), BOTH, "SimCLR", **BY_NAME),
    Study("negatives", "How many negatives does each loss need? Batches of 16 to 512",
          batch, only(EVERYWHERE, *TEN_CLASSES), BOTH, "SimCLR B=256", **BY_NAME),
    Study("temperature", "Is a lower temperature as good as hard negatives?",
          temperature, only(EVERYWHERE, *SMALL_IMAGES), BOTH, "SimCLR t=0.5", **BY_NAME),
    Study("annealing", "Should beta fall to 0 during training, as the code does it and as the paper says?",
          annealing, only(EVERYWHERE, "MNIST-5k", "CIFAR100", "STL10"), BOTH, "HCL beta=1", **BY_NAME),
    Study("positives", "What if positives were chosen by their label? (not self-supervised; the paper's oracle)",
          positives, only(EVERYWHERE, "MNIST-5k", "CIFAR100"), BOTH, "SimCLR", **BY_NAME),
    Study("alpha", "BCL's alpha: fixed, rising, or estimated with labels (not self-supervised)",
          alpha, EVERYWHERE, BOTH, **BY_NAME),
    Study("many_positives", "Does DCL gain by more views of each item (its M)?",
          many_positives, only(EVERYWHERE, *TEN_CLASSES), BOTH, "DCL M=1", **BY_NAME),
    Study("queue",
          "Do hard negatives help where negatives come from a queue? MoCo-v2, with HCL's loss, and MoCHi as rival",
          queue, only(EVERYWHERE, *SMALL_IMAGES), BOTH, "MoCo-v2", **BY_NAME),
    Study("variants",  # not at lite, whose frozen encoder is frozen
          "Does it matter that the code's frozen encoder is not frozen, and that every set is taken for CIFAR-10?",
          variants, only(EVERYWHERE, *TEN_CLASSES, at=("smoke", "paper")), BOTH, "SimCLR"),
    Study("copy", "What does a JPEG copy of the data cost? The same pictures, and each encoded once more",
          copy, only(EVERYWHERE, *SMALL_IMAGES, at=("smoke", "lite", "paper")), BOTH, "SimCLR"),
    Study("early", "What is left of the gain after ten times as many epochs? 10,000 images of CIFAR-10, one H100",
          early, {"smoke": [On("MNIST-5k", replace(SMOKE, epochs=1, curve_epochs=()), 2)],
                  "lite": [On("CIFAR10", EARLY)]}, BOTH, "SimCLR epochs=10"),
    Study("photographs",
          "Do they differ on photographs? 5,000 images of CIFAR-10, a small encoder on a CPU, ten epochs",
          losses_and_floors, on_photographs(), BOTH, "SimCLR"),
    # Fixed before any run, like PHOTOGRAPHS: as many epochs as an afternoon of two cores has room for.
    Study("photographs_long", "Does hardness's gain last on photographs? The runs of photographs, five times as long",
          two_losses, on_photographs(replace(PHOTOGRAPHS, epochs=50)), BOTH, "SimCLR"),
    Study("photographs_beta", "How hard should negatives be on photographs? The setting of photographs over beta",
          hardness, on_photographs(), BOTH, "HCL beta=0"),
    Study("photographs_copy",
          "What does a JPEG copy cost? The setting of photographs, and each picture encoded once more",
          copy, on_photographs(), BOTH, "SimCLR"),
    Study("photographs_temperature", "Is a lower temperature as good as hard negatives? The setting of photographs",
          temperature, on_photographs(), BOTH, "SimCLR t=0.5"),
]
# fmt: on

PAPER = Paper(
    __package__,
    "Contrastive learning with hard negatives on images: SimCLR, DCL, HCL, BCL",
    STUDIES,
    stages={
        "train": Stage("train.train"),
        "supervised": Stage("train.supervised"),
        "raw_pixels_knn": Stage("train.raw_pixels_knn"),
    },
    versions=PROTOCOL_VERSIONS,
    figures="figures.FIGURES",
    expected_seconds=expected_seconds,
)
