"""Begins a run when no similar one was measured, and estimates its cost from its first epochs.

The epochs are not lost: the run later goes on from their checkpoint. What a run does after its last epoch is timed on
a shortened copy of it, in the folder ``.probes`` of the runs folder. The cost is kept there, so each kind of run is
probed once on a device.

A run that needs others is probed in ``.probes`` altogether: the needed runs are done with few epochs, which gives
artefacts of the same shapes, and then come the run's own first epochs.
"""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from contrastbench.runner import files
from contrastbench.runner.devices import Host, device_of
from contrastbench.runner.plan import Planned, write_tickets
from contrastbench.runner.provenance import device_kind
from contrastbench.runner.tickets import folder_of, write_ticket
from contrastbench.runner.vocabulary import Run, chain

EPOCHS = 4  # the first one warms up
PROBES = ".probes"
STOP_SECONDS = 10.0  # that a run gets to reach its next epoch boundary, where it saves


def probed_costs(
    planned: Iterable[Planned],
    host: Host,
    runs_folder: Path,
    *,
    seconds: float = math.inf,
    said: Callable[[str], object] = lambda line: None,
) -> dict[str, float]:
    """Probes one run for all seeds of a dataset and method, and returns each run's seconds by its key.

    A run is left out if it has neither ``epochs`` nor needs, if it or a run that it needs fails, or if time runs out. A
    probe that is cut off goes on the next time.

    Args:
        planned: each after those that it needs.
        runs_folder: where the runs are begun.
        seconds: how long all probes together may take, from the beginning of the first.
        said: told of each probe before it begins.
    """
    kinds: dict[tuple[str, ...], Planned] = {}
    planned = [each for each in planned if epochs_of(each.run) or each.run.needs]
    for each in planned:
        kinds.setdefault(_kind(each.run), each)
    unknown = [each for each in kinds.values() if kept_seconds(each.run, host, runs_folder) is None]
    if unknown and seconds > 0:
        _probe_each(unknown, host, runs_folder, seconds, said)
    known = {kind: kept_seconds(each.run, host, runs_folder) for kind, each in kinds.items()}
    return {each.run.key: value for each in planned if (value := known[_kind(each.run)]) is not None}


def _kind(run: Run) -> tuple[str, ...]:
    return run.paper, run.stage, run.scale, run.protocol, run.dataset, run.method


def _probe_each(
    planned: Sequence[Planned], host: Host, runs_folder: Path, seconds: float, said: Callable[[str], object]
) -> None:
    """Probes in a process of its own. When the time is spent, it saves the run at work and ends."""
    jobs = {str(_begun(each, runs_folder)): each.run for each in planned}
    command = [sys.executable, "-m", "contrastbench.runner.probing", *jobs]
    command += ["--runs", str(runs_folder), "--device", host.device, "--threads", str(host.threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(host.threads), "MKL_NUM_THREADS": str(host.threads)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    left = min(seconds, threading.TIMEOUT_MAX / 2)
    clocks = [threading.Timer(left, process.terminate), threading.Timer(left + STOP_SECONDS, process.kill)]
    for clock in clocks:
        clock.daemon = True
    try:
        for line in process.stdout or ():
            if not clocks[0].ident:  # the first run begins: what Python took to start does not count
                for clock in clocks:
                    clock.start()
            run = jobs[line.strip()]
            after = "behind what it needs in short" if run.needs else "which it goes on from later"
            said(f"probing {run.dataset} {run.method}: its first {EPOCHS} epochs, {after}")
    finally:
        process.terminate()
        process.wait()
        for clock in clocks:
            clock.cancel()


def cost_file(run: Run, runs_folder: Path) -> Path:
    """The file that keeps the cost of the run's kind, in the folder of the shortened copy."""
    return folder_of(shortened(run), runs_folder / PROBES) / "cost.json"


def _begun(planned: Planned, runs_folder: Path) -> Path:
    """Writes the probed run's ticket and returns its folder: the run's own, or one in ``.probes`` if it has needs."""
    if not planned.run.needs:
        (job,) = write_tickets([planned], runs_folder)
        return job.folder
    begun = dataclasses.replace(planned.run, needs=shortened(planned.run).needs)
    return [write_ticket(run, runs_folder / PROBES, []) for run in chain([begun]).values()][-1]


def shortened(run: Run) -> Run:
    """A copy of the run with few epochs; the runs that it needs are shortened too."""
    few = run.with_config(epochs=min(EPOCHS, epochs_of(run))) if epochs_of(run) else run
    return dataclasses.replace(few, needs={name: shortened(need) for name, need in run.needs.items()})


def epochs_of(run: Run) -> int:
    """The epochs in the run's config, 0 if it has no such field."""
    return getattr(run.config, "epochs", None) or 0


def kept_seconds(run: Run, host: Host, runs_folder: Path) -> float | None:
    """The seconds of the whole run, from an earlier probe on this kind of device; None if there was none.

    They are one line's seconds times the number of lines, plus what the run takes apart from its lines.
    """
    try:
        found = files.read_object(cost_file(run, runs_folder))
    except (OSError, ValueError):
        return None
    if any(found.get(name) != value for name, value in where(run, host).items()) or "seconds_per_line" not in found:
        return None
    return found["seconds_apart"] + found["seconds_per_line"] * (found["lines"] or epochs_of(run))


def where(run: Run, host: Host) -> dict[str, Any]:
    """The kind of device and the number of threads for which a measured cost holds."""
    device = device_of(run.paper, run.stage, run.config, host.device)
    return {"device": device_kind(device), "threads": host.threads}
