"""The cost of a run that nothing like was measured for: its first epochs are done, in a folder that is thrown away."""

from __future__ import annotations

import dataclasses
import importlib
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

from contrastbench.runner.execute import Host, execute, write_ticket
from contrastbench.runner.rows import read_row
from contrastbench.runner.vocabulary import Run

EPOCHS = 4  # the first one warms up


def probed_costs(runs: Iterable[Run], host: Host) -> dict[str, float]:
    """Seconds by run key; one probe for all seeds of a dataset and method. Runs that cannot be probed are left out."""
    seconds: dict[tuple[str, ...], float | None] = {}
    costs: dict[str, float] = {}
    for run in runs:
        place = (run.paper, run.stage, run.scale, run.dataset, run.method)
        if place not in seconds:
            seconds[place] = probed_seconds(run, host)
        if (value := seconds[place]) is not None:
            costs[run.key] = value
    return costs


def probed_seconds(run: Run, host: Host) -> float | None:
    """Seconds of the whole run: what its first epochs took apart from the rest, times its epochs, plus the rest.

    None where it has no ``epochs``, needs other runs' artefacts, or fails.
    """
    epochs = getattr(run.config, "epochs", None)
    if not epochs or run.needs:
        return None
    short = run.with_config(epochs=min(EPOCHS, epochs))
    importlib.import_module(f"benchmarks.{run.paper}.train")  # workers pay this once for many runs
    beats: list[tuple[int, float]] = []  # (epoch, when its line came)
    with tempfile.TemporaryDirectory(prefix="probe") as folder:
        ticket = write_ticket(dataclasses.replace(short), Path(folder), [])
        if execute(ticket, host, watch=lambda line: beats.append((line["epoch"], perf_counter()))) != "done":
            return None
        whole = read_row(ticket / "row.json")["seconds"]
    steps = [(after - at) / (later - epoch) for (epoch, at), (later, after) in pairwise(beats) if later > epoch]
    per_epoch = median(steps) if steps else whole / short.config.epochs
    return max(0.0, whole - per_epoch * short.config.epochs) + per_epoch * epochs
