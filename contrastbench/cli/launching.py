"""The three launchers: which options each takes, what each checks before it starts, and how it starts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contrastbench.cli.app import console, places
from contrastbench.cli.display import Display
from contrastbench.data import catalogue
from contrastbench.runner.devices import check_device, gpu_count
from contrastbench.runner.launchers import Job, Outcome, inline, local
from contrastbench.runner.profiles import Profile, read_profile
from contrastbench.runner.vocabulary import Run, resolved

USED_BY = {
    **dict.fromkeys(("device", "threads"), ("inline", "local")),
    **dict.fromkeys(("slots", "runs_per_gpu"), ("local",)),
    **dict.fromkeys(("profile", "detach", "dry_run"), ("slurm",)),
}


@dataclass(frozen=True)
class Launcher:
    """A launcher with every option set."""

    name: str
    device: str = "auto"
    threads: int = 1
    slots: int | None = None
    runs_per_gpu: int = 1
    site: Profile = Profile()
    detach: bool = False

    @property
    def run_device(self) -> str:
        """The device to plan for: "cpu", or what was asked for if there is a GPU. A stage may still prefer the CPU."""
        if self.name == "slurm":
            return self.site.run_device
        return "cpu" if self.device == "auto" and not gpu_count() else self.device

    def start(self, jobs: Sequence[Job], display: Display) -> Outcome:
        if self.name == "inline":
            return inline.launch(jobs, watch=display.watch, device=self.device, threads=self.threads)
        if self.name == "local":
            placed = local.placed(jobs, self.device, self.slots, self.threads, self.runs_per_gpu)
            return local.launch(*placed, watch=display.watch)
        from contrastbench.runner.launchers import slurm

        return slurm.launch(jobs, self.site, places.runs, watch=display.watch, detach=self.detach)

    def check(self, runs: Iterable[Run]) -> None:
        """For a cluster: the data must be here before anything is submitted, as compute nodes have no network."""
        if self.name == "slurm":
            os.environ.update(self.site.variables)
            check_data(runs)

    def print_scripts(self, jobs: Sequence[Job]) -> None:
        """Prints the scripts that would be given to sbatch."""
        from contrastbench.runner.launchers.slurm import dry_run

        for text in dry_run(jobs, self.site, places.runs):
            console.print(text, soft_wrap=True)


@dataclass(frozen=True)
class Options:
    """What the command line said; None where it said nothing."""

    device: str | None = None
    threads: int | None = None
    slots: int | None = None
    runs_per_gpu: int | None = None
    profile: str | None = None
    detach: bool = False
    dry_run: bool = False


def launcher_of(name: str, given: Options) -> Launcher:
    """The launcher of that name.

    Raises:
        ValueError: there is no such launcher, or it has no use for an option that was given.
    """
    if name not in ("inline", "local", "slurm"):
        raise ValueError(f"unknown launcher {name!r}; there are: inline, local, slurm")
    for option, value in dataclasses.asdict(given).items():
        if value and name not in USED_BY[option]:
            where = "its profile says that" if name == "slurm" else f"it is for --launcher {USED_BY[option][0]}"
            raise ValueError(f"--{option.replace('_', '-')} has no use with --launcher {name}; {where}")
    if name == "slurm":
        return Launcher(name, site=read_profile(given.profile or "default"), detach=given.detach)
    device = given.device or "auto"
    check_device(device)
    return Launcher(name, device, given.threads or 1, given.slots, given.runs_per_gpu or 1)


def check_data(runs: Iterable[Run]) -> None:
    """Loads the data sets that the runs' configs name from what is here.

    Raises:
        ValueError: one is missing or damaged; the message says how to get it.
    """
    values = {value for run in runs for value in resolved(run.config).values() if isinstance(value, str)}
    known = {*catalogue.DATA_SETS, *(own.name for own in catalogue.found())}
    for name in sorted(value for value in values if value.partition("@")[0] in known):
        catalogue.load(name, download=False)
