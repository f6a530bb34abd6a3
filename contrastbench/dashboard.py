"""Copies the curves of runs at work to a dashboard: `run --log-to tensorboard` or `--log-to wandb`."""

from __future__ import annotations

import importlib
import importlib.util
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrastbench.runner.launchers import Job, Watch
from contrastbench.runner.log import read_curve
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import config_values

KINDS = ("tensorboard", "wandb")
SECONDS_BETWEEN_LOOKS = 5.0


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
        self.writer_of = _TensorBoard if kind == "tensorboard" else _WandB
        self.folder = runs_folder / f".{kind}"  # no folder of runs begins with a dot
        self._writers: dict[Path, Any] = {}
        self._copied: dict[Path, int] = {}  # the last epoch of a run that the dashboard has
        self._looked: dict[Path, float] = {}

    def watch(self, job: Job, event: Mapping[str, Any]) -> None:
        ended, folder = "status" in event, job.folder
        if not ended and time.monotonic() - self._looked.get(folder, -math.inf) < SECONDS_BETWEEN_LOOKS:
            return
        self._looked[folder] = time.monotonic()
        last = self._copied.get(folder, -1)
        for line in (line for line in read_curve(folder) if line["epoch"] > last):
            if folder not in self._writers:
                self._writers[folder] = self.writer_of(job, self.folder)
            self._writers[folder].log({name: value for name, value in line.items() if _is_number(value)}, line["epoch"])
            self._copied[folder] = line["epoch"]
        if ended and folder in self._writers:
            row = state_of(folder).row
            self._writers.pop(folder).close(row["metrics"] if row else {}, self._copied.get(folder, 0))


def both(first: Watch, second: Watch) -> Watch:
    def watch(job: Job, event: dict[str, Any]) -> None:
        first(job, event)
        second(job, event)

    return watch


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name_of(job: Job) -> str:
    return f"{job.run.dataset} {job.run.method} seed {job.run.seed} {job.run.key[:8]}".replace("/", "_")


class _TensorBoard:
    def __init__(self, job: Job, folder: Path) -> None:
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        self.writer = writer(str(folder / job.run.paper / _name_of(job)))

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, epoch)

    def close(self, metrics: Mapping[str, float], epoch: int) -> None:
        self.log(metrics, epoch)
        self.writer.close()


class _WandB:
    def __init__(self, job: Job, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        run = job.run
        labels = {name: getattr(run, name) for name in ("paper", "stage", "scale", "dataset", "method", "seed")}
        self.run = importlib.import_module("wandb").init(
            project="contrastbench",
            group=run.paper,
            name=_name_of(job),
            id=run.key[:16],
            config={**config_values(run.config), **labels},
            dir=str(folder),
            resume="allow",
            reinit="create_new",
        )

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        self.run.log(dict(values), step=epoch)

    def close(self, metrics: Mapping[str, float], epoch: int) -> None:
        self.run.summary.update(dict(metrics))
        self.run.finish()
