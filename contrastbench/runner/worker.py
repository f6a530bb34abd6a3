"""A process that does runs: ``python -m contrastbench.runner.worker FOLDER...``, or ``--listen`` and one folder a line.

With ``--listen`` it is a warm worker of the local launcher: torch is imported once, folders come in on stdin, and one
JSON line goes out for each line of a run's curve and for each run that ended. SIGTERM saves the run and stops it; a
second one stops at once. SIGUSR2, which Slurm sends before it takes the node away, saves and stops too.

With ``--spread`` it is one of several processes of one run, as Slurm or torchrun starts them: the first executes it,
others assist.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from contrastbench.runner import files
from contrastbench.runner.checkpoint import Interrupted, stop_requested
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import assist, execute


def main() -> int:
    parser = argparse.ArgumentParser(description="Does the runs whose tickets lie in the given folders.")
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--listen", action="store_true", help="read folders from stdin, one a line")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--launcher", default="inline")
    parser.add_argument("--job")
    parser.add_argument("--spread", action="store_true", help="share the run with other processes")
    arguments = parser.parse_args()

    def stop_at_next_epoch(number: int, frame: object) -> None:
        if not arguments.spread:  # torchrun and Slurm both send SIGTERM
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stop_requested.set()

    signal.signal(signal.SIGTERM, stop_at_next_epoch)
    signal.signal(signal.SIGUSR2, stop_at_next_epoch)  # Slurm: the time limit or a preemption is near
    if arguments.launcher == "slurm":
        _end_with_parent()
    if arguments.listen:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the front command gets it too and says SIGTERM
    import torch  # noqa: F401  the seconds that this takes are paid once, not per run

    host = Host(arguments.device, arguments.threads, arguments.launcher, arguments.job)
    if arguments.spread:
        return _share(arguments.folders[0], host)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the front command reads answers and nothing else
    folders: Iterable[Path] = (Path(line.strip()) for line in sys.stdin) if arguments.listen else arguments.folders
    return _work(folders, host, answers)


def _work(folders: Iterable[Path], host: Host, answers: TextIO) -> int:
    """Does the runs one after another; stops early only when asked to or when a folder cannot be used."""

    def say(**what: Any) -> None:
        try:
            answers.write(json.dumps(what) + "\n")
        except BrokenPipeError:  # the front command is gone; the work goes on all the same
            return

    failed = False
    for folder in folders:
        try:
            status = execute(folder, host, watch=lambda line: say(line=line))
        except Interrupted:
            return 0
        except (OSError, ValueError) as error:
            say(status="disk full" if files.is_full_disk(error) else "unusable", problem=str(error))
            return 1  # this process holds the run's claim; ending frees it
        failed = failed or status not in ("done", "taken")
        say(status=status)
    return int(failed)


def _share(folder: Path, host: Host) -> int:
    """One run together with the other processes of the job."""
    from contrastbench import distributed

    distributed.join(host.device)
    device = host.device if host.device == "cpu" else f"cuda:{distributed.local_rank()}"
    host = dataclasses.replace(host, device=device, processes=distributed.processes())
    try:
        if distributed.rank() == 0:
            execute(folder, host)
        else:
            assist(folder, host)
    except Interrupted:
        return 0
    finally:
        distributed.leave()
    return 0


def _end_with_parent() -> None:
    """Has the kernel kill this process when its Slurm task dies: no run goes on outside of its job."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(signal.SIGKILL))


if __name__ == "__main__":
    sys.exit(main())
