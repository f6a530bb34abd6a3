"""Completes names in the shell: papers, tables, data sets, scales, launchers and profiles."""

from __future__ import annotations

from contrastbench import papers
from contrastbench.data import catalogue
from contrastbench.runner.profiles import profile_names
from contrastbench.runner.vocabulary import SCALES


def targets(incomplete: str) -> list[str]:
    """Papers; behind a paper its tables; behind a table its data sets."""
    name, *rest = incomplete.split("/")
    if not rest:
        fitting = [each for each in papers.names() if each.startswith(name)]
        return fitting if len(fitting) != 1 else [*fitting, *_tables(fitting[0])]
    if name not in papers.names():
        return []
    table, *more = rest
    offered = _data_sets(name, table) if more else _tables(name)
    return [each for each in offered if each.startswith(incomplete)]


def _tables(name: str) -> list[str]:
    return [f"{name}/{table}" for table in papers.paper(name).tables]


def _data_sets(name: str, table: str) -> list[str]:
    paper = papers.paper(name)
    if table not in paper.tables:
        return []
    cells = [cell for scale in SCALES for cell in paper.cells(table, scale)]
    return list(dict.fromkeys(f"{name}/{table}/{cell.dataset}" for cell in cells))


def scales(incomplete: str) -> list[str]:
    return [each for each in SCALES if each.startswith(incomplete)]


def launchers(incomplete: str) -> list[str]:
    return [each for each in ("inline", "local", "slurm") if each.startswith(incomplete)]


def profiles(incomplete: str) -> list[str]:
    return [each for each in profile_names() if each.startswith(incomplete)]


def data_sets(incomplete: str) -> list[str]:
    names = [*catalogue.DATA_SETS, *(own.name for own in catalogue.found())]
    return [each for each in dict.fromkeys(names) if each.startswith(incomplete)]
