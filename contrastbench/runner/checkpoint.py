"""What a run leaves on disk while it works: its curve, its checkpoint and, for runs that others need, its artefact."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from contrastbench.runner import files, rows

SECONDS_BETWEEN_PER_SECOND_OF_SAVING = 50.0  # saving then takes at most 2 % of a run


class Interrupted(BaseException):
    """The run was asked to stop and has saved its checkpoint. Not an error: it leaves no row and goes on later."""


_stop_requested = threading.Event()


def request_stop() -> None:
    """Asks the run of this process to save at its next epoch boundary and stop there (``Interrupted``)."""
    _stop_requested.set()


def stop_requested() -> bool:
    return _stop_requested.is_set()


def forget_stop() -> None:
    """Runs of this process go on as if no stop had been asked for."""
    _stop_requested.clear()


class Log:
    """The run's curve: one line of ``metrics.jsonl`` per call, and the facts that end up in the row.

    Args:
        folder: the run's folder, or None to keep nothing on disk.
        watch: called with each line; the worker's progress display.
    """

    def __init__(self, folder: Path | None = None, watch: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.path = folder / "metrics.jsonl" if folder else None
        self.watch = watch
        self.data_sha256: dict[str, str] = {}
        self.epoch: int | None = None
        self.selection = "last epoch"

    def __call__(self, epoch: int, **values: float | int | str) -> None:
        """Adds a line. ``epoch`` counts from 0; epochs that a resumed run repeats replace their old lines."""
        self.epoch = epoch
        line = {"epoch": epoch, **values}
        if self.path:
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
        if self.watch:
            self.watch(line)

    def total(self, count: int, unit: str = "epochs") -> None:
        """Says how many lines the run will log, and what each stands for (``"folds"``), for its progress and cost.

        Without a call the run is taken to log its config's ``epochs``.
        """
        if self.watch:
            self.watch({"total": count, "unit": unit})

    def note(self, text: str) -> None:
        """Says something that is no part of the curve, in ``log.txt`` and in the front command's display."""
        print(text, flush=True)
        if self.watch:
            self.watch({"note": text})

    def data(self, name: str, sha256: str) -> None:
        """Records the content checksum of a data set that the run read."""
        self.data_sha256[name] = sha256

    def selected_by(self, rule: str) -> None:
        """Records how the reported epoch or setting was chosen, e.g. ``"best epoch on the test folds (leaks)"``."""
        self.selection = rule

    def last_epoch(self) -> int | None:
        """The last epoch whose line is on disk."""
        lines = self.path.read_text().splitlines() if self.path and self.path.exists() else []
        epochs = [_epoch_of(line) for line in lines]
        return max((int(epoch) for epoch in epochs if epoch != float("inf")), default=None)

    def rewind(self, epoch: int) -> None:
        """Drops the lines from ``epoch`` on: they will be written again."""
        self.epoch = epoch - 1 if epoch else None
        if self.path and self.path.exists():
            kept = [line for line in self.path.read_text().splitlines(keepends=True) if _epoch_of(line) < epoch]
            files.write_text(self.path, "".join(kept))


def _epoch_of(line: str) -> float:
    """The line's epoch; a line cut off by a kill counts as later than all."""
    try:
        return json.loads(line)["epoch"]
    except (json.JSONDecodeError, KeyError):
        return float("inf")


class Checkpoint:
    """Saves and restores a run at epoch boundaries, and hands over the artefacts of the runs it needs.

    A part is anything with ``state_dict`` and ``load_state_dict``, or a dict, list or tensor, which is restored in
    place. Files hold tensors and plain values and are read with ``weights_only=True``.

    Args:
        folder: the run's folder, or None to keep nothing on disk.
        log: rewound when the run resumes.
        every_seconds: a save within this time of the last one is skipped: the epochs are then done again, with the
            same random streams and so the same result. Longer where a save itself takes long. 0 saves always.
        needed: the folders of the runs that this one needs, by the names of ``Run.needs``.
        agree: whether any of the run's processes was asked to stop, so that all stop at the same epoch.
        assists: this is not the run's first process: it reads what the first one saves and writes nothing.
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
    ) -> None:
        self.agree, self.assists = agree, assists
        self.folder = folder
        self.log = log
        self.every_seconds = every_seconds
        self.needed_folders = dict(needed or {})
        self.artefact_sha256: str | None = None
        self.artefacts_read: dict[str, str] = {}  # sha256 by the need's name
        self.resumed_from: int | None = None
        self._last_save = time.monotonic()
        self._save_seconds = 0.0  # what the last save took

    def restore(self, **parts: Any) -> int:
        """Loads the last save into ``parts`` and returns the epoch to go on from; 0 where there is none."""
        if self.folder is None or not (self.folder / "checkpoint.pt").exists():
            if self.log:
                self.log.rewind(0)
            return 0
        try:
            saved = _load(self.folder / "checkpoint.pt")
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
        stop = self.agree(_stop_requested.is_set())
        if self.assists and stop:
            raise Interrupted
        if self.folder is None or self.assists or not (stop or self._is_due()):
            return
        import torch

        began = time.monotonic()
        state = {"epoch": epoch, "parts": {name: _state(part) for name, part in parts.items()}}
        files.write_whole(self.folder / "checkpoint.pt", lambda file: torch.save(state, file))
        self._last_save = time.monotonic()
        self._save_seconds = self._last_save - began
        if stop:
            raise Interrupted

    def _is_due(self) -> bool:
        """Whether enough time has passed since the last save: the longer a save takes, the rarer it is."""
        wait = max(self.every_seconds, SECONDS_BETWEEN_PER_SECOND_OF_SAVING * self._save_seconds)
        return not self.every_seconds or time.monotonic() - self._last_save >= wait

    def keep(self, **parts: Any) -> None:
        """Publishes the run's artefact for the runs that need it; its sha256 goes into the row."""
        if self.folder is None or self.assists:
            return
        import torch

        state = {name: _state(part) for name, part in parts.items()}
        files.write_whole(self.folder / "artefact.pt", lambda file: torch.save(state, file))
        self.artefact_sha256 = sha256_of(self.folder / "artefact.pt")

    def needed(self, name: str) -> dict[str, Any]:
        """The artefact of the run that is needed by this name, once its content matches what that run's row says.

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
        return _load(folder / "artefact.pt")

    def needed_metrics(self, name: str) -> dict[str, float]:
        """The metrics in the row of the run that is needed by this name."""
        return rows.read_row(self._needed_folder(name) / "row.json")["metrics"]

    def _needed_folder(self, name: str) -> Path:
        if name not in self.needed_folders:
            there = ", ".join(self.needed_folders) or "nothing"
            raise ValueError(f"nothing is needed by the name {name!r}; this run needs: {there}")
        return self.needed_folders[name]


def lost_artefact(folder: Path, row: rows.Row) -> str:
    """One line if the artefact that a finished run kept is gone or is not what its row recorded; else nothing."""
    artefact = folder / "artefact.pt"
    if row["artefact_sha256"] is None:
        return ""
    try:
        found = artefact.stat()
    except FileNotFoundError:
        return f"{artefact} is lost"
    same = _sha256_as_of(artefact, found.st_size, found.st_mtime_ns) == row["artefact_sha256"]
    return "" if same else f"{artefact} is not what its row recorded"


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


def _load(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is damaged ({first[:120]})") from error


@lru_cache(maxsize=1024)
def _sha256_as_of(path: Path, size: int, changed_ns: int) -> str:
    """The file's sha256, read once for each state of the file: `status --watch` asks every two seconds."""
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
