"""The words that papers and the runner share: Run, Cell, product.

Nothing here imports torch: planning and reporting on 100,000 runs must not wait for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from contrastbench.names import unknown

SCALES = ("smoke", "quick", "lite", "paper")
VARIANTS = ("as_paper", "as_code")
PROTOCOLS = ("published", "clean")


def product(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """Every combination of the axes' values, the last axis fastest: ``product(loss=["hcl"], beta=[0.5, 1.0])``."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def config_values(config: Any) -> dict[str, Any]:
    """A frozen config dataclass as plain JSON values; an int in a float field counts as that float, so 1 is 1.0.

    Fields declared as ``added`` are left out at their default.
    """
    values: dict[str, Any] = {}
    for name, is_float, default in _fields(config.__class__):
        value = getattr(config, name)
        if value == default:
            continue
        if is_float and isinstance(value, int):
            value = float(value)
        values[name] = list(value) if isinstance(value, tuple) else value
    return values


@cache
def _fields(config_type: type) -> list[tuple[str, bool, Any]]:
    """Of each field of a config: its name, whether it is a float, and, if it was ``added``, its default."""
    return [
        (spec.name, spec.type in (float, "float"), spec.default if "added" in spec.metadata else dataclasses.MISSING)
        for spec in dataclasses.fields(config_type)
    ]


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value that hashes are taken of."""
    return _CANONICAL.encode(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of(value: Any) -> str:
    """sha256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


# What decides a run's result, and so its key; rows and tickets carry it.
IDENTITY = ("paper", "stage", "config", "seed", "scale", "variant", "protocol", "protocol_version", "needs")


def key_of(fields: Mapping[str, Any]) -> str:
    """sha256 of the identity among the fields of a row or ticket, or of a run's identity itself."""
    return sha256_of({name: fields.get(name) for name in IDENTITY})


def kind_of(identity: Mapping[str, Any]) -> str:
    """All that a run is, without its seed and the keys of the runs that it needs."""
    needs = [name for name, _ in identity.get("needs", ())]
    return canonical_json([needs, *(identity[name] for name in IDENTITY if name not in ("seed", "needs"))])


@dataclass(frozen=True)
class Run:
    """The unit of work: a paper, a resolved config and a seed. ``key`` names it everywhere.

    ``stage`` names the function in ``benchmarks/<paper>/train.py`` that does the work. It is a name and not a function
    because a run travels as JSON to other processes and machines, and planning must not import torch.
    ``dataset`` and ``method`` are labels for people; they are not in the key.
    """

    paper: str
    config: Any  # the paper's own frozen dataclass
    seed: int
    scale: str
    dataset: str = ""
    method: str = ""
    variant: str = "as_paper"
    protocol: str = "published"
    protocol_version: int = 1
    stage: str = "train"
    needs: Mapping[str, Run] = field(default_factory=dict)  # by name: runs whose artefacts or metrics this one reads
    shared: tuple[str, ...] = ()  # needs, at any depth, that keep their seed under every seed of this; not in the key

    def __post_init__(self) -> None:
        for name, possible in (("scale", SCALES), ("variant", VARIANTS), ("protocol", PROTOCOLS)):
            if getattr(self, name) not in possible:
                raise ValueError(f"{name} must be one of {', '.join(possible)}, got {getattr(self, name)!r}")
        for name, need in self.needs.items():
            if not name.isidentifier():
                raise ValueError(f"a need's name must be a word like 'pretrain', got {name!r}")
            if need.paper != self.paper:
                raise ValueError(f"a run of {self.paper} cannot need a run of another paper, got {need.paper}")
        if self.shared:
            names = {name for each in (self, *chain(self.needs.values()).values()) for name in each.needs}
            for name in set(self.shared) - names:
                raise unknown("shared need", name, sorted(names))

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Exactly what decides the result, as plain JSON values."""
        needs = sorted([name, need.key] for name, need in self.needs.items())
        return {name: getattr(self, name) for name in IDENTITY} | {"config": config_values(self.config), "needs": needs}

    @cached_property
    def key(self) -> str:
        """sha256 of ``identity``."""
        return key_of(self.identity)

    def with_config(self, **changes: Any) -> Run:
        """The same run with some config fields changed, and labels that say so.

        Where the config has the run's variant or protocol, changing one changes both: the row's label stays true.
        """
        return dataclasses.replace(
            self,
            config=dataclasses.replace(self.config, **changes),
            dataset=changes.get("dataset", self.dataset),
            method=label_with(self.method, {k: v for k, v in changes.items() if v != getattr(self.config, k)}),
            **{name: changes[name] for name in ("variant", "protocol") if name in changes},
        )


def label_with(method: str, changes: Mapping[str, Any]) -> str:
    """The method's name with what is set anew: ``HCL [temperature=0.2]``. A dataset has a label of its own."""
    said = [f"{name}={setting_text(value)}" for name, value in changes.items() if name != "dataset"]
    if said and method.endswith("]") and " [" in method:  # named by settings already
        return f"{method[:-1]}, {', '.join(said)}]"
    return f"{method} [{', '.join(said)}]" if said else method


