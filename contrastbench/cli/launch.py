"""What happens before and while runs work: the launcher and its options, the data sets, the tickets, the display."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from contrastbench.cli.app import complain, complain_of, console, in_one_line
from contrastbench.cli.options import Here
from contrastbench.cli.progress import SECONDS_BETWEEN_LINES, Display
from contrastbench.dashboard import Dashboard, both
from contrastbench.data import catalogue
from contrastbench.planning import check_data, data_missing
from contrastbench.runner.devices import check_device, gpu_count
from contrastbench.runner.launchers import Job, Outcome, Watch, inline, local
from contrastbench.runner.plan import Planned, write_tickets
from contrastbench.runner.profiles import Profile, read_profile
from contrastbench.runner.vocabulary import Run

LAUNCHERS_WITH = {  # which launchers have a use for an option
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

    def start(self, jobs: Sequence[Job], watch: Watch, runs_folder: Path) -> Outcome:
        if self.name == "inline":
            return inline.launch(jobs, watch=watch, device=self.device, threads=self.threads)
        if self.name == "local":
            placed = local.placed(jobs, self.device, self.slots, self.threads, self.runs_per_gpu)
            return local.launch(*placed, watch=watch)
        from contrastbench.runner.launchers import slurm

        return slurm.launch(jobs, self.site, runs_folder, watch=watch, detach=self.detach)

    def print_scripts(self, jobs: Sequence[Job], runs_folder: Path) -> None:
        """Prints the scripts that would be given to sbatch."""
        from contrastbench.runner.launchers.slurm import dry_run

        for text in dry_run(jobs, self.site, runs_folder):
            console.print(text, soft_wrap=True)


def launcher_of(how: Here, *, dry_run: bool = False) -> Launcher:
    """The launcher that the options ask for, with all that they say of it.

    Raises:
        ValueError: there is no such launcher, or it has no use for an option that was given.
    """
    given = {**asdict(how), "dry_run": dry_run}
    name, _ = given.pop("launcher", "local"), given.pop("resume_anyway", False)
    if name not in ("inline", "local", "slurm"):
        raise ValueError(f"unknown launcher {name!r}; there are: inline, local, slurm")
    said = {option: value for option, value in given.items() if value}
    for option in said:
        if name not in LAUNCHERS_WITH[option]:
            where = "its profile says that" if name == "slurm" else f"it is for --launcher {LAUNCHERS_WITH[option][0]}"
            raise ValueError(f"--{option.replace('_', '-')} has no use with --launcher {name}; {where}")
    if name == "slurm":
        return Launcher(name, site=read_profile(said.get("profile", "default")), detach=bool(said.get("detach")))
    check_device(said.get("device", "auto"))
    return Launcher(name, **said)


def launch(
    wanted: Sequence[Planned],
    launcher: Launcher,
    runs_folder: Path,
    seconds_between_lines: float = SECONDS_BETWEEN_LINES,
    dashboard: Dashboard | None = None,
) -> Outcome:
    """Starts the runs that nobody has begun. On a cluster, also follows those that are queued or at work."""
    if launcher.name != "slurm":
        wanted = [each for each in wanted if each.is_to_run]
    if not wanted:
        return Outcome()
    if launcher.name == "slurm":
        os.environ.update(launcher.site.variables)
        check_data(each.run for each in wanted if each.is_to_run)  # compute nodes have no network
    jobs = _write_each_ticket(wanted, runs_folder)
    with Display(console, len(jobs), seconds_between_lines) as display:
        watch = display.watch if dashboard is None else both(display.watch, dashboard.watch)
        outcome = launcher.start(jobs, watch, runs_folder)
    complain_of(outcome.notes)
    return outcome


NOT_THIS_RUNS_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _write_each_ticket(to_run: Sequence[Planned], runs_folder: Path) -> list[Job]:
    """Writes the tickets and returns the jobs. A run whose folder cannot be written is named and left out.

    Raises:
        OSError: the runs folder itself cannot be written.
    """
    jobs: list[Job] = []
    for each in to_run:
        try:
            jobs += write_tickets([each], runs_folder)
        except OSError as error:
            if error.errno in NOT_THIS_RUNS_FAULT or not (runs_folder / each.run.paper).is_dir():
                raise
            complain(f"{in_one_line(error)}; the other runs go on")
    return jobs


# ------------------------------------------------------------------------------------------------------------ the data


def with_data(planned: Sequence[Planned]) -> list[Planned]:
    """The runs without those that are to start and whose data are not here; a line says which data those are."""
    missing = data_missing(each.run for each in planned if each.is_to_run)
    if not missing:
        return list(planned)
    kept = [each for each in planned if not each.is_to_run or not data_missing([each.run])]
    names, count = " ".join(missing), len(planned) - len(kept)
    complain(f"{count} runs are left out, since {names} is not here: contrastbench data fetch {names}")
    return kept


def fetch_missing_data(runs: Iterable[Run]) -> None:
    """Fetches the data sets that runs name and that are not here, if somebody at the terminal agrees.

    Raises:
        ValueError: some are not here and cannot be downloaded, or nobody agreed.
    """
    missing = data_missing(runs)
    if not missing:
        return
    here = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not here (looked in {catalogue.data_root()})"
    by_hand = [name for name in missing if not catalogue.DATA_SETS[name].downloaded]
    if by_hand:
        wanted = "; ".join(f"{name}: {catalogue.DATA_SETS[name].origin}" for name in by_hand)
        raise ValueError(f"{here}; what cannot be downloaded must be put there by hand: {wanted}")
    command = f"contrastbench data fetch {' '.join(missing)}"
    if not (console.is_terminal and sys.stdin.isatty() and typer.confirm(f"{here}. Fetch now?")):
        raise ValueError(f"{here}; `{command}` gets {'it' if len(missing) == 1 else 'them'}, then this goes on")
    for name in missing:
        catalogue.load(name, download=True)
