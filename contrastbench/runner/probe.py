"""The cost of a run that nothing like was measured for: its first epochs are done, and what they took is kept.

What a probe measured stays in ``.probes`` of the runs folder, so the same probe is never done twice on a device.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from contrastbench.runner import files
from contrastbench.runner.checkpoint import Interrupted, forget_stop, request_stop
from contrastbench.runner.execute import Host, execute, folder_of, write_ticket
from contrastbench.runner.provenance import device_kind
from contrastbench.runner.rows import read_row
from contrastbench.runner.vocabulary import Run

EPOCHS = 4  # the first one warms up
LINES = 2  # of a run that counts folds or blocks, each of which takes as long as many epochs
PROBES = ".probes"


def probed_costs(
    runs: Iterable[Run],
    host: Host,
    runs_folder: Path,
    *,
    seconds: float = math.inf,
    said: Callable[[str], object] = lambda line: None,
) -> dict[str, float]:
    """Seconds by run key; one probe for all seeds of a dataset and method. Runs that cannot be probed are left out.

    Args:
        runs_folder: where the probes are kept.
        seconds: how long all probes together may take; what is not probed by then is left out.
        said: told of each probe before it begins.
    """
    until = time.monotonic() + seconds
    known: dict[tuple[str, ...], float | None] = {}
    costs: dict[str, float] = {}
    for run in runs:
        place = (run.paper, run.stage, run.scale, run.protocol, run.dataset, run.method)
        if place not in known:
            known[place] = probed_seconds(run, host, runs_folder, until, said)
        if (value := known[place]) is not None:
            costs[run.key] = value
    return costs


def probed_seconds(
    run: Run,
    host: Host,
    runs_folder: Path,
    until: float = math.inf,
    said: Callable[[str], object] = lambda line: None,
) -> float | None:
    """Seconds of the whole run: what its first epochs took apart from the rest, times its epochs, plus the rest.

    None where it has no ``epochs``, needs other runs' artefacts, fails, or is not through by ``until``
    (``time.monotonic``). A probe that is cut off goes on from its checkpoint the next time.
    """
    if not _can_be_probed(run):
        return None
    short = run.with_config(epochs=min(EPOCHS, run.config.epochs))
    folder = folder_of(short, runs_folder / PROBES)
    kept = _kept(folder, host)
    if kept is None and time.monotonic() < until:
        said(f"probing {run.dataset} {run.method}: its first {EPOCHS} epochs")
        try:
            kept = _measure(short, folder, host, runs_folder, until)
        except _OtherUnit:
            return _seconds_by_lines(run, host, runs_folder, until)
    if kept is None:
        return None
    per_epoch = kept["seconds_per_epoch"]
    return max(0.0, kept["seconds"] - per_epoch * short.config.epochs) + per_epoch * run.config.epochs


class _OtherUnit(Interrupted):
    """The run's log does not count epochs: a shorter run would not tell what one of its lines takes."""


def _seconds_by_lines(run: Run, host: Host, runs_folder: Path, until: float) -> float | None:
    """Seconds of a run that counts folds, say: its first lines are waited for, and the others taken to be like them."""
    beats, total = [perf_counter()], [0]

    def heard(line: dict[str, Any]) -> None:
        total[0] = line.get("total", total[0])
        beats.extend([perf_counter()] * ("epoch" in line))
        if len(beats) > LINES or time.monotonic() >= until:
            raise Interrupted

    with contextlib.suppress(Interrupted):
        execute(write_ticket(run, runs_folder / PROBES, []), host, watch=heard)
    each = [after - before for before, after in pairwise(beats)]
    return sum(each) + median(each) * (total[0] - len(each)) if each else None


def _can_be_probed(run: Run) -> bool:
    return bool(getattr(run.config, "epochs", None)) and not run.needs


def _measure(short: Run, folder: Path, host: Host, runs_folder: Path, until: float) -> dict[str, Any] | None:
    importlib.import_module(f"benchmarks.{short.paper}.train")  # workers pay this once for many runs
    beats: list[tuple[int, float]] = []  # (epoch, when its line came)

    def heard(line: dict[str, Any]) -> None:
        if line.get("unit", "epochs") != "epochs":
            raise _OtherUnit
        if "epoch" in line:
            beats.append((line["epoch"], perf_counter()))
        if time.monotonic() >= until:
            request_stop()

    try:
        if execute(write_ticket(short, runs_folder / PROBES, []), host, watch=heard) != "done":
            return None
    except _OtherUnit:
        raise
    except Interrupted:
        return None
    finally:
        forget_stop()
    whole = read_row(folder / "row.json")["seconds"]
    steps = [(after - at) / (later - epoch) for (epoch, at), (later, after) in pairwise(beats) if later > epoch]
    per_epoch = median(steps) if steps else whole / short.config.epochs
    found = {
        "seconds": whole,
        "seconds_per_epoch": per_epoch,
        "device": device_kind(host.device),
        "threads": host.threads,
    }
    files.write_json(folder / "cost.json", found)
    return found


def _kept(folder: Path, host: Host) -> dict[str, Any] | None:
    """What an earlier probe on such a device found."""
    try:
        found = files.read_object(folder / "cost.json")
    except (OSError, ValueError):
        return None
    same = (found.get("device"), found.get("threads")) == (device_kind(host.device), host.threads)
    return found if same else None
