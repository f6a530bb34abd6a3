"""Invented rows and cells for the tests of verdicts, report and readmes; none of them comes near results/."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contrastbench.runner.studies import Study
from contrastbench.runner.vocabulary import Cell, Run, canonical_json, config_values, seeded


@dataclass(frozen=True)
class Config:
    method: str = "SimCLR"
    dataset: str = "Alpha"
    beta: float = 0.0


class Synthetic:
    """Builds rows for cells as the runner would leave them."""

    Config = Config

    def cell(self, method: str, dataset: str = "Alpha", seeds: Sequence[int] = range(5), **options: Any) -> Cell:
        run = self.run(method, dataset, **options)
        metric = options.get("metric", "test_top1_percent")
        settings = {"beta": run.config.beta} if run.config.beta else {}
        return Cell(dataset, method, metric, seeded(run, seeds), settings, options.get("better", "higher"))

    def run(self, method: str, dataset: str = "Alpha", beta: float = 0.0, scale: str = "paper", **options: Any) -> Run:
        kinds = {name: options[name] for name in ("variant", "protocol") if name in options}
        return Run("toy", Config(method, dataset, beta), 0, scale, dataset, method, **kinds)

    def row(self, run: Run, value: float | None, metric: str = "test_top1_percent", **fields: Any) -> dict[str, Any]:
        row = {
            **{"schema": 1, "key": run.key, "paper": run.paper, "stage": run.stage, "cells": [["main", run.method]]},
            **{"scale": run.scale, "variant": run.variant, "protocol": run.protocol, "protocol_version": 1},
            **{"dataset": run.dataset, "method": run.method, "config": config_values(run.config), "seed": run.seed},
            "needs": run.identity["needs"],
            **{"metrics": {} if value is None else {metric: value}, "series": {}, "selection": "last epoch"},
            **{"epoch": 9, "status": "done" if value is not None else "failed", "error": None, "attempt": 1},
            **{"resumes": 0, "git": {"commit": "c0ffee", "dirty": False}, "versions": {"torch": "2"}, "data": {}},
            **{"device": "cpu", "determinism": "bitwise", "threads": 1, "seconds": 12.5, "peak_mb": 300.0},
            **{"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:12Z"},
            **{"host": {"machine": "x86_64", "cpu": "a cpu"}, "artefact_sha256": None},
            **fields,
        }
        return {**row, "sha256": hashlib.sha256(canonical_json(row).encode()).hexdigest()}

    def rows(self, cell: Cell, mean: float, sd: float = 1.0, **fields: Any) -> list[dict[str, Any]]:
        """One row per declared run; the values' mean and sd (n - 1) are exactly those asked for."""
        key = int(hashlib.sha256(cell.name.encode()).hexdigest()[:8], 16)
        draws = np.random.default_rng(key).normal(size=len(cell.runs))
        draws = mean + sd * (draws - draws.mean()) / (draws.std(ddof=1) if len(draws) > 1 else 1.0)
        return [self.row(run, float(v), cell.metric, **fields) for run, v in zip(cell.runs, draws, strict=True)]

    def failure(
        self, run: Run, status: str = "diverged", message: str = "loss became nan in epoch 3"
    ) -> dict[str, Any]:
        error = {"type": "FloatingPointError", "message": message, "log_tail": f"epoch 2 loss 9e9\n{message}"}
        return self.row(run, None, status=status, error=error)

    def table(self, **options: Any) -> Study:
        wanted = {"title": "Does it hold?", "baseline": "SimCLR", **options}
        return Study("main", methods=lambda on: (), scales={}, **wanted)
