"""Decides which device does a run, from what the user asked for and what the paper says of the run's stage.

A paper says it of each ``Stage`` in its ``tables.py``.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

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


def device_of(paper: str, stage: str, config: Any, asked: str) -> str:
    """The device that does a run: "cpu", "cuda" or "cuda:0".

    Args:
        asked: "auto" takes a GPU where there is one, but not for what prefers the CPU; "cpu", "cuda" and "cuda:0" mean
            what they say, but a stage that computes on the CPU only does so whatever is asked.

    Raises:
        ValueError: no such device, or a GPU was asked for and there is none.
    """
    check_device(asked)
    return _settled_for(load_paper(paper).device_of(stage, config), asked, gpu_count())


def device_elsewhere(paper: str, stage: str, config: Any, asked: str) -> str:
    """As :func:`device_of`, for a plan: on a machine with a GPU, whether this one has one or not."""
    return _settled_for(load_paper(paper).device_of(stage, config), asked, gpus=1)


def _settled_for(kind: str, asked: str, gpus: int) -> str:
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


def settled(asked: str) -> str:
    """The device that most runs are done on: for "auto" a GPU if there is one, else the CPU."""
    return asked if asked != "auto" else "cuda" if gpu_count() else "cpu"


@cache
def gpu_count() -> int:
    """The number of GPUs that torch can use. If NVIDIA's driver is missing, torch is not imported to find out."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return 0
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
