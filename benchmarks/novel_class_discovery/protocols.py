"""The settings of every stage on each data set at each scale, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.novel_class_discovery.config import Cluster, Discover, Estimate, Pretrain, Supervise, Uno


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
    hard_from: int = 3  # hard negatives start in this epoch at the latest; earlier where there are few epochs

    @property
    def published_k(self) -> int:
        return int(self.discover.queue / self.novel / 2)

    @property
    def task(self) -> dict[str, Any]:
        """The settings that the stages share."""
        names = ("dataset", "known", "novel", "encoder", "precision")
        return {name: getattr(self.supervise, name) for name in names}


def made_protocol(
    task: dict[str, Any], novel: int, ks: tuple[int, ...], *, shortened: bool = False, **stages: dict[str, Any]
) -> Protocol:
    """A protocol of the papers' settings, but for those given.

    Args:
        task: the settings that all stages share.
        shortened: a few epochs on a CPU: hard negatives start in the second one, and no published number is judged.
        stages: what each stage changes; without ``pretrain`` stage 2 starts from nothing.
    """

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
        **({"label": "clean", "hard_from": 1} if shortened else {}),
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
QUICK = made_protocol(
    DIGITS,
    shortened=True,
    novel=5,
    ks=(5, 15, 50, 150, 300),
    pretrain={"epochs": 3, "batch": 64, "drops": (1, 2)},
    supervise={"epochs": 5, "batch": 64, "drop_every": 2},
    discover=DIGITS_DISCOVER,
    uno=DIGITS_UNO,
    estimate={"most": 10, "images_per_class": 100, "silhouette_images": 1000, "starts": 3},
    pixels={"starts": 4},
)
SMOKE = made_protocol(
    {**DIGITS, "known": "0-2", "novel": "3-4"},
    shortened=True,
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
LITE = made_protocol(
    {**CIFAR10, "precision": "bf16"},
    novel=5,
    ks=CIFAR_KS,
    pretrain={"epochs": 15, "drops": (5, 10, 13)},
    supervise={**AS_CODE_STATISTICS, "epochs": 10, "drop_every": 2},
    discover={"epochs": 20, "drop_every": 17, "ramp_epochs": 5},
    uno={"epochs": 20, "warm_up_epochs": 2},
    estimate={"starts": 2, "most": 10},
)
# Photographs within an hour of one CPU core. All settings were fixed before any accuracy was seen and none was tuned:
# the papers' for CIFAR-10, with the small network, UNO's sizes and k-means of the digits, a fifth of the images, and
# the schedule of ``lite`` cut to fewer epochs: 6 of 15 in stage 1, all 10 in stage 2, 5 of 20 in stage 3.
PHOTOGRAPHS = made_protocol(
    {**CIFAR10, "encoder": "small", "train_images": 10_000},
    shortened=True,
    novel=5,
    ks=(20, 60, 200, 600, 1200),  # 0.1, 0.3, 1, 3 and 6 times |M| / C / 2, as on digits
    pretrain={"epochs": 6, "drops": (2, 4, 5)},
    supervise={**AS_CODE_STATISTICS, "epochs": 10, "drop_every": 2},
    discover={"epochs": 5, "drop_every": 5, "ramp_epochs": 2},
    uno={**DIGITS_UNO, "epochs": 5},
    pixels={"starts": 4},
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


def imagenet_protocol(subset: str) -> Protocol:
    return made_protocol(
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
    return made_protocol(
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
        "CIFAR10-5/5": made_protocol(
            CIFAR10, novel=5, ks=CIFAR_KS, pretrain={}, supervise=AS_CODE_STATISTICS, discover={}, estimate={"most": 10}
        ),
        "CIFAR100-80/20": _cifar100("0-79", "80-99", 20, overcluster=5),
        "CIFAR100-50/50": _cifar100("0-49", "50-99", 50, overcluster=3),
        "ImageNet-882/30": imagenet_protocol("A"),  # main: the mean of A, B and C
    },
}
# What the tables ``photographs`` and ``photographs_k`` set side by side; at other scales ``main`` and ``k`` do it.
BESIDE_PHOTOGRAPHS: dict[str, dict[str, Protocol]] = {
    "smoke": PROTOCOLS["smoke"],
    "quick": {**PROTOCOLS["quick"], "CIFAR-10 5/5, 10,000 images": PHOTOGRAPHS},
}
