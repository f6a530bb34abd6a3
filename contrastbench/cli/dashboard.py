"""Copies the curves of runs at work to a dashboard: `run --log-to tensorboard` or `--log-to wandb`."""

from __future__ import annotations

import importlib.util
import math
import time
from pathlib import Path
from typing import Any

from contrastbench.runner.launchers import Job
from contrastbench.runner.log import read_curve
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import resolved

KINDS = ("tensorboard", "wandb")
SECONDS_BETWEEN_LOOKS = 5.0


class Dashboard:
    """What launchers call as they call the display; it reads the curves from the runs' folders.

    Raises:
        ValueError: an unknown kind, or its package is not installed.
    """

    def __init__(self, kind: str, runs_folder: Path) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown dashboard {kind!r}; there are: {', '.join(KINDS)}")
        if importlib.util.find_spec(kind) is None:
            raise ValueError(f"--log-to {kind} needs the package {kind}, which is not installed: pip install {kind}")
        self.kind = kind
        self.folder = runs_folder / f".{kind}"  # no folder of runs begins with a dot
        self._open: dict[Path, Any] = {}
        self._copied: dict[Path, int] = {}  # the last epoch of a run that is there
        self._looked: dict[Path, float] = {}

    def watch(self, job: Job, event: dict[str, Any]) -> None:
        ended = "status" in event
        if ended or time.monotonic() - self._looked.get(job.folder, -math.inf) > SECONDS_BETWEEN_LOOKS:
            self._looked[job.folder] = time.monotonic()
            self._copy(job)
        if ended and job.folder in self._open:
            row = state_of(job.folder).row
            self._close(self._open.pop(job.folder), row["metrics"] if row else {}, self._copied.pop(job.folder, 0))

    def _copy(self, job: Job) -> None:
        last = self._copied.get(job.folder, -1)
        for line in (line for line in read_curve(job.folder) if line["epoch"] > last):
            if job.folder not in self._open:
                self._open[job.folder] = self._begin(job)
            values = {name: value for name, value in line.items() if name != "epoch" and _is_number(value)}
            self._log(self._open[job.folder], values, line["epoch"])
            self._copied[job.folder] = line["epoch"]

    def _begin(self, job: Job) -> Any:
        run = job.run
        name = f"{run.dataset} {run.method} seed {run.seed} {run.key[:8]}".replace("/", "_")
        if self.kind == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter

            return SummaryWriter(str(self.folder / run.paper / name))
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        labels = {"paper": run.paper, "scale": run.scale, "dataset": run.dataset, "method": run.method}
        return wandb.init(
            project="contrastbench",
            group=run.paper,
            name=name,
            id=run.key[:16],
            config={**labels, "seed": run.seed, **resolved(run.config)},
            dir=str(self.folder),
            resume="allow",
            reinit="create_new",
        )

    def _log(self, writer: Any, values: dict[str, float], epoch: int) -> None:
        if self.kind == "wandb":
            writer.log(values, step=epoch)
            return
        for name, value in values.items():
            writer.add_scalar(name, value, epoch)

    def _close(self, writer: Any, metrics: dict[str, float], epoch: int) -> None:
        if self.kind == "wandb":
            writer.summary.update(metrics)
            writer.finish()
            return
        self._log(writer, metrics, epoch)
        writer.close()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
