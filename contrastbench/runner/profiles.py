"""Cluster profiles: what to ask Slurm for, as data. One TOML file a site in ``slurm/``, chosen by ``--profile``."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrastbench.runner.provenance import PROJECT

PROFILES = PROJECT / "slurm"


@dataclass(frozen=True)
class Profile:
    """What one Slurm task is given and how the runs are spread over tasks. Each field is a key of the file."""

    name: str = "default"
    # What a task asks for; empty or zero leaves it to the site.
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gpus: int = 0  # per task
    cpus: int = 1  # per task
    memory_gb: float = 0.0  # per task
    hours: float = 1.0  # time limit of a task; a run that needs more is saved, requeued and goes on
    # How runs share a task.
    device: str = ""  # "cpu" or "cuda"; empty means cuda where gpus are asked for
    threads: int = 1  # of one run; part of the row
    runs_per_gpu: int = 1  # at the same time
    runs_per_task: int = 1  # one after another where there is no room at the same time
    # How tasks share the cluster.
    array_parallelism: int = 256  # tasks at a time
    attempts: int = 10  # a run that reaches the time limit this often is reported timed_out
    signal_seconds: int = 90  # how long before its end a task is told to save
    # How a task begins.
    setup: tuple[str, ...] = ()  # shell lines: modules, environment variables
    python: str = ""  # the interpreter on the nodes; empty means the one that submits
    extra: dict[str, str] = field(default_factory=dict)  # any other sbatch option, long name without dashes

    @property
    def run_device(self) -> str:
        return self.device or ("cuda" if self.gpus else "cpu")

    @property
    def runs_at_once(self) -> int:
        """Runs that work at the same time in one task."""
        return max(1, self.gpus * self.runs_per_gpu if self.gpus else self.cpus // self.threads)


def read_profile(name: str, folder: Path = PROFILES) -> Profile:
    """The profile of that name in ``folder``, or of that path.

    Raises:
        ValueError: there is no such file, a key is unknown or a value is of the wrong kind; says what is possible.
    """
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        raise ValueError(f"unknown profile {name!r}; {folder} has: {', '.join(profile_names(folder)) or 'none'}")
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    types = typing.get_type_hints(Profile)
    possible = [name for name in types if name != "name"]
    for key, value in values.items():
        if key not in possible:
            raise ValueError(f"{path}: unknown key {key!r}; there are: {', '.join(possible)}")
        values[key] = _checked(key, value, types[key], path)
    return _possible(Profile(name=path.stem, **values), path)


def profile_names(folder: Path = PROFILES) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def _checked(key: str, value: Any, kind: Any, path: Path) -> Any:
    kind = typing.get_origin(kind) or kind
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is tuple and isinstance(value, list) and all(isinstance(line, str) for line in value):
        return tuple(value)
    if kind is dict and isinstance(value, dict):
        return {name: str(option) for name, option in value.items()}
    if type(value) is not kind:
        words = {str: "text", int: "a whole number", float: "a number", tuple: "a list of texts", dict: "a table"}
        raise ValueError(f"{path}: {key} must be {words[kind]}, got {value!r}")
    return value


def _possible(profile: Profile, path: Path) -> Profile:
    """The profile, if its numbers make sense."""
    numbers = [spec.name for spec in dataclasses.fields(Profile) if spec.type in ("int", "float")]
    for key in numbers:
        least = 0 if key in ("gpus", "memory_gb") else 1
        if key != "hours" and getattr(profile, key) < least:
            raise ValueError(f"{path}: {key} must be at least {least}, got {getattr(profile, key)}")
    if profile.hours * 3600 <= profile.signal_seconds:
        raise ValueError(
            f"{path}: hours ({profile.hours}) must be longer than signal_seconds ({profile.signal_seconds} s): "
            "a task is told to save that long before its end"
        )
    if profile.device not in ("", "cpu", "cuda"):
        raise ValueError(f"{path}: device must be cpu or cuda, got {profile.device!r}")
    return profile
