"""Copies the curves of runs at work to a dashboard: `run --log-to tensorboard` or `--log-to wandb`."""

import importlib
import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contrastbench.runner.launchers import Job
from contrastbench.runner.log import read_curve
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import config_values

SECONDS_BETWEEN_LOOKS = 5.0
Values = Mapping[str, float]
Writer = tuple[Callable[[Values, int], object], Callable[[], object]]  # adds values of an epoch; ends the run


class Dashboard:
    """Reads the curves from the runs' folders whenever a launcher tells of the runs.

    Raises:
        ValueError: an unknown kind, or its package is not installed.
    """

    def __init__(self, kind: str, runs_folder: Path) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown dashboard {kind!r}; there are: {', '.join(KINDS)}")
        if importlib.util.find_spec(kind) is None:
            raise ValueError(f"--log-to {kind} needs the package {kind}, which is not installed: pip install {kind}")
        self.open, self.folder = KINDS[kind], runs_folder / f".{kind}"  # no folder of runs begins with a dot
        self._opened: dict[Path, Writer] = {}
        self._copied: dict[Path, int] = {}  # the last epoch of a run that the dashboard has
        self._looked: dict[Path, float] = {}

    def watch(self, job: Job, event: Mapping[str, Any]) -> None:
        ended, folder = "status" in event, job.folder
        if not ended and time.monotonic() - self._looked.get(folder, -math.inf) < SECONDS_BETWEEN_LOOKS:
            return
        self._looked[folder] = time.monotonic()
        for line in (line for line in read_curve(folder) if line["epoch"] > self._copied.get(folder, -1)):
            if folder not in self._opened:
                name = f"{job.run.dataset} {job.run.method} seed {job.run.seed} {job.run.key[:8]}".replace("/", "_")
                self._opened[folder] = self.open(job, name, self.folder)
            numbers = {name: value for name, value in line.items() if type(value) in (int, float)}
            self._opened[folder][0](numbers, line["epoch"])
            self._copied[folder] = line["epoch"]
        if ended and folder in self._opened:
            log, close = self._opened.pop(folder)
            log(row["metrics"] if (row := state_of(folder).row) else {}, self._copied[folder])
            close()


def _tensorboard(job: Job, name: str, folder: Path) -> Writer:
    writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder / job.run.paper / name))

    def log(values: Values, epoch: int) -> None:
        for metric, value in values.items():
            writer.add_scalar(metric, value, epoch)

    return log, writer.close


def _wandb(job: Job, name: str, folder: Path) -> Writer:
    folder.mkdir(parents=True, exist_ok=True)
    labels = {name: getattr(job.run, name) for name in ("paper", "stage", "scale", "dataset", "method", "seed")}
    run = importlib.import_module("wandb").init(
        project="contrastbench",
        group=job.run.paper,
        name=name,
        id=job.run.key[:16],
        config={**config_values(job.run.config), **labels},
        dir=str(folder),
        resume="allow",
        reinit="create_new",
    )
    return lambda values, epoch: run.log(dict(values), step=epoch), run.finish


KINDS = {"tensorboard": _tensorboard, "wandb": _wandb}
