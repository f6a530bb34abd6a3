"""The process that probes: ``python -m contrastbench.runner.probing FOLDER... --runs RUNS``.

It prints a run's folder before it begins the run, and writes the run's cost to its file. SIGTERM saves the run at its
next epoch boundary and ends the process.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import sys
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from contrastbench.runner import claims, files
from contrastbench.runner.artefacts import lost_artefact
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import execute
from contrastbench.runner.probe import EPOCHS, PROBES, cost_file, epochs_of, shortened, where
from contrastbench.runner.rows import read_row
from contrastbench.runner.states import redo_if_lost, state_of
from contrastbench.runner.stopping import Interrupted, forget_stop, request_stop
from contrastbench.runner.tickets import folder_of, run_of, write_ticket
from contrastbench.runner.vocabulary import Run, chain

LINES = 2  # of a run that counts folds or blocks, each of which takes as long as many epochs


def main() -> None:
    parser = argparse.ArgumentParser(description="Begins runs and keeps what they will cost.")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    told: list[int] = []

    def stop(number: int, frame: object) -> None:
        told.append(number)
        request_stop()

    signal.signal(signal.SIGTERM, stop)
    for folder in arguments.folders:
        if not told:
            try:
                run = run_of(folder)
                importlib.import_module(f"benchmarks.{run.paper}.train")  # workers pay this once for many runs
                print(folder, flush=True)
                probe(run, folder, Host(arguments.device, arguments.threads, "local"), arguments.runs, told)
            except (OSError, ValueError) as error:  # of this run's folder; the others are probed all the same
                print(f"{folder} cannot be probed: {error}", file=sys.stderr)


def probe(run: Run, folder: Path, host: Host, runs_folder: Path, told: list[int]) -> None:
    """Begins one run and keeps its cost: the seconds of one line and, if lines are epochs, those of all the rest."""
    if not all(_is_made(need, host, runs_folder) for need in chain(run.needs.values()).values()):
        return
    first, status = _First(bool(epochs_of(run))), "begun"
    with contextlib.suppress(Interrupted):
        status = execute(folder, host, watch=first.heard)
    if told or status not in ("begun", "done") or not (first.steps or status == "done"):
        return
    forget_stop()
    per_line = median(first.steps) if first.steps else 0.0
    apart: float | None
    if status == "done":
        apart = _beside(folder, per_line, first.epochs)
    else:
        apart = 0.0 if first.lines else _seconds_apart(run, per_line, folder, host, runs_folder)
    if apart is not None:
        lines = first.lines or (None if epochs_of(run) else first.epochs)
        found = {"seconds_apart": apart, "seconds_per_line": per_line, "lines": lines}
        cost_file(run, runs_folder).parent.mkdir(parents=True, exist_ok=True)
        files.write_json(cost_file(run, runs_folder), {**found, **where(run, host)})


def _is_made(need: Run, host: Host, runs_folder: Path) -> bool:
    """Does a shortened run that a probed run needs, unless it is done already. Returns whether it is done."""
    folder = folder_of(need, runs_folder / PROBES)
    state = state_of(folder)
    if state.row and state.name == "done":
        if not lost_artefact(folder, state.row):
            return True
        redo_if_lost(folder)
    claim = claims.latest(folder)
    if claim and claim.owner.get("pid") == os.getpid():  # this process began it, and has let go of it since
        (folder / f"claim.{claim.number}").unlink()
    with contextlib.suppress(Interrupted):
        return execute(folder, host) == "done"
    return False


class _First:
    """Times the first lines of a run's curve, then has it saved and stopped.

    Args:
        ends: the run's config says how many epochs it has. A run that never tells the number of its lines is not
            stopped.
    """

    def __init__(self, ends: bool) -> None:
        self.ends = ends
        self.epochs = 0  # or folds, that were heard of
        self.lines: int | None = None  # how many there will be, where they are no epochs
        self._beats: list[tuple[int, float]] = []

    def heard(self, line: dict[str, Any]) -> None:
        if line.get("unit", "epochs") != "epochs":
            self.lines = line["total"]
            self._beats.append((-1, perf_counter()))  # unlike a first epoch, the first fold warms nothing up
        if "epoch" in line:
            self.epochs += 1
            self._beats.append((line["epoch"], perf_counter()))
        if not (self.ends or self.lines):
            return
        enough = LINES if self.lines else EPOCHS - 1
        if len(self._beats) > 2 * enough + 1:  # a run that saves rarely: stop it now, its unsaved lines are done again
            raise Interrupted
        if len(self._beats) > enough:
            request_stop()

    @property
    def steps(self) -> list[float]:
        """Seconds of each line but the first."""
        return [
            (after - at) / (later - epoch) for (epoch, at), (later, after) in pairwise(self._beats) if later > epoch
        ]


def _seconds_apart(run: Run, per_epoch: float, begun: Path, host: Host, runs_folder: Path) -> float | None:
    """Times what the run does beside its epochs: a shortened copy goes on from the probed epochs to its end."""
    folder = write_ticket(shortened(run), runs_folder / PROBES, [])
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(begun / "checkpoint.pt", folder)
    epochs: list[int] = []
    try:
        status = execute(folder, host, watch=lambda line: epochs.append(line["epoch"]) if "epoch" in line else None)
    except Interrupted:
        return None
    return _beside(folder, per_epoch, len(epochs)) if status == "done" else None


def _beside(folder: Path, per_epoch: float, epochs: int) -> float:
    """What a finished run took beside its epochs."""
    return max(0.0, read_row(folder / "row.json")["seconds"] - per_epoch * epochs)


if __name__ == "__main__":
    main()
