"""What a row says about the code, the packages and the machine that made it."""

import contextlib
import json
import os
import platform
import re
import subprocess
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

SUITE = Path(__file__).resolve().parents[1] / "suite"  # a wheel's papers, published numbers, shipped rows and profiles
PINNED = "CONTRASTBENCH_PINNED"  # what ``git`` says in a job, whose code is a copy
PROJECT = SUITE if SUITE.is_dir() else SUITE.parents[1]


def home() -> Path:
    """The folder for runs/ and results/report/: CONTRASTBENCH_HOME, else the checkout, else the working directory.

    An installed package is never written to.
    """
    return Path(os.environ.get("CONTRASTBENCH_HOME") or (Path() if PROJECT == SUITE else PROJECT)).absolute()


@cache
def git() -> dict[str, Any]:
    """The commit that runs and whether the checkout differs from it; a pinned snapshot says so in the environment."""
    if pinned := os.environ.get(PINNED):
        return json.loads(pinned)
    try:
        commit = ask_git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(ask_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def why_no_commit() -> str:
    """Why git tells no commit of this checkout, with what helps; empty where it tells one."""
    if PROJECT == SUITE:
        return "this is an installed package; clone the repository"
    try:
        ask_git("rev-parse", "HEAD")
    except OSError:
        return "there is no git on this machine"
    except subprocess.CalledProcessError as error:
        if "dubious ownership" in error.stderr:
            return f"another user owns this checkout; git config --global --add safe.directory {PROJECT}"
        return "this is no git checkout; clone the repository"
    return ""


def ask_git(*arguments: str) -> str:
    """What git prints of this checkout, without the space around it."""
    if PROJECT == SUITE:
        raise FileNotFoundError("an installed package is no checkout, though it may lie in one")
    return subprocess.run(
        ["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@cache
def commit_dates() -> Mapping[str, int] | None:
    """The commits of this history with their times; None in a download without git or a shallow clone."""
    try:
        if ask_git("rev-parse", "--is-shallow-repository") == "true":
            return None
        lines = ask_git("log", "--format=%H %ct", "HEAD").splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None
    return {commit: int(time) for commit, time in map(str.split, lines)}


@cache
def versions() -> dict[str, str]:
    """Python, the project and the packages that it needs to run, as installed here."""
    file = PROJECT / "pyproject.toml"
    if file.exists():
        lines = tomllib.loads(file.read_text())["project"]["dependencies"]
    else:
        lines = [line for line in metadata.requires("contrastbench") or () if "extra ==" not in line]
    needed = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in lines]
    there = {"python": platform.python_version()}
    for name in sorted({"contrastbench", *needed}):
        with contextlib.suppress(metadata.PackageNotFoundError):
            there[name] = metadata.version(name)
    return there


@cache
def host() -> dict[str, str]:
    """The kind of machine: rows are equal bit for bit only on the same kind.

    Its generation is ``family 25, model 1, stepping 1``: a cloud's model name hides it, and the last bits of a sum
    depend on it.
    """
    words = {"family": "cpu family", "model": "model", "stepping": "stepping"}
    generation = ", ".join(f"{word} {_cpu()[name]}" for word, name in words.items() if _cpu().get(name)) or "unknown"
    return {"machine": platform.machine(), "cpu": _cpu().get("model name", "unknown"), "generation": generation}


@cache
def _cpu() -> dict[str, str]:
    """What Linux says of the first core: "model name", "cpu family", "model", "stepping" and more; else nothing."""
    info = Path("/proc/cpuinfo")
    first = info.read_text().partition("\n\n")[0] if info.exists() else ""
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}


def device_kind(device: str) -> str:
    """``cpu`` with its model or the GPU's name: what measured times are comparable on."""
    if device == "cpu":
        return f"cpu ({_cpu().get('model name', 'unknown')})"
    if device == "none":  # nothing was computed: the node's GPU did not work
        return device
    import torch

    return torch.cuda.get_device_name(device)


def measured_on(device: str) -> dict[str, Any]:
    """What each line of a file of measurements says of where it was measured: column -> value."""
    commit = f"{git()['commit']}{' and changes' if git()['dirty'] else ''}"
    facts = gpu(device) or {}
    of_gpu = {name: facts[name] for name in ("cuda", "cudnn", "driver", "tf32_convolutions") if facts}
    return {"device": device_kind(device), "torch": versions()["torch"], "commit": commit, **of_gpu}


def gpu(device: str) -> dict[str, Any] | None:
    """What decides results and speed on a GPU beside its name, and the run's peak of its memory; None on a CPU."""
    if device == "cpu":
        return None
    import torch

    properties = torch.cuda.get_device_properties(device)
    file = Path("/proc/driver/nvidia/version")  # of NVIDIA's kernel module
    found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", file.read_text()) if file.exists() else None
    return {
        "name": properties.name,
        "memory_mb": round(properties.total_memory / 1e6, 1),
        "peak_mb": round(torch.cuda.max_memory_allocated(device) / 1e6, 1),
        "peak_reserved_mb": round(torch.cuda.max_memory_reserved(device) / 1e6, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": found and found[1],
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "tf32_matrix_products": torch.backends.cuda.matmul.allow_tf32,
    }


def reset_peak_memory(device: str) -> None:
    """Starts a new peak for a process that does several runs; the CPU's where the kernel allows it."""
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """This process's largest resident memory since the last reset, in MB (10**6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) * 1024 / 1e6, 1)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)
