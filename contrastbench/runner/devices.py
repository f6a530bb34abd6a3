"""This machine: which device does a run, and how much memory this process may use."""

import ctypes
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from contrastbench.runner.studies import ANY_DEVICE, CPU_ONLY, load_paper


@dataclass(frozen=True)
class Host:
    """Where a run is done; none of it is in the key."""

    device: str = "cpu"  # "auto", "cpu", "cuda" or "cuda:0"
    threads: int = 1  # two threads on small models under load were 40 times slower than one
    launcher: str = "inline"
    job: str | None = None  # the scheduler's name for it
    processes: int = 1  # that share the run


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_of(paper: str, stage: str, config: Any, asked: str, gpus: int | None = None) -> str:
    """The device that does a run: "cpu", "cuda" or "cuda:0".

    Args:
        asked: "auto" takes a GPU where there is one, but not for what prefers the CPU; "cpu", "cuda" and "cuda:0" mean
            what they say, but a stage that computes on the CPU only does so whatever is asked.
        gpus: of the machine that a plan is for; this machine's if not given.

    Raises:
        ValueError: no such device, or a GPU was asked for and there is none.
    """
    if gpus is None:
        check_device(asked)
        gpus = gpu_count()
    kind = load_paper(paper).device_of(stage, config)
    if asked == "cpu" or kind == CPU_ONLY:
        return "cpu"
    if asked == "auto":
        return "cuda" if kind == ANY_DEVICE and gpus else "cpu"
    return asked


def check_device(asked: str) -> None:
    """Raises ValueError unless ``asked`` is a device that is here, or "auto"."""
    if asked in ("auto", "cpu"):
        return
    if asked != "cuda" and not asked.startswith("cuda:"):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:0, got {asked!r}")
    if not gpu_count():
        raise ValueError(f"device {asked!r} was asked for and torch sees no GPU here; possible: auto, cpu")


@cache
def gpu_count() -> int:
    """The number of GPUs that torch can use. If NVIDIA's driver is missing, torch is not imported to find out."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return 0
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_problem() -> str:
    """Why this machine's GPUs cannot be used; empty if each of them adds numbers."""
    added = "import torch; [torch.ones(8, device=i).sum().item() for i in range(torch.cuda.device_count() or 1)]"
    try:
        subprocess.run([sys.executable, "-c", added], check=True, stderr=subprocess.PIPE, text=True, timeout=180.0)
    except subprocess.CalledProcessError as error:
        return (error.stderr.strip().splitlines() or [str(error)])[-1]
    except subprocess.TimeoutExpired:
        return "no answer within 180 s"
    return ""


# --------------------------------------------------- memory: the machine's, or less in a job of Slurm or in a container

ROOT = Path("/sys/fs/cgroup")
# File names of the two versions of control groups: limit, usage, and where kills for lack of memory are counted.
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
VERSION_2 = ("memory.max", "memory.current", "memory.events")


class Memory(NamedTuple):
    """In bytes. ``available`` counts what the kernel can free at once as free."""

    total: int
    available: int


def memory() -> Memory:
    """The narrowest of the machine's memory and the limits of the control groups that this process is in."""
    import psutil

    machine = psutil.virtual_memory()
    narrowest = Memory(machine.total, machine.available)
    for group in _own_groups():
        for limit, usage, _ in (VERSION_1, VERSION_2):
            text = _read(group / limit)
            if text.isdecimal() and int(text) < narrowest.total:  # "max" where there is no limit
                facts = dict(line.split(maxsplit=1) for line in _read(group / "memory.stat").splitlines())
                can_be_freed = facts.get("total_inactive_file", facts.get("inactive_file", 0))
                free = int(text) - int(_read(group / usage) or 0) + int(can_be_freed)
                narrowest = Memory(int(text), max(0, min(free, machine.available)))
    return narrowest


def kills_for_memory() -> int:
    """How many processes of this process's own control group the kernel has killed because a limit was reached."""
    for group in _own_groups()[:1]:
        for _, _, events in (VERSION_1, VERSION_2):
            counts = dict(line.split(maxsplit=1) for line in _read(group / events).splitlines())
            if "oom_kill" in counts:
                return int(counts["oom_kill"])
    return 0


def _own_groups() -> list[Path]:
    """The folders of the memory control groups that this process is in, from its own up to the root."""
    groups: list[Path] = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = ROOT / controllers
            group = top / path.lstrip("/")
            groups += [folder for folder in (group, *group.parents) if folder == top or top in folder.parents]
    return [folder for folder in groups if folder.is_dir()]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
