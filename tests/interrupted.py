"""A run that is killed in one of its epochs and begun again in the same folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contrastbench.runner import Log


class KilledError(Exception):
    """Stands for a kill at an epoch's end."""


def killed_and_resumed(attempt: Callable[[Log], Any], folder: Path, epoch: int) -> tuple[list[int], Any]:
    """The epochs done after the kill, and the metrics. ``attempt`` trains in the folder, with the log that it gets."""

    def kill(line: dict[str, Any]) -> None:
        if line.get("epoch") == epoch:
            raise KilledError

    with pytest.raises(KilledError):
        attempt(Log(folder, kill))
    assert (folder / "checkpoint.pt").exists()
    epochs: list[int] = []
    metrics = attempt(Log(folder, lambda line: epochs.append(line["epoch"]) if "epoch" in line else None))
    return epochs, metrics
