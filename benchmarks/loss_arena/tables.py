"""The arena's studies, as data: every loss of two views on every kind of data.

No setting was chosen by a comparison of losses. Sizes and epochs follow from the time of a run. Sentences and sequences
have no published protocol as short as this: there NT-Xent alone was tried under a seed that no table has (100), so that
the untrained encoder is not the best one. On MUTAG all losses were seen under that seed, and nothing was changed after.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmarks.loss_arena.config import Config
from contrastbench.runner import CPU_PREFERRED, Cell, Line, On, Paper, Run, Stage, Study, only


class Rival(NamedTuple):
    """A loss with the settings that its paper prints; they are the same on every kind of data."""

    loss: str
    settings: tuple[str, ...] = ()


# The class prior and the hardness of DCL, HCL and BCL are those of CIFAR-10.
RIVALS = {
    "NT-Xent": Rival("nt_xent", ("temperature=0.5",)),  # SimCLR on CIFAR-10
    "NT-Xent, t=0.1": Rival("nt_xent", ("temperature=0.1",)),  # SimCLR on ImageNet
    "DCL": Rival("dcl", ("temperature=0.5", "tau_plus=0.1")),
    "HCL": Rival("hcl", ("temperature=0.5", "tau_plus=0.1", "beta=1.0")),
    "BCL": Rival("bcl", ("temperature=0.5", "tau_plus=0.1", "alpha=0.9", "beta=0.9")),
    "InfoNCE": Rival("info_nce", ("temperature=0.05",)),  # SimCSE
    "Hard SimCSE": Rival("hard_simcse", ("temperature=0.05", "tau_plus=0.01", "beta=1.0")),
    "GraphCL": Rival("graphcl", ("temperature=0.2",)),
    "Alignment + uniformity": Rival("alignment_uniformity"),
    "Semi-hard triplets": Rival("semi_hard_triplet", ("margin=0.2",)),  # FaceNet
}
BASELINE, UNTRAINED, ALONE = "NT-Xent", "no training", "next-item loss alone"

# What is measured on each kind of data; the kind is the stage of its runs.
METRICS = {
    "images": "test_knn_top1_percent",
    "graphs": "test_svm_accuracy_percent",
    "sentences": "test_lee_pearson_x100",
    "sequences": "test_ndcg10_excluded_percent",
}
VERSIONS = dict.fromkeys(METRICS, 1)  # a kind's is raised when a change of code changes its results

IMAGES = Config("mnist5k", batch=256, epochs=5, learning_rate=3e-3)
PHOTOGRAPHS = Config("cifar10", items=5_000, batch=64, epochs=2, learning_rate=1e-3)
GRAPHS = Config("MUTAG", batch=128, epochs=20, learning_rate=1e-2)
SENTENCES = Config("gensim_text", items=2_560, batch=64, epochs=2, learning_rate=1e-3, width=64)
SEQUENCES = Config("ml-100k", batch=64, epochs=10, learning_rate=3e-3, weight=0.1)
STS = {"tests": ("STS12", "STS13", "STS14", "STS15", "STS16", "STSB", "SICK-R")}
RESNET18 = replace(PHOTOGRAPHS, items=0, encoder="resnet18", batch=256, epochs=100)
KINDS = {  # of each data set
    **dict.fromkeys(("MNIST-5k", "CIFAR10-5k", "CIFAR10", "CIFAR100"), "images"),
    **dict.fromkeys(("MUTAG", "PTC_MR", "PROTEINS", "IMDB-BINARY"), "graphs"),
    **dict.fromkeys(("gensim text", "books"), "sentences"),
    **dict.fromkeys(("gensim words", "MovieLens-100k", "LastFM"), "sequences"),
}
PLACES = {
    "smoke": [
        On("MNIST-5k", replace(IMAGES, items=128, batch=32, epochs=1), seeds=1),
        On("MUTAG", replace(GRAPHS, width=8, epochs=1), seeds=1),
        On("gensim text", replace(SENTENCES, items=128, batch=32, epochs=1, width=8), seeds=1),
        On("gensim words", replace(SEQUENCES, dataset="gensim_sequences", items=60, batch=32, epochs=1), seeds=1),
    ],
    "quick": [
        On("MNIST-5k", IMAGES, seeds=5),
        On("CIFAR10-5k", PHOTOGRAPHS, seeds=5),
        On("MUTAG", GRAPHS, seeds=5),
        On("gensim text", SENTENCES, seeds=5),
        On("MovieLens-100k", SEQUENCES, seeds=5),
    ],
    "lite": [
        On("CIFAR10", RESNET18),
        On("CIFAR100", replace(RESNET18, dataset="cifar100")),
        *(On(name, replace(GRAPHS, dataset=name)) for name in ("MUTAG", "PTC_MR", "PROTEINS", "IMDB-BINARY")),
        On("books", replace(SENTENCES, dataset="books", items=0, batch=128, width=128, **STS)),
        On("LastFM", replace(SEQUENCES, dataset="LastFM", batch=256, epochs=30, width=64)),
    ],
}


def line(on: On, method: str, loss: str, settings: tuple[str, ...] = (), sha256: str = "") -> Line:
    """A loss on a data set; one of the user's own has the sha256 of its files."""
    kind = KINDS[on.dataset]
    config = replace(on.base, loss=loss, settings=settings, sha256=sha256)
    if loss == "none" and kind != "sequences":
        config = replace(config, epochs=0)
    run = Run("loss_arena", config, 0, on.scale, on.dataset, method, "as_paper", "clean", VERSIONS[kind], kind)
    return Line(run, metrics=(metric_of(kind, on.scale),))


def metric_of(kind: str, scale: str) -> str:
    """What is compared; at lite the sentences' tests are SimCSE's."""
    return "test_sts_average_x100" if (kind, scale) == ("sentences", "lite") else METRICS[kind]


def arena(on: On) -> Iterable[Line]:
    yield line(on, ALONE if KINDS[on.dataset] == "sequences" else UNTRAINED, "none")
    for method, rival in RIVALS.items():
        yield line(on, method, *rival)


def two_losses(on: On) -> list[Line]:
    """A first look at the arena: its baseline and one rival."""
    return [line(on, method, *RIVALS[method]) for method in (BASELINE, "HCL")]


def yours(name: str, settings: tuple[str, ...], sha256: str, scale: str, seeds: Sequence[int]) -> list[Cell]:
    """The cells of a loss of the user's own, ``FILE.py:FUNCTION``, on every data set of a scale."""
    said = f" [{', '.join(settings)}]" if settings else ""
    method = f"yours: {name.partition(':')[2]} {sha256[:6]}{said}"  # two versions of a file are two methods
    lines = (line(replace(on, scale=scale), method, name, settings, sha256) for on in PLACES[scale])
    return [cell for each in lines for cell in each.cells((), seeds)]


QUESTION = "Which loss is best on which kind of data?"
GLANCE = "The arena's baseline and one rival: what is run where nobody names a table"
EMBEDDED = ("MNIST-5k", "MUTAG", "gensim text", "MovieLens-100k")
PAPER = Paper(
    __package__,
    "Every loss of two views on images, graphs, sentences and sequences, and yours among them",
    [
        Study("arena", QUESTION, arena, PLACES, baseline=BASELINE, only_by_name=("quick",)),
        Study("glance", GLANCE, two_losses, only(PLACES, *EMBEDDED, at=("quick",), seeds={"quick": 1}), (), BASELINE),
    ],
    stages={kind: Stage(f"train.{kind}", CPU_PREFERRED if kind == "graphs" else "any") for kind in METRICS},
    versions=VERSIONS,
    figures="figures.FIGURES",
)
