"""The options that several commands share: how they are written, what they mean, and how a shell completes them."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from contrastbench import papers
from contrastbench.data import catalogue
from contrastbench.runner.profiles import Profile, profile_names, read_profile
from contrastbench.runner.vocabulary import SCALES
from contrastbench.selection import Targets as AskedFor
from contrastbench.selection import read_targets

MOST_SEEDS = 10_000


def one_of(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Completes to those of the names that begin as typed."""
    return lambda incomplete: [each for each in dict.fromkeys(names()) if each.startswith(incomplete)]


def complete_target(incomplete: str) -> list[str]:
    """Papers; behind a paper its tables; behind a table its data sets."""
    name, *rest = incomplete.split("/")
    if not rest:
        fitting = one_of(papers.names)(name)
        return fitting if len(fitting) != 1 else [*fitting, *_tables(fitting[0])]
    if name not in papers.names() or (len(rest) > 1 and rest[0] not in papers.paper(name).tables):
        return []
    if len(rest) == 1:
        return one_of(lambda: _tables(name))(incomplete)
    cells = [cell for scale in SCALES for cell in papers.paper(name).cells(rest[0], scale)]
    return one_of(lambda: (f"{name}/{rest[0]}/{cell.dataset}" for cell in cells))(incomplete)


def _tables(name: str) -> list[str]:
    return [f"{name}/{table}" for table in papers.paper(name).tables]


# Which runs are meant.
Targets = Annotated[
    list[str] | None,
    typer.Argument(
        help="PAPER\\[/TABLE\\[/CELL]] or the beginning of a run's key; all papers if not given",
        autocompletion=complete_target,
    ),
]
Scale = Annotated[str, typer.Option(help="smoke, quick, lite or paper", autocompletion=one_of(lambda: SCALES))]
AnyScale = Annotated[
    str | None,
    typer.Option(help="smoke, quick, lite or paper; all if not given", autocompletion=one_of(lambda: SCALES)),
]
Seeds = Annotated[str | None, typer.Option(help="a number of seeds (5), or the seeds (0-4 or 0,3,7)")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="a config field to change: key=value, or key=1,2,3 for a sweep; repeatable"),
]

# Where runs are done, and how.
LAUNCHERS = ("inline", "local", "slurm")
Slots = Annotated[int | None, typer.Option(min=1, help="local: runs at a time; as many as fit if not given")]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", help="slurm: a file of slurm/ without .toml", autocompletion=one_of(profile_names)),
]


Watch = Annotated[bool, typer.Option("--watch", help="look again every few seconds until nothing runs")]
DataSets = Annotated[
    list[str] | None,
    typer.Argument(
        help="data sets; if none is given, all that need no download",
        autocompletion=one_of(lambda: (*catalogue.DATA_SETS, *(own.name for own in catalogue.find_own()))),
    ),
]


@dataclass(frozen=True)
class Which:
    """Which runs are meant, at one scale."""

    targets: Targets = None
    scale: Scale = "quick"
    seeds: Seeds = None
    settings: Settings = None

    def read(self) -> AskedFor:
        """The runs that the options name.

        Raises:
            ValueError: an unknown paper, table or scale; or seeds or settings that cannot be read or that no run has.
        """
        return read_targets(self.targets, self.scale, seed_numbers(self.seeds), settings_by_name(self.settings))


@dataclass(frozen=True)
class WhichAtAnyScale(Which):
    """The same, at every scale unless one is named."""

    scale: AnyScale = None  # type: ignore[assignment]


@dataclass(frozen=True)
class How:
    """How runs are done, here or on a cluster."""

    launcher: Annotated[
        str,
        typer.Option(help="inline (debugging), local (a queue) or slurm", autocompletion=one_of(lambda: LAUNCHERS)),
    ] = "local"
    device: Annotated[
        str | None,
        typer.Option(help="inline, local: cpu, cuda, cuda:0, or auto (a GPU where there is one and it is faster)"),
    ] = None
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="inline, local: threads of a run; their number may change the last bits of a result"),
    ] = None
    slots: Slots = None
    runs_per_gpu: Annotated[int | None, typer.Option(min=1, help="local: runs at the same time on a GPU")] = None
    profile: ProfileName = None
    detach: Annotated[
        bool, typer.Option("--detach", help="slurm: submit and return; the same command later shows how far it is")
    ] = False
    resume_anyway: Annotated[
        bool,
        typer.Option(
            "--resume-anyway",
            help="go on from what a run saved under other code, and name both in its row; else it starts again",
        ),
    ] = False

    @property
    def site(self) -> Profile:
        return read_profile(self.profile)


def seed_numbers(text: str | None) -> list[int] | None:
    """``5`` is 0..4; ``0-4`` and ``0,3,7`` are those seeds."""
    if text is None:
        return None
    seeds: Sequence[int] = ()
    if span := re.fullmatch(r"(?:(\d{1,9})-)?(\d{1,9})", text):
        seeds = range(int(span[1]), int(span[2]) + 1) if span[1] else range(int(span[2]))
    elif re.fullmatch(r"\d{1,9}(,\d{1,9})+", text):
        seeds = [int(part) for part in text.split(",")]
    if 0 < len(seeds) <= MOST_SEEDS:
        return list(seeds)
    raise ValueError(
        f"seeds must be a number of seeds (5), a range (0-4) or a list (0,3,7), {MOST_SEEDS:,} at most; got {text!r}"
        + " (seed 0 alone is 0-0)" * (text == "0")
    )


def settings_by_name(pairs: Sequence[str] | None) -> dict[str, str]:
    """``key=value`` pairs by key.

    Raises:
        ValueError: a pair without a key, an equals sign or a value, or a key that is given twice.
    """
    by_name: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ValueError(f"--set takes key=value, got {pair!r}")
        if key in by_name:
            raise ValueError(f"--set {key} is given twice ({by_name[key]} and {value}); a sweep is --set {key}=1,2")
        by_name[key] = value
    return by_name
