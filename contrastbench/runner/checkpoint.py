"""Saves a run at epoch boundaries, goes on from there, and hands artefacts from a run to those that need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contrastbench.runner import files, rows
from contrastbench.runner.artefacts import load_tensors, lost_artefact, sha256_of
from contrastbench.runner.log import Log
from contrastbench.runner.stopping import Interrupted, stop_requested

SECONDS_BETWEEN_PER_SECOND_OF_SAVING = 50.0  # saving then takes at most 2 % of a run


class Checkpoint:
    """Saves and restores a run at epoch boundaries, and hands over the artefacts of the runs it needs.

    A part is anything with ``state_dict`` and ``load_state_dict``, or a dict, list or tensor, which is restored in
    place. Files hold tensors and plain values and are read with ``weights_only=True``.

    Args:
        folder: the run's folder, or None to keep nothing on disk.
        log: rewound when the run resumes.
        every_seconds: a save within this time of the last one is skipped, longer if a save itself takes long; 0 saves
            always. Epochs that were not saved are done again, with the same random streams and so the same result.
        needed: the folders of the runs that this one needs, by the names of ``Run.needs``.
        agree: whether any of the run's processes was asked to stop, so that all stop at the same epoch.
        assists: this is not the run's first process: it reads what the first one saves and writes nothing.
        clock: seconds, as ``time.monotonic`` gives them.
    """

    def __init__(
        self,
        folder: Path | None = None,
        log: Log | None = None,
        *,
        every_seconds: float = 20.0,
        needed: Mapping[str, Path] | None = None,
        agree: Callable[[bool], bool] = bool,
        assists: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.agree, self.assists = agree, assists
        self.folder = folder
        self.log = log
        self.every_seconds = every_seconds
        self.needed_folders = dict(needed or {})
        self.artefact_sha256: str | None = None
        self.artefacts_read: dict[str, str] = {}  # sha256 by the need's name
        self.resumed_from: int | None = None
        self._last_save = clock()
        self._save_seconds = 0.0  # what the last save took

    def restore(self, **parts: Any) -> int:
        """Loads the last save into ``parts`` and returns the epoch to go on from; 0 where there is none."""
        if self.folder is None or not (self.folder / "checkpoint.pt").exists():
            if self.log:
                self.log.rewind(0)
            return 0
        try:
            saved = load_tensors(self.folder / "checkpoint.pt")
        except ValueError as error:
            if self.assists:
                return 0
            (self.folder / "checkpoint.pt").replace(self.folder / "checkpoint.damaged.pt")
            if self.log:
                self.log.note(f"{error}; the run starts again")
                self.log.rewind(0)
            return 0
        if set(saved["parts"]) != set(parts):
            raise ValueError(
                f"{self.folder / 'checkpoint.pt'} holds {sorted(saved['parts'])}, the run has {sorted(parts)}; "
                "remove the file and the run starts again"
            )
        for name, part in parts.items():
            _restore_part(part, saved["parts"][name])
        if self.log:
            self.log.rewind(saved["epoch"])
        self.resumed_from = saved["epoch"]
        return saved["epoch"]

    def save(self, epoch: int, **parts: Any) -> None:
        """Saves ``parts`` as they are before ``epoch``, unless the last save is recent.

        Raises:
            Interrupted: the run was asked to stop; it is saved.
        """
        stop = self.agree(stop_requested())
        if self.assists and stop:
            raise Interrupted
        if self.folder is None or self.assists or not (stop or self._is_due()):
            return
        import torch

        began = self.clock()
        state = {"epoch": epoch, "parts": {name: _state(part) for name, part in parts.items()}}
        files.write_whole(self.folder / "checkpoint.pt", lambda file: torch.save(state, file))
        self._last_save = self.clock()
        self._save_seconds = self._last_save - began
        if stop:
            raise Interrupted

    def _is_due(self) -> bool:
        """Whether enough time has passed since the last save: the longer a save takes, the rarer it is."""
        wait = max(self.every_seconds, SECONDS_BETWEEN_PER_SECOND_OF_SAVING * self._save_seconds)
        return not self.every_seconds or self.clock() - self._last_save >= wait

    def keep(self, **parts: Any) -> None:
        """Publishes the run's artefact for the runs that need it; its sha256 goes into the row."""
        if self.folder is None or self.assists:
            return
        import torch

        state = {name: _state(part) for name, part in parts.items()}
        files.write_whole(self.folder / "artefact.pt", lambda file: torch.save(state, file))
        self.artefact_sha256 = sha256_of(self.folder / "artefact.pt")

    def needed(self, name: str) -> dict[str, Any]:
        """Loads the artefact of the run that is needed by this name, once its content matches that run's row.

        Raises:
            ValueError: nothing is needed by this name, or the artefact is not there or not what the row recorded.
        """
        folder = self._needed_folder(name)
        row = rows.read_row(folder / "row.json")
        if row["artefact_sha256"] is None:
            raise ValueError(
                f"{name!r}, run {folder.name[:12]}, keeps no artefact; its stage must call checkpoint.keep"
            )
        if problem := lost_artefact(folder, row):
            raise ValueError(f"{problem}; `contrastbench retry` does that run again and then this one")
        self.artefacts_read[name] = row["artefact_sha256"]
        return load_tensors(folder / "artefact.pt")

    def needed_metrics(self, name: str) -> dict[str, float]:
        """The metrics in the row of the run that is needed by this name."""
        return rows.read_row(self._needed_folder(name) / "row.json")["metrics"]

    def _needed_folder(self, name: str) -> Path:
        if name not in self.needed_folders:
            there = ", ".join(self.needed_folders) or "nothing"
            raise ValueError(f"this run needs no run called {name!r}; it needs: {there}")
        return self.needed_folders[name]


def _state(part: Any) -> Any:
    return part.state_dict() if hasattr(part, "state_dict") else part


def _restore_part(part: Any, state: Any) -> None:
    if hasattr(part, "load_state_dict"):
        part.load_state_dict(state)
    elif isinstance(part, dict):
        part.clear()
        part.update(state)
    elif isinstance(part, list):
        part[:] = state
    else:
        part.copy_(state)
