"""What each table compares: its methods, their configs, and the settings that a table and a figure name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from benchmarks.hard_negatives.config import Config

BETAS = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
PUBLISHED_BETAS = {"STL10": (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 6.0)}  # 6 is printed, 0.25 and 5 are ours
EARLY_BETAS, EARLY_BETAS_LATER = (0.25, 0.5, 1.0, 2.0, 5.0), (0.5, 1.0)
TAU_PLUSES = (0.01, 0.05, 0.1, 0.2)
BATCHES = (16, 32, 64, 128, 256, 512)
DIGIT_BATCHES = (64, 128, 256, 512)
TEMPERATURES = (0.1, 0.2, 0.3, 0.5, 1.0)
ANNEALED_BETAS = (1.0, 2.0, 5.0)
SAMPLES = (1, 2, 4, 8)  # DCL's M
ALPHAS = {  # the published ones, and where few are, more
    "CIFAR10": (0.6, 0.7, 0.8, 0.9),
    "CIFAR100": (0.6, 0.7, 0.8, 0.9),
    "STL10": (0.7, 0.75, 0.8, 0.85),
    "TinyImageNet": (0.8, 0.85),
}
# MoCo-v2's own are 65,536 keys of 1.3 million images and t = 0.2; MoCHi's 1,024, 1,024 and 128 of 16,384 keys.
QUEUE, QUEUE_TEMPERATURE = 4096, 0.2
MOCHI = (256, 256, 32)
DIGIT_QUEUE, DIGIT_MOCHI = 1024, (64, 64, 8)  # of 3,000 digits
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
LONG = ("SimCLR", "HCL")
HCL_BETA = 1.0  # the paper's best on STL-10


def compared(base: Config, dataset: str) -> dict[str, Config]:
    """SimCLR and the three papers' losses, at the settings that they print."""
    return {
        "SimCLR": base,
        "DCL": hcl(base, dataset, beta=0.0),
        "HCL": hcl(base, dataset, beta=HCL_BETA),
        "BCL": bcl(base, dataset),
    }


def hcl(base: Config, dataset: str, *, beta: float) -> Config:
    """HCL on a data set; beta = 0 is DCL and is run as such, so that the tables share the run."""
    loss = "hcl" if beta else "dcl"
    return dataclasses.replace(base, loss=loss, beta=beta, tau_plus=TAU_PLUS[dataset])


def untrained(base: Config) -> Config:
    return dataclasses.replace(base, epochs=0, curve_epochs=())


def bcl(base: Config, dataset: str) -> Config:
    """BCL with its published location and hardness."""
    alpha, beta = BAYES[dataset]
    config = dataclasses.replace(base, loss="bcl", alpha=alpha, beta=beta, tau_plus=BCL_TAU_PLUS)
    return dataclasses.replace(config, probe_learning_rate=1e-2) if dataset == "STL10" else config


Swept = list[tuple[str, Config, dict[str, object]]]  # method, config, settings


def beta(base: Config, dataset: str) -> Swept:
    betas = PUBLISHED_BETAS.get(dataset, BETAS)
    return [(f"HCL beta={beta:g}", hcl(base, dataset, beta=beta), {"beta": beta}) for beta in betas]


def length(base: Config, dataset: str) -> Swept:
    lengths = (base.epochs, 4 * base.epochs)
    return [
        (f"{method} epochs={epochs}", dataclasses.replace(config, epochs=epochs), {"epochs": epochs})
        for epochs in lengths
        for method, config in compared(base, dataset).items()
    ]


def long(base: Config, dataset: str) -> Swept:
    """The two methods whose difference is hardness and debiasing together."""
    both = {method: config for method, config in compared(base, dataset).items() if method in LONG}
    return [(method, config, {"method": method}) for method, config in both.items()]


def early(base: Config, dataset: str) -> Swept:
    """``compared`` and HCL's betas at the base's epochs, ``compared`` and the one beta below at ten times as many."""
    made: Swept = []
    for epochs, betas in ((base.epochs, EARLY_BETAS), (10 * base.epochs, EARLY_BETAS_LATER)):
        at = dataclasses.replace(base, epochs=epochs)
        for method, config in compared(at, dataset).items():
            if method != "HCL":
                made.append((f"{method} epochs={epochs}", config, {"epochs": epochs}))
        for beta in betas:
            said = f"HCL beta={beta:g} epochs={epochs}"
            made.append((said, hcl(at, dataset, beta=beta), {"beta": beta, "epochs": epochs}))
    return made


