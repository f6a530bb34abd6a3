"""Saves a run at epoch boundaries, goes on from there, and hands artefacts from a run to those that need it."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from contrastbench.runner import files, rows
from contrastbench.runner.code import Code, differing, list_some
from contrastbench.runner.log import Log
from contrastbench.runner.vocabulary import sha256_of

RESUME_ANYWAY = "CONTRASTBENCH_RESUME_ANYWAY"  # "1" in the environment: runs go on from saves of other code
SECONDS_BETWEEN_SAVES = float(os.environ.get("CONTRASTBENCH_CHECKPOINT_SECONDS", 20.0))
SECONDS_BETWEEN_PER_SECOND_OF_SAVING = 50.0  # saving then takes at most 2 % of a run


class Interrupted(BaseException):
    """The run was asked to stop and has saved its checkpoint. Not an error: it leaves no row and goes on later."""


stop_requested = threading.Event()  # set it, and the run of this process saves at its next epoch boundary and stops


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
        code: the files that the run computes with; a save of other code is put aside and the run starts again.
    """

    def __init__(
        self,
        folder: Path | None = None,
        log: Log | None = None,
        *,
        every_seconds: float = SECONDS_BETWEEN_SAVES,
        needed: Mapping[str, Path] | None = None,
        agree: Callable[[bool], bool] = bool,
        assists: bool = False,
        code: Code | None = None,
    ) -> None:
        self.folder, self.log, self.agree, self.assists = folder, log or Log(), agree, assists
        self.every_seconds = every_seconds
        self.needed_folders = dict(needed or {})
        self.code = code or {}
        self.code_before: list[str] = []  # sha256 of each other code that this run's result comes from too
        self.artefact_sha256: str | None = None
        self.artefacts_read: dict[str, str] = {}  # sha256 by the need's name
        self._last_save = time.monotonic()
        self._save_seconds = 0.0  # what the last save took

    def restore(self, **parts: Any) -> int:
        """Loads the last save into ``parts`` and returns the epoch to go on from; 0 where there is none."""
        saved = self._read_save()
        if saved and set(saved["parts"]) != set(parts):
            raise ValueError(
                f"{self._file} holds {sorted(saved['parts'])}, the run has {sorted(parts)}; "
                "remove the file and the run starts again"
            )
        for name, part in parts.items() if saved else ():
            _restore_part(part, saved["parts"][name])
        epoch = saved["epoch"] if saved else 0
        self.log.rewind(epoch)
        return epoch

    @property
    def _file(self) -> Path | None:
        return self.folder and self.folder / "checkpoint.pt"

    def _read_save(self) -> dict[str, Any]:
        """The last save; empty where there is none, or a damaged one or one of other code, which is put aside."""
        if not self._file or not self._file.exists():
            return {}
        try:
            saved = load_tensors(self._file)
            if not isinstance(saved, dict) or not {"epoch", "parts"} <= saved.keys():
                raise ValueError(f"{self._file} is damaged (it holds no parts)")
        except ValueError as error:
            return self._put_aside("damaged", str(error))
        before, self.code_before = saved.get("code", {}), saved.get("code_before", [])
        if before != self.code:
            some = list_some(differing(before, self.code))
            if os.environ.get(RESUME_ANYWAY) != "1":
                return self._put_aside("other_code", f"{self._file} was saved by other code ({some})")
            self.log.note(f"goes on from what other code saved ({some})")
            self.code_before = [*self.code_before, sha256_of(before)]
        return saved

    def _put_aside(self, why: str, problem: str) -> dict[str, Any]:
        self.code_before = []
        if self._file and not self.assists:
            self._file.replace(aside := self._file.with_name(f"checkpoint.{why}.pt"))
            self.log.note(f"{problem} and is kept as {aside.name}; the run starts again")
        return {}

    def save(self, epoch: int, **parts: Any) -> None:
        """Saves ``parts`` as they are before ``epoch``, unless the last save is recent.

        Raises:
            Interrupted: the run was asked to stop; it is saved.
        """
        stop = self.agree(stop_requested.is_set())
        began = time.monotonic()
        wait = max(self.every_seconds, SECONDS_BETWEEN_PER_SECOND_OF_SAVING * self._save_seconds)
        is_due = stop or not self.every_seconds or began - self._last_save >= wait
        if self._file and not self.assists and is_due:
            code = {"code": self.code, "code_before": self.code_before}
            _write(self._file, {"epoch": epoch, "parts": _states(parts), **code})
            self._last_save = time.monotonic()
            self._save_seconds = self._last_save - began
        if stop and self.folder:
            raise Interrupted

    def keep(self, **parts: Any) -> None:
        """Publishes the run's artefact for the runs that need it; its sha256 goes into the row."""
        if self.folder and not self.assists:
            artefact = self.folder / "artefact.pt"
            _write(artefact, _states(parts))
            self.artefact_sha256 = _sha256_of(artefact)

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


def _states(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in parts.items()}


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


def _write(path: Path, content: dict[str, Any]) -> None:
    import torch

    files.write_whole(path, lambda file: torch.save(content, file))


def load_tensors(path: Path) -> Any:
    """What ``torch.save`` wrote: tensors and plain values only, so that a file cannot run code.

    Raises:
        ValueError: the file is damaged, or holds anything else.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is damaged ({first[:120]})") from error


def lost_artefact(folder: Path, row: rows.Row) -> str:
    """One line if the artefact that a finished run kept is gone or is not what its row recorded; else nothing."""
    if row["artefact_sha256"] is None:
        return ""
    artefact = folder / "artefact.pt"
    try:
        there = artefact.stat()
        sha256 = _sha256_as_of(artefact, there.st_size, there.st_mtime_ns)
    except FileNotFoundError:
        return f"{artefact} is lost"
    except OSError as error:
        return f"{artefact} cannot be read: {(error.strerror or str(error)).lower()}"
    return "" if sha256 == row["artefact_sha256"] else f"{artefact} is not what its row recorded"


@lru_cache(maxsize=1024)
def _sha256_as_of(path: Path, size: int, changed_ns: int) -> str:
    """The file's sha256, read once for each state of the file: `status --watch` asks every two seconds."""
    return _sha256_of(path)


def _sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
