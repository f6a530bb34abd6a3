"""A run's folder and its ticket: ``config.json``, from which any process can make the run again."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any

from contrastbench.runner import files
from contrastbench.runner.vocabulary import Run, added_fields, key_of


def write_ticket(run: Run, runs_folder: Path, cells: list[list[str]]) -> Path:
    """Writes ``config.json``, all that any process needs to do the run, and returns the run's folder."""
    folder = folder_of(run, runs_folder)
    ticket = {
        **run.identity,
        "key": run.key,
        "config_type": f"{type(run.config).__module__}:{type(run.config).__qualname__}",
        "dataset": run.dataset,
        "method": run.method,
        "cells": sorted(cells),
    }
    folder.mkdir(parents=True, exist_ok=True)
    if _ticket_there(folder) != ticket:
        files.write_json(folder / "config.json", ticket)
    return folder


def _ticket_there(folder: Path) -> Any:
    """The ticket in the folder; None if there is none or a damaged one, which is then written anew."""
    try:
        return files.read_json(folder / "config.json")
    except (FileNotFoundError, ValueError):
        return None


def folder_of(run: Run, runs_folder: Path) -> Path:
    return runs_folder / run.paper / run.key


def read_ticket(folder: Path) -> dict[str, Any]:
    ticket = files.read_object(folder / "config.json")
    if key_of(ticket) != folder.name:
        raise ValueError(f"{folder / 'config.json'} is not the ticket of run {folder.name[:12]}; remove the folder")
    return ticket


def run_of(folder: Path) -> Run:
    """The run whose ticket lies in the folder, with those that it needs.

    Raises:
        ValueError: the ticket cannot be read or was made by another version of the paper.
    """
    ticket = read_ticket(folder)
    names = ("paper", "seed", "scale", "dataset", "method", "variant", "protocol", "protocol_version", "stage")
    needs = {name: run_of(need) for name, need in needed_folders(ticket, folder).items()}
    return Run(config=config_of(ticket), needs=needs, **{name: ticket[name] for name in names})


def needed_folders(ticket: dict[str, Any], folder: Path) -> dict[str, Path]:
    """The folders of the runs that a ticket needs, by name."""
    return {name: folder.parent / key for name, key in ticket["needs"]}


def config_of(ticket: dict[str, Any]) -> Any:
    module, name = ticket["config_type"].split(":")
    if not module.startswith(f"benchmarks.{ticket['paper']}."):
        raise ValueError(f"config type {ticket['config_type']!r} is not one of the paper {ticket['paper']}")
    config_type = getattr(importlib.import_module(module), name)
    known = {spec.name for spec in dataclasses.fields(config_type)}
    given = set(ticket["config"])
    differing = (given - known) | (known - given - added_fields(config_type))
    if differing:
        raise ValueError(
            f"the ticket's config differs from {ticket['config_type']} in {sorted(differing)}: "
            "it was made by another version of the paper; plan it again"
        )
    return config_type(**{k: tuple(v) if isinstance(v, list) else v for k, v in ticket["config"].items()})