def tau_plus(base: Config, dataset: str) -> Swept:
    made: Swept = [("SimCLR", base, {"tau_plus": 0.0})]
    for tau_plus in TAU_PLUSES:
        for method, beta in (("DCL", 0.0), ("HCL", HCL_BETA)):
            config = dataclasses.replace(hcl(base, dataset, beta=beta), tau_plus=tau_plus)
            made.append((f"{method} tau_plus={tau_plus:g}", config, {"tau_plus": tau_plus}))
    return made


def negatives(base: Config, dataset: str) -> Swept:
    """BCL's table; of HCL it has on STL-10 the number that HCL's README has for beta = 0.5."""
    losses = compared(base, dataset) | {"HCL": hcl(base, dataset, beta=0.5 if dataset == "STL10" else HCL_BETA)}
    batches = DIGIT_BATCHES if dataset == "MNIST-5k" else BATCHES
    fitting = [batch for batch in batches if not base.train_images or batch <= base.train_images]
    return [
        (f"{method} B={batch}", dataclasses.replace(config, batch=batch), {"B": batch})
        for method, config in losses.items()
        for batch in fitting
    ]


def temperature(base: Config, dataset: str) -> Swept:
    losses = {"SimCLR": base, "HCL": hcl(base, dataset, beta=HCL_BETA)}
    return [
        (f"{method} t={t:g}", dataclasses.replace(config, temperature=t), {"t": t})
        for method, config in losses.items()
        for t in TEMPERATURES
    ]


def annealing(base: Config, dataset: str) -> Swept:
    made: Swept = []
    for beta in ANNEALED_BETAS:
        fixed = hcl(base, dataset, beta=beta)
        made.append((f"HCL beta={beta:g}", fixed, {"beta": beta, "anneal": "none"}))
        for anneal in ("as_code", "as_paper"):
            said = f"HCL beta={beta:g}, annealed {anneal.replace('_', ' ')}"
            made.append((said, dataclasses.replace(fixed, anneal=anneal), {"beta": beta, "anneal": anneal}))
    return made


def positives(base: Config, dataset: str) -> Swept:
    made: Swept = []
    for method, config in compared(base, dataset).items():
        by_label = dataclasses.replace(config, positives="labels")
        made += [(method, config, {"positives": "views"})]
        made += [(f"{method}, positives by label", by_label, {"positives": "labels"})]
    return made


def alpha(base: Config, dataset: str) -> Swept:
    published = bcl(base, dataset)
    made: Swept = [
        (f"BCL alpha={alpha:g}", dataclasses.replace(published, alpha=alpha), {"alpha": alpha})
        for alpha in ALPHAS.get(dataset, ALPHAS["CIFAR10"])
    ]
    linear, labels = (dataclasses.replace(published, alpha_from=name) for name in ("linear", "labels"))
    made.append((f"BCL alpha=0.501 to {published.alpha:g}", linear, {"alpha": "linear"}))
    made.append(("BCL alpha=estimated with labels", labels, {"alpha": "estimated with labels"}))
    return made


def many_positives(base: Config, dataset: str) -> Swept:
    debiased = hcl(base, dataset, beta=0.0)
    return [
        (f"DCL M={count}", dataclasses.replace(debiased, positive_samples=count), {"M": count}) for count in SAMPLES
    ]


def queue(base: Config, dataset: str) -> Swept:
    keys, mochi = (DIGIT_QUEUE, DIGIT_MOCHI) if dataset == "MNIST-5k" else (QUEUE, MOCHI)
    if 0 < base.train_images < keys:
        keys, mochi = base.train_images // 2, (16, 16, 4)
    moco = dataclasses.replace(base, queue=keys, temperature=QUEUE_TEMPERATURE)
    made: Swept = [("MoCo-v2", moco, {"loss": "nt_xent"})]
    for beta in (0.5, 1.0):
        made.append((f"MoCo-v2 + hard negatives, beta={beta:g}", hcl(moco, dataset, beta=beta), {"beta": beta}))
    made.append(("MoCHi", dataclasses.replace(moco, mochi=mochi), {"loss": "mochi"}))
    return made


def copy(base: Config, dataset: str) -> Swept:
    copied = dataclasses.replace(base, dataset=f"{base.dataset}_reencoded")
    return [
        (f"{method}{said}", config, {"data": data.dataset})
        for data, said in ((base, ""), (copied, ", encoded once more"))
        for method, config in (("SimCLR", data), ("HCL", hcl(data, dataset, beta=HCL_BETA)))
    ]


SWEEPS: dict[str, Callable[[Config, str], Swept]] = {
    "beta": beta,
    "length": length,
    "long": long,
    "tau_plus": tau_plus,
    "negatives": negatives,
    "temperature": temperature,
    "annealing": annealing,
    "positives": positives,
    "alpha": alpha,
    "many_positives": many_positives,
    "queue": queue,
    "copy": copy,
}
