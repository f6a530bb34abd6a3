"""What a Slurm task writes down for its next start, and for the front command: a small file beside its script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contrastbench.runner import files

# timeouts: time limits reached since a run ended last; finished: runs ended by then; told_to_go: it has saved and left;
# alone: its runs work one at a time, since several of them took too much memory together.
NOTHING = {"timeouts": 0, "finished": 0, "told_to_go": False, "alone": False}


class Notes:
    """The notes of one task of an array."""

    def __init__(self, submission: Path, number: int) -> None:
        self._path = submission / f"{number}.json"
        self.last_start = self._path.stat().st_mtime if self._path.exists() else 0.0  # it writes them when it begins
        self._values: dict[str, Any] = {**NOTHING, **(files.read_json(self._path) if self.last_start else {})}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def write(self, **changes: Any) -> None:
        self._values |= changes
        files.write_json(self._path, self._values, sync=False)


def was_told_to_go(mark: dict[str, Any]) -> bool:
    """Whether the task that a run's mark names has saved and ended because Slurm told it to go."""
    return Notes(Path(mark["submission"]), mark["task"])["told_to_go"]
