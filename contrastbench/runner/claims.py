"""Who works on a run: numbered claim files, and a heartbeat for each.

``claim.1``, ``claim.2``, ... are created exclusively and never renamed or removed, one for each attempt. Only the
highest counts. Whoever finds that its owner is dead may try to create the next number, and the file system lets one
of them win; so two workers, or two front commands, never do the same run at once, on NFS too.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from contrastbench.runner import files

HEARTBEAT_SECONDS = 10.0


@dataclass(frozen=True)
class Claim:
    number: int
    owner: dict[str, Any]  # this_process() of the worker, and what its launcher says of it
    folder: Path

    @property
    def heartbeat(self) -> Path:
        return self.folder / f"heartbeat.{self.number}"

    @property
    def taken(self) -> float:
        """When it was taken, by the clock of the file system."""
        return (self.folder / f"claim.{self.number}").stat().st_mtime

    def is_alive(self) -> bool:
        """Whether the owner still works: its process tells if it can be seen from here, else its heartbeat."""
        if _is_visible(self.owner):
            return process_lives(self.owner)
        return heartbeat_age(self) <= 2 * self.owner.get("heartbeat_seconds", HEARTBEAT_SECONDS)


def this_process() -> dict[str, Any]:
    """What tells this process from every other one, on this and on other machines."""
    pid = os.getpid()
    return {**_this_machine(), "pid": pid, "process_started": _started(pid)}


def process_lives(process: dict[str, Any]) -> bool:
    """Whether the process that ``this_process`` described is still there; False if it was on another machine."""
    return _is_visible(process) and _started(process["pid"]) == process["process_started"]


def _is_visible(process: dict[str, Any]) -> bool:
    return all(process.get(name) == value for name, value in _this_machine().items())


@cache
def _this_machine() -> dict[str, str]:
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    return {
        "host": socket.gethostname(),
        "boot": boot.read_text().strip() if boot.exists() else "",
        "namespace": os.readlink(namespace) if namespace.exists() else "",
    }


def _started(pid: int) -> float | None:
    """When the process started, or None where there is no such process (a zombie counts as none)."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def latest(folder: Path) -> Claim | None:
    """The run's current claim, or None if nobody ever began it."""
    number = max((int(p.name[6:]) for p in folder.glob("claim.*") if p.name[6:].isdigit()), default=0)
    return Claim(number, _owner(folder / f"claim.{number}"), folder) if number else None


def _owner(path: Path) -> dict[str, Any]:
    """Who wrote the claim. One that a full disk cut off names nobody; then its heartbeat alone counts."""
    try:
        return files.read_object(path)
    except ValueError:
        return {}


def take(folder: Path, after: int, **launcher: Any) -> Claim | None:
    """Claims attempt ``after + 1`` of the run, or returns None because somebody else has it."""
    claim = Claim(after + 1, {**this_process(), "heartbeat_seconds": HEARTBEAT_SECONDS, **launcher}, folder)
    temporary = folder / f".claim.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
    files.write_json(temporary, claim.owner, sync=False)
    try:
        os.link(temporary, folder / f"claim.{claim.number}")
    except FileExistsError:
        return None
    finally:
        temporary.unlink()
    return claim


def heartbeat_age(claim: Claim) -> float:
    """Seconds since the last beat, by the clock of the file system: machines whose own clocks differ agree on it.

    A beat from the future counts as its distance: a clock that jumped back does not keep a dead worker alive, and a
    live one beats again at once.
    """
    for path in (claim.heartbeat, claim.folder / f"claim.{claim.number}"):
        if path.exists():
            return abs(file_system_time(claim.folder) - path.stat().st_mtime)
    return float("inf")


CLOCK_SECONDS = 60.0  # how long one look at the file system's clock is good for
_clocks: dict[int, tuple[float, float]] = {}  # device -> (when it was looked at, its time), the first by time.monotonic


def file_system_time(folder: Path) -> float:
    """Now, by the clock of the file system that holds the folder; this machine's where nothing can be written."""
    device = folder.stat().st_dev
    looked, told = _clocks.get(device, (-math.inf, 0.0))
    if time.monotonic() - looked > CLOCK_SECONDS:
        probe = folder / f".clock.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            probe.touch()
            looked, told = time.monotonic(), probe.stat().st_mtime
            probe.unlink()
        except OSError:
            return time.time()
        _clocks[device] = looked, told
    return told + time.monotonic() - looked


class Heartbeat:
    """Renews the claim's heartbeat file from a thread while the run works; holds the latest line of its curve."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.latest: dict[str, Any] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        while True:
            try:
                files.write_text(self.claim.heartbeat, json.dumps(self.latest) + "\n", sync=False)
            except OSError as error:  # a full disk must not end a run that may still finish
                with contextlib.suppress(OSError):  # its log is on the same disk
                    print(f"heartbeat not written: {error}", flush=True)
            if self._done.wait(HEARTBEAT_SECONDS):
                return
