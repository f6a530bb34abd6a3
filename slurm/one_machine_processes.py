"""Processes, ports and waiting, for the test cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 240.0  # for what takes a second on an idle machine


def make_resolvable(host: str) -> None:
    try:
        socket.gethostbyname(host)
    except OSError:
        with open("/etc/hosts", "a") as file:
            file.write(f"127.0.0.1 {host}\n")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(condition: Callable[[], bool], message: str, detail: Callable[[], str] = str) -> None:
    """Waits for the condition.

    Raises:
        RuntimeError: it did not come true within ``PATIENCE_SECONDS``; says ``message`` and what ``detail`` returns.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{message} within {PATIENCE_SECONDS:.0f} s {detail()}".strip())
        time.sleep(0.1)


def environment_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return []


def processes_with(variable: str) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if variable in environment_of(pid)]


def ancestors() -> set[int]:
    """This process and all above it: a shell with SLURM_CONF set must survive stopping the cluster."""
    found, pid = set(), os.getpid()
    while pid > 1:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def process_of(pid_file: Path) -> int | None:
    """The process that the file names, if it lives."""
    try:
        pid = int(pid_file.read_text())
        return pid if Path(f"/proc/{pid}/cmdline").read_bytes() else None
    except (OSError, ValueError):
        return None


def kill_pid_file(path: Path, number: int = signal.SIGKILL) -> None:
    """Kills the process that the file names and waits until it is gone."""
    if pid := process_of(path):
        kill(pid, number)
    path.unlink(missing_ok=True)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
