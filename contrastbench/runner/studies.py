"""What a paper declares: its settings, its studies, its stages. A study is one table; one record says all that it runs.

    Study("beta", "How hard should negatives be?", hardness, baseline="HCL beta=0", metrics=[LINEAR, KNN],
          scales={"quick": [On("MNIST-5k", MNIST, seeds=5)], "lite": [On("CIFAR10", LITE), On("CIFAR100", LITE_100)]})

``hardness(on)`` gives the table's lines on one data set. Nothing here imports torch.
"""

import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from contrastbench.names import unknown
from contrastbench.runner.vocabulary import SCALES, Cell, Run, seeded

# What a stage computes on.
ANY_DEVICE, CPU_ONLY, CPU_PREFERRED = DEVICES = "any", "cpu", "cpu preferred"

# -------------------------------------------------------------------------------------------- the fields of a config


def setting(default: Any, allowed: str | Sequence[Any] | None = None, **used_where: Any) -> Any:
    """A field of a config: ``beta: float = setting(0.0, "[0, 1000]", loss=("hcl", "bcl"))  # hardness``.

    Args:
        allowed: what ``--set`` takes, an interval such as "[0, 1)" or the possible values; of a tuple for each item.
        used_where: fields of the same config, or "stage", with the values under which a run reads this field at all.
    """
    return field(default=default, metadata={"allowed": allowed, "used_where": used_where})


def added(default: Any, allowed: str | Sequence[Any] | None = None, **used_where: Any) -> Any:
    """A ``setting`` that is newer than rows which stay valid.

    A run that leaves it at its default is the run it was before the field came: the field is not part of its identity,
    so its key and its rows stay as they are. The default must mean exactly what the code did before.
    """
    return field(default=default, metadata={"allowed": allowed, "used_where": used_where, "added": True})


def check_choices(config: Any) -> None:
    """Refuses a config with a value that is none of its field's possible ones; what runs ask need not be checked again.

    Raises:
        ValueError: names the field, the value and the possible ones.
    """
    for spec in dataclasses.fields(config):
        allowed, value = spec.metadata.get("allowed"), getattr(config, spec.name)
        if allowed and not isinstance(allowed, str) and value not in (*allowed, spec.default):
            raise unknown(spec.name, value, map(str, allowed))


# -------------------------------------------------------------------------------------------------------- one table


@dataclass(frozen=True)
class On:
    """A data set of a study at one scale."""

    dataset: str  # its name for people
    base: Any  # the settings there, of which every method changes a few
    seeds: int = 3  # how many, counted from 0
    scale: str = ""  # the study fills it in


Places = Mapping[str, Sequence[On]]  # scale -> where a study runs there
Metrics = Sequence[str] | Mapping[str, str]  # names in a row; with a name for people each, they are columns


@dataclass(frozen=True)
class Line:
    """A line of a table: one run under seed 0. It has a cell for each metric."""

    run: Run
    settings: Mapping[str, Any] = field(default_factory=dict)  # what people call it by: beta=1.0, tau_plus=0.1
    metrics: Metrics = ()  # the study's where it names none; the name for people stands in place of the data set
    method: str = ""  # its name in this table; the run's own where it has none
    better: str | Mapping[str, str] = "higher"  # "higher", "lower" or "none"; or by metric, where the others are higher
    baseline: str = ""  # the method it is compared with, where that is not the study's
    seeds: int | None = None  # how many, where that is not the data set's number
    deterministic: bool = False  # nothing in it is random: one seed is all

    def cells(self, metrics: Metrics, seeds: Sequence[int]) -> list[Cell]:
        """The line's cells under the seeds; ``metrics`` are those of the study."""
        runs = seeded(self.run, seeds[:1] if self.deterministic else seeds)
        named = self.metrics or metrics
        columns = named.items() if isinstance(named, Mapping) else [("", metric) for metric in named]
        return [
            Cell(
                column or self.run.dataset,
                self.method or self.run.method,
                metric,
                runs,
                dict(self.settings),
                self.better if isinstance(self.better, str) else self.better.get(metric, "higher"),
                self.deterministic,
                self.baseline,
            )
            for column, metric in columns
        ]


