"""Checks before `run` starts anything: the data is here, and each run's folder can be written."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from contrastbench.cli.app import complain, console, places
from contrastbench.cli.choosing import asked_for, settings_by_name
from contrastbench.data import catalogue
from contrastbench.runner.launchers import Job
from contrastbench.runner.plan import Planned, write_tickets
from contrastbench.runner.vocabulary import Run, resolved
from contrastbench.settings import allowed_values


def data_is_here(runs: Iterable[Run], settings: Sequence[str] | None) -> None:
    """Fetches data sets that are not here, if somebody at the terminal agrees.

    Raises:
        ValueError: some are not here and cannot be downloaded, or nobody agreed; or ``--set dataset=`` names an unknown
            one.
    """
    runs = list(runs)
    if "dataset" in settings_by_name(settings):
        for name in {run.config.dataset for run in runs}:
            catalogue.described(name)
    missing = _missing(runs)
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


def with_data(planned: Sequence[Planned]) -> list[Planned]:
    """The runs without those that are to start and whose data are not here; a line says which data those are."""
    missing = _missing(each.run for each in planned if each.is_to_run)
    if not missing:
        return list(planned)
    kept = [each for each in planned if not each.is_to_run or not _missing([each.run])]
    names = " ".join(missing)
    count = len(planned) - len(kept)
    complain(f"{count} runs are left out, since {names} is not here: contrastbench data fetch {names}")
    return kept


def _missing(runs: Iterable[Run]) -> list[str]:
    """The data sets that the runs' configs name and that must be there first."""
    values = {value for run in runs for value in _names_in(run.config)}
    named = [catalogue.DATA_SETS[name] for name in sorted(values & set(catalogue.DATA_SETS))]
    return [each.name for each in named if not each.embedded and not catalogue.is_here(each)]


def _names_in(config: Any) -> list[str]:
    """The texts in a config that may name a data set; a field with a fixed set of words never does."""
    words = {name: value for name, value in resolved(config).items() if isinstance(value, str)}
    return [value for name, value in words.items() if not isinstance(allowed_values(config, name), tuple)]


def left_out(targets: Sequence[str] | None, scale: str, seeds: str | None, settings: list[str] | None) -> list[str]:
    """The methods that are left out of the run, because they do not use one of the settings."""
    selections = asked_for(targets, scale, seeds, settings).selections
    return list(dict.fromkeys(method for each in selections for method in each.methods_left_out()))


def by_name_only(targets: Sequence[str] | None, scale: str) -> list[str]:
    """PAPER/TABLE of every table that the targets leave out at this scale because it is run by name only."""
    selections = asked_for(targets, scale).selections
    return [f"{each.paper.name}/{table}" for each in selections for table in each.tables_left_out()]


NOT_THIS_RUNS_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def write_each_ticket(to_run: Sequence[Planned]) -> list[Job]:
    """Writes the tickets and returns the jobs. A run whose folder cannot be written is named and left out.

    Raises:
        OSError: the runs folder itself cannot be written.
    """
    jobs: list[Job] = []
    for each in to_run:
        try:
            jobs += write_tickets([each], places.runs)
        except OSError as error:
            if error.errno in NOT_THIS_RUNS_FAULT or not (places.runs / each.run.paper).is_dir():
                raise
            complain(f"{error.filename}: {(error.strerror or str(error)).lower()}; the other runs go on")
    return jobs
