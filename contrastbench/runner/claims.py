"""Who works on a run: numbered claim files, and a heartbeat for each.

``claim.1``, ``claim.2``, ... are created exclusively and never renamed or removed, one for each attempt. Only the
highest counts. Whoever finds that its owner is dead may try to create the next number, and the file system lets one
of them win; so two workers, or two front commands, never do the same run at once, on NFS too.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
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
    def path(self) -> Path:
        return self.folder / f"claim.{self.number}"

    @property
    def heartbeat(self) -> Path:
        return self.folder / f"heartbeat.{self.number}"

    def is_alive(self) -> bool:
        """Whether the owner still works: its process tells if it can be seen from here, else its heartbeat."""
        lives = process_lives(self.owner)
        return heartbeat_age(self) <= 2 * HEARTBEAT_SECONDS if lives is None else lives

    def beats_again(self) -> bool:
        """Waits for one more beat of an owner that seems dead by its heartbeat alone, and says whether it came.

        After a clock was set, the last beat of a live worker looks old or lies in the future until its next one.
        """
        if process_lives(self.owner) is not None or not self.heartbeat.exists():
            return False
        before = self.heartbeat.stat().st_mtime_ns
        time.sleep(1.5 * HEARTBEAT_SECONDS)
        return self.heartbeat.stat().st_mtime_ns != before


def this_process() -> dict[str, Any]:
    """What tells this process from every other one, on this and on other machines."""
    pid = os.getpid()
    return {**_this_machine(), "pid": pid, "start": _start_of(pid)}


def process_lives(process: dict[str, Any]) -> bool | None:
    """Whether the process that ``this_process`` described is still there.

    None if nobody here can tell, since it is on another machine.
    """
    if any(process.get(name) != value for name, value in _this_machine().items()):
        return None
    start = _start_of(process.get("pid"))
    return start is not None and start == process.get("start")


@cache
def _this_machine() -> dict[str, str]:
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    return {
        "host": socket.gethostname(),
        "boot": boot.read_text().strip() if boot.exists() else "",
        "namespace": os.readlink(namespace) if namespace.exists() else "",
    }


def _start_of(pid: Any) -> float | None:
    """When the process started, or None where there is no such process (a zombie counts as none).

    On Linux in clock ticks since the machine started: other than a time of day, it stays when somebody sets the clock.
    """
    if not isinstance(pid, int):
        return None
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else int(fields[19])  # the 3rd and the 22nd field of proc(5)
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.NoSuchProcess, ValueError):
        return None


def latest(folder: Path) -> Claim | None:
    """The run's current claim, or None if nobody ever began it. Of a damaged one its heartbeat alone counts."""
    numbers = [path.name.removeprefix("claim.") for path in folder.glob("claim.*")]
    number = max((int(text) for text in numbers if text.isdecimal()), default=0)
    return Claim(number, files.object_or_empty(folder / f"claim.{number}"), folder) if number else None


def take(folder: Path, after: int, **launcher: Any) -> Claim | None:
    """Claims attempt ``after + 1`` of the run, or returns None because somebody else has it."""
    claim = Claim(after + 1, {**this_process(), **launcher}, folder)
    temporary = folder / f".claim.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
    files.write_json(temporary, claim.owner, sync=False)
    try:
        os.link(temporary, claim.path)
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
    now = time.monotonic()
    for path in (claim.heartbeat, claim.path):
        if path.exists():
            there = now + _offset_of_clock(claim.folder.parent, now // 60, round(time.time() - now))
            return abs(there - path.stat().st_mtime)
    return float("inf")


@lru_cache(maxsize=16)
def _offset_of_clock(folder: Path, minute: float, our_offset: int) -> float:
    """The file system's clock less ``time.monotonic``: looked at once a minute, and when our own clock is set.

    This machine's clock where nothing can be written.
    """
    probe = folder / f".clock.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        probe.touch()
        return probe.stat().st_mtime - time.monotonic()
    except OSError:
        return time.time() - time.monotonic()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


@contextlib.contextmanager
def heartbeat(claim: Claim, latest: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Renews the claim's heartbeat file from a thread; it holds what ``latest`` returns, the last line of the curve."""
    done = threading.Event()

    def beat() -> None:
        while True:
            try:
                files.write_text(claim.heartbeat, json.dumps(latest(), default=str) + "\n", sync=False)
            except OSError as error:  # a full disk must not end a run that may still finish
                with contextlib.suppress(OSError):  # its log is on the same disk
                    print(f"heartbeat not written: {error}", flush=True)
            if done.wait(HEARTBEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