@dataclass(frozen=True)
class Study:
    """One table of a paper: its question, and all that it runs at each scale."""

    name: str
    title: str  # one sentence: the question that the table answers
    methods: Callable[[On], Iterable[Line]]  # the lines on one data set, in the table's order
    scales: Places
    metrics: Metrics = ()
    baseline: str = ""  # the method that the others are compared with, in pairs by seed, unless a line names its own
    claims: tuple[tuple[str, str], ...] = ()  # further pairs (method, other) that are compared over all data sets
    columns: str = "dataset"  # "dataset" or "metric"
    only_by_name: tuple[str, ...] = ()  # scales at which a command for the whole paper leaves the table out

    def cells(self, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
        """The table's cells at a scale; ``seeds`` replaces the declared ones. None where it is not run at the scale."""
        cells = []
        for on in self.scales.get(scale, ()):
            for line in self.methods(dataclasses.replace(on, scale=scale)):
                declared = range(on.seeds if line.seeds is None else line.seeds)
                cells += line.cells(self.metrics, declared if seeds is None else seeds)
        return cells


def only(places: Places, *datasets: str, at: Sequence[str] = SCALES, seeds: Mapping[str, int] | None = None) -> Places:
    """Some of the places: those data sets (all if none is named) at those scales, with other numbers of seeds."""
    return {
        scale: [
            dataclasses.replace(on, seeds=(seeds or {}).get(scale, on.seeds))
            for on in ons
            if not datasets or on.dataset in datasets
        ]
        for scale, ons in places.items()
        if scale in at
    }


# -------------------------------------------------------------------------------------------------------- the paper


@dataclass(frozen=True)
class Stage:
    """A kind of run: the function that does the work. It is named, not imported, since planning needs no torch.

    ``function(config, *, seed, device, checkpoint, log)`` returns the metrics.
    """

    function: str  # "train.supervised": a module of the paper's directory, and the function in it
    device: str | Callable[[Any], str] = ANY_DEVICE  # or CPU_ONLY, CPU_PREFERRED; or a function of the config


@dataclass(frozen=True)
class Paper:
    """A directory of ``benchmarks/``, or another package: ``PAPER = Paper(__package__, ...)`` in its ``tables.py``."""

    package: str
    title: str
    studies: Sequence[Study]
    stages: Mapping[str, Stage]
    versions: Mapping[str, int]  # protocol versions by method or stage; raised when a change of code changes results
    figures: str = ""  # "figures.FIGURES": functions by name, of rows to a figure or None
    expected_seconds: Callable[[Run, Path], Mapping[str, float]] | None = None  # a run's cost by device, without rows

    def __post_init__(self) -> None:
        for name, stage in self.stages.items():
            if not callable(stage.device) and stage.device not in DEVICES:
                raise unknown(f"device of stage {name}", stage.device, DEVICES)

    def __reduce__(self) -> tuple[Any, ...]:
        return load_paper, (self.name,)  # studies hold functions, which cannot be pickled for another process

    @property
    def name(self) -> str:
        return self.package.rpartition(".")[2]

    @property
    def folder(self) -> Path:
        return Path(next(iter(sys.modules[self.package].__path__)))

    @cached_property
    def tables(self) -> dict[str, Study]:
        return {study.name: study for study in self.studies}

    def cells(self, table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
        """The table's cells at a scale; none where it is not run there."""
        return self.tables[table].cells(scale, seeds)

    def load(self, name: str) -> Any:
        """What ``name`` ("train.supervised") stands for in the paper's directory."""
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(f"{self.package}.{module}"), attribute)

    def stage(self, name: str) -> Stage:
        """The stage of that name.

        Raises:
            ValueError: there is none; the message lists those there are.
        """
        if name not in self.stages:
            raise unknown("stage", name, self.stages, f"{self.name} has")
        return self.stages[name]

    def function_of(self, stage: str) -> Callable[..., dict[str, Any]]:
        """The function that does a run of the stage."""
        return self.load(self.stage(stage).function)

    def device_of(self, stage: str, config: Any) -> str:
        """What a run of the stage computes on: ANY_DEVICE, CPU_ONLY or CPU_PREFERRED."""
        device = self.stage(stage).device
        return device(config) if callable(device) else device


PLUG_INS = "contrastbench.papers"  # the group of entry points by which a package says that it is a paper


@cache
def packages_of_others() -> dict[str, str]:
    """The papers that other installed packages are, by name: ``temperature = "temperature"`` in their metadata."""
    return {each.name: each.value for each in metadata.entry_points(group=PLUG_INS)}


def packages() -> dict[str, str]:
    """Each paper's package, by its name, sorted: directories of ``benchmarks/`` with a ``tables.py``, and plug-ins."""
    roots = importlib.import_module("benchmarks").__path__
    own = {path.parent.name for root in roots for path in Path(root).glob("*/tables.py")}
    return dict(sorted({**packages_of_others(), **{name: f"benchmarks.{name}" for name in own}}.items()))


def paper_names() -> list[str]:
    return list(packages())


def load_paper(name: str) -> Paper:
    """The paper of that name.

    Raises:
        ValueError: there is none, and the message lists those there are; or a plug-in is not what it should be.
    """
    there = packages()
    if name not in there:
        raise unknown("paper", name, there)
    package = there[name]
    if package.startswith("benchmarks."):
        return importlib.import_module(f"{package}.tables").PAPER
    try:
        paper = importlib.import_module(f"{package}.tables").PAPER
    except (ImportError, AttributeError) as error:
        raise ValueError(f"paper {name} of the installed package {package} cannot be read: {error}") from error
    if not isinstance(paper, Paper) or paper.name != name:
        last = package.rpartition(".")[2]
        raise ValueError(f"{package}.tables needs PAPER = Paper(__package__, ...), and its entry point the name {last}")
    return paper
