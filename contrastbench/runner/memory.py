"""Finds how much memory this process may use: the machine's, or less in a control group of Slurm or a container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path("/sys/fs/cgroup")
# File names of the two versions of control groups: limit, usage, and where kills for lack of memory are counted.
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
VERSION_2 = ("memory.max", "memory.current", "memory.events")


@dataclass(frozen=True)
class Memory:
    """In bytes. ``available`` counts what the kernel can free at once as free."""

    total: int
    available: int


def memory(groups: list[Path] | None = None) -> Memory:
    """The narrowest of the machine's memory and the limits of the control groups that this process is in."""
    machine = psutil.virtual_memory()
    narrowest = Memory(machine.total, machine.available)
    for group in own_groups() if groups is None else groups:
        limit, used = _limit_and_use(group)
        if limit < narrowest.total:
            narrowest = Memory(limit, max(0, min(limit - used, machine.available)))
    return narrowest


def kills_for_memory(groups: list[Path] | None = None) -> int:
    """How many processes of this process's own control group the kernel has killed because a limit was reached."""
    return next((_kills(group) for group in (own_groups() if groups is None else groups)), 0)


def own_groups() -> list[Path]:
    """The folders of the memory control groups that this process is in, from its own up to the root."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = ROOT / "memory" if controllers else ROOT
        group = top / path.lstrip("/")
        found += [folder for folder in (group, *group.parents) if folder == top or top in folder.parents]
    return [folder for folder in found if folder.is_dir()]


def _limit_and_use(group: Path) -> tuple[int, int]:
    """The group's limit (very large where it has none) and what it uses, without files that could be dropped."""
    for limit, usage, _ in (VERSION_1, VERSION_2):
        text = _read(group / limit)
        if text:
            allowed = 2**63 if text == "max" else int(text)
            return allowed, int(_read(group / usage) or 0) - _droppable(group)
    return 2**63, 0


def _droppable(group: Path) -> int:
    facts = dict(line.split() for line in _read(group / "memory.stat").splitlines() if len(line.split()) == 2)
    return int(facts.get("total_inactive_file", facts.get("inactive_file", 0)))


def _kills(group: Path) -> int:
    for _, _, events in (VERSION_1, VERSION_2):
        for line in _read(group / events).splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