def setting_text(value: Any) -> str:
    """A setting's value, or several values, as ``--set`` takes them."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else str(value)


@dataclass(frozen=True)
class Cell:
    """One published place in a table: dataset x method x metric, with the runs (one a seed) that fill it."""

    dataset: str
    method: str
    metric: str  # the name in the rows' metrics: split and unit in it, e.g. "test_knn_top1_percent"
    runs: tuple[Run, ...]
    settings: dict[str, Any] = field(default_factory=dict)  # what people call the cell by: beta=1.0, tau_plus=0.1
    better: str = "higher"  # "higher", "lower" or "none"
    deterministic: bool = False  # nothing in its runs is random, so no seed can change the number, and one run is exact
    baseline: str = ""  # the method that it is compared with; the table's where it names none

    @property
    def name(self) -> str:
        """How commands call the cell: ``MUTAG/InfoGraph``."""
        return f"{self.dataset}/{self.method}"

    @property
    def label(self) -> str:
        """The method, with variant and protocol if they are not the usual ones."""
        kinds = (self.runs[0].variant, "as_paper"), (self.runs[0].protocol, "published")
        marks = [mark for mark, usual in kinds if mark != usual]
        return f"{self.method} ({', '.join(marks)})" if marks else self.method


def seeded(run: Run, seeds: Sequence[int]) -> tuple[Run, ...]:
    """The same run under each seed."""
    return tuple(with_seed(run, seed) for seed in seeds)


def with_seed(run: Run, seed: int, shared: tuple[str, ...] = ()) -> Run:
    """The run and all that it needs, all the way down, under another seed, but for the needs that seeds share."""
    shared = (*shared, *run.shared)
    needs = {name: need if name in shared else with_seed(need, seed, shared) for name, need in run.needs.items()}
    return dataclasses.replace(run, seed=seed, needs=needs)


def chain(runs: Iterable[Run]) -> dict[str, Run]:
    """The runs and all that they need, by key, each after the runs it needs."""
    placed: dict[str, Run] = {}
    for run in runs:
        if run.key not in placed:
            placed |= {key: need for key, need in chain(run.needs.values()).items() if key not in placed}
            placed[run.key] = run
    return placed


def code_text(git: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """The commit that a row names, and whether it was changed; the version where there is no commit."""
    if git.get("commit"):
        return f"commit {git['commit'][:12]}{' with changes' * bool(git.get('dirty'))}"
    return f"version {versions.get('contrastbench', 'unknown')}"


def duration(hours: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h`` or ``2.1 d``."""
    for size, unit in ((24, "d"), (1, "h")):
        if hours >= 2 * size:
            return f"{hours / size:.1f} {unit}"
    return f"{60 * hours:.0f} min" if hours >= 2 / 60 else f"{3600 * hours:.0f} s"
