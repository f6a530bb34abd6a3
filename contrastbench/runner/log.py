"""What a run says while it works: its curve, and the facts that end up in its row."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contrastbench.runner import files


class Log:
    """The run's curve: one line of ``metrics.jsonl`` per call, and the facts that end up in the row.

    Args:
        folder: the run's folder, or None to keep nothing on disk.
        watch: called with each line; the worker's progress display.
    """

    def __init__(self, folder: Path | None = None, watch: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.path = folder / "metrics.jsonl" if folder else None
        self.watch = watch
        self.latest: dict[str, Any] = {}  # what the watch was told last
        self.data_sha256: dict[str, str] = {}
        self.epoch: int | None = None
        self.selection = "last epoch"

    def __call__(self, epoch: int, **values: float | int | str) -> None:
        """Adds a line. ``epoch`` counts from 0; epochs that a resumed run repeats replace their old lines."""
        line = {"epoch": epoch, **values}
        text = json.dumps(line)
        if type(epoch) is not int:
            raise TypeError(f"an epoch is a whole number, got {epoch!r}")
        self.epoch = epoch
        if self.path:
            with open(self.path, "a") as file:
                file.write(text + "\n")
        self._tell(line)

    def _tell(self, line: dict[str, Any]) -> None:
        self.latest = line
        if self.watch:
            self.watch(line)

    def total(self, count: int, unit: str = "epochs") -> None:
        """Says how many lines the run will log, and what each stands for (``"folds"``), for its progress and cost.

        Without this call, the run is expected to log its config's ``epochs``.
        """
        self._tell({"total": count, "unit": unit})

    def note(self, text: str) -> None:
        """Prints something that is no part of the curve: to ``log.txt`` and to the front command's display."""
        print(text, flush=True)
        self._tell({"note": text})

    def data(self, name: str, sha256: str) -> None:
        """Records the content checksum of a data set that the run read."""
        if not isinstance(name, str) or not isinstance(sha256, str):
            raise TypeError(f"a data set's name and checksum are texts, got {name!r} and {sha256!r}")
        self.data_sha256[name] = sha256

    def selected_by(self, rule: str) -> None:
        """Records how the reported epoch or setting was chosen, e.g. ``"best epoch on the test folds (leaks)"``."""
        if not isinstance(rule, str):
            raise TypeError(f"the rule is a text, got {rule!r}")
        self.selection = rule

    def last_epoch(self) -> int | None:
        """The last epoch whose line is on disk."""
        lines = read_curve(self.path.parent) if self.path else []
        return max((line["epoch"] for line in lines), default=None)

    def rewind(self, epoch: int) -> None:
        """Drops the lines from ``epoch`` on: they will be written again."""
        self.epoch = epoch - 1 if epoch else None
        if self.path and self.path.exists():
            kept = [line for line in read_curve(self.path.parent) if line["epoch"] < epoch]
            files.write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's ``metrics.jsonl``, without one that a kill cut off and without any other damage."""
    try:
        texts = (folder / "metrics.jsonl").read_text(errors="replace").splitlines()
    except OSError:
        return []
    lines = []
    for text in texts:
        with contextlib.suppress(ValueError, RecursionError):
            line = json.loads(text)
            if isinstance(line, dict) and type(line.get("epoch")) is int:
                lines.append(line)
    return lines
