"""Reads from the command line which runs are meant: papers, tables, cells, keys, seeds and settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from contrastbench import papers
from contrastbench.cli.app import complain, places, said, selections
from contrastbench.papers import Selection
from contrastbench.reading import Members
from contrastbench.runner import rows
from contrastbench.runner.tickets import folder_of, needed_folders, read_ticket
from contrastbench.runner.vocabulary import SCALES, Cell

MOST_SEEDS = 10_000
KEY = re.compile(r"[0-9a-f]{6,64}")  # the beginning of a run's key; shorter ones might be meant as names


def keys_and_names(targets: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Parts the targets into beginnings of keys and names of papers, tables or cells."""
    known = papers.names()
    keys = [target for target in targets or () if KEY.fullmatch(target) and target not in known]
    return keys, [target for target in targets or () if target not in keys]


def run_folder(key: str) -> Path:
    """The one run folder whose key begins so.

    Raises:
        ValueError: none or several do; the message says which.
    """
    found = [folder for folder in rows.run_folders(places.runs) if key and folder.name.startswith(key)]
    if not found:
        raise ValueError(f"no run's key begins with {key!r} (looked in {places.runs})")
    if len(found) > 1:
        some = ", ".join(folder.name[:16] for folder in found[:5])
        raise ValueError(f"the keys of {len(found)} runs begin with {key!r}: {some}")
    return found[0]


def chosen_folders(
    targets: Sequence[str] | None,
    scale: str | None = None,
    seeds: str | None = None,
    settings: Sequence[str] | None = None,
) -> list[Path]:
    """The folders here of the runs that the options name.

    With seeds or settings these are exactly the runs that ``run`` with the same options would start. Without them they
    are all runs that were ever asked for through a chosen table or cell, whatever ``--set`` said.

    Raises:
        ValueError: an unknown target, scale, seed or setting.
    """
    if scale is not None and scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SCALES)}")
    keys, names = keys_and_names(targets)
    found = [run_folder(key) for key in keys]
    chosen = selections(names) if names or not keys else []
    if seeds or settings:
        found += _exactly(chosen, scale, seeds, settings)
    else:
        found += [folder for selection in chosen for folder in _asked_for_by(selection, scale)]
    if not found:
        _refuse_unknown_cells(chosen, scale)
    return list(dict.fromkeys(folder for each in found for folder in _with_needed(each)))


def _with_needed(folder: Path) -> Iterator[Path]:
    """The folder, after those of the runs here that it needs. If its ticket is damaged, the folder alone."""
    try:
        needed = needed_folders(read_ticket(folder), folder).values()
    except (ValueError, OSError) as error:
        complain(said(error))
        needed = {}.values()
    for need in needed:
        if need.is_dir():
            yield from _with_needed(need)
    yield folder


def _refuse_unknown_cells(chosen: Sequence[Selection], scale: str | None) -> None:
    for selection in chosen:
        known = [cell for each in ([scale] if scale else SCALES) for cell in _cells(selection, each, None)]
        if selection.cell and not known:
            raise ValueError(
                f"unknown cell {selection.cell!r} in {selection.paper.name}/{'/'.join(selection.tables)}; "
                "`contrastbench plan` lists the cells of a table"
            )


def _exactly(
    chosen: Sequence[Selection], scale: str | None, seeds: str | None, settings: Sequence[str] | None
) -> Iterator[Path]:
    """The folders here of the runs that the declared cells have under these seeds and settings."""
    numbers, changes = seed_numbers(seeds), settings_by_name(settings)
    for selection in chosen:
        for each in [scale] if scale else SCALES:
            for _, cell in papers.with_settings(_cells(selection, each, numbers), changes):
                yield from (folder for run in cell.runs if (folder := folder_of(run, places.runs)).is_dir())


def _cells(selection: Selection, scale: str, seeds: list[int] | None) -> list[tuple[str, Cell]]:
    """As ``selection.cells``, but none where the scale has no such cell."""
    pairs = [(table, cell) for table in selection.tables for cell in selection.paper.cells(table, scale, seeds)]
    return [(table, cell) for table, cell in pairs if selection.names(cell.name, cell.dataset, cell.method)]


def _asked_for_by(selection: Selection, scale: str | None) -> Iterator[Path]:
    """The folders of the selection's runs; one whose ticket cannot be read is named and left out."""
    members = Members(selection)
    for folder in rows.run_folders(places.runs, selection.paper.name):
        try:
            ticket = read_ticket(folder)
        except (ValueError, OSError) as error:
            complain(said(error))
            continue
        if scale in (None, ticket["scale"]) and members.holds(ticket):
            yield folder


def seed_numbers(text: str | None) -> list[int] | None:
    """``5`` is 0..4; ``0-4`` and ``0,3,7`` are those seeds."""
    if text is None:
        return None
    given = text
    try:
        if text.isdigit() and int(text) > 0:
            text = f"0-{int(text) - 1}"
        first, dash, last = text.partition("-")
        if dash and int(last) - int(first) >= MOST_SEEDS:
            raise ValueError
        seeds = list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]
        if seeds and min(seeds) >= 0 and ("," in text or dash):
            return seeds
    except ValueError:
        pass
    raise ValueError(
        f"seeds must be a number of seeds (5), a range (0-4) or a list (0,3,7), {MOST_SEEDS:,} at most; got {given!r}"
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
