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
AUTO_HOURS = 0.0  # how ``hours = "auto"`` is kept
WARNING_SECONDS = 60  # Slurm may send a signal this much too early
START_SECONDS = 60  # what a task needs before it can save anything
OWN_OPTIONS = {  # sbatch options that the scripts set themselves, and the key that a profile has for them
    **{"job-name": "", "array": "array_parallelism", "output": "", "error": "", "open-mode": "", "export": "variables"},
    **{"dependency": "", "signal": "signal_seconds", "requeue": "", "chdir": "", "wait": "", "parsable": ""},
    **{"nodes": "nodes_per_run", "ntasks": "", "ntasks-per-node": "", "cpus-per-task": "cpus", "mem": "memory_gb"},
    **{"mem-per-cpu": "mem_per_cpu_gb", "gpus-per-node": "gpus", "exclude": "exclude", "partition": "partition"},
    **{"account": "account", "qos": "qos", "constraint": "constraint"},
}


@dataclass(frozen=True)
class Profile:
    """What one Slurm task is given and how the runs are spread over tasks. Each field is a key of the file."""

    name: str = "default"
    # What a task asks for; empty or zero leaves it to the site.
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    exclude: tuple[str, ...] = ()  # nodes that no task goes to
    gpus: int = 0  # per task and node
    gpu_type: str = ""  # the file says gpus = "a100:2"
    cpus: int = 1  # per task and node
    memory_gb: float = 0.0  # per task and node
    mem_per_cpu_gb: float = 0.0  # instead of memory_gb
    hours: float = 1.0  # time limit of a task; a run that needs more is saved, requeued and goes on. 0 is "auto"
    max_hours: float = 24.0  # what "auto" and ``grow`` may ask for at most
    grow: float = 1.0  # a retry asks for this many times the memory or the hours that were not enough
    # How runs share a task.
    device: str = ""  # "cpu" or "cuda"; empty means cuda where gpus are asked for
    threads: int = 1  # of one run; part of the row
    runs_per_gpu: int = 1  # at the same time
    runs_per_task: int = 1  # one after another where there is no room at the same time
    gpus_per_run: int = 1  # processes of one run on each node, one a GPU (on CPUs: one per ``threads`` cores)
    nodes_per_run: int = 1  # nodes that one run is spread over
    # How tasks share the cluster.
    array_parallelism: int = 256  # tasks at a time, of one submission
    attempts: int = 10  # a run that reaches the time limit this often is reported timed_out
    signal_seconds: int = 90  # how long before its end a task is told to save
    mail: str = ""  # gets one mail when everything submitted has ended
    # How a task begins.
    setup: tuple[str, ...] = ()  # shell lines: modules; one that fails ends the job
    variables: dict[str, str] = field(default_factory=dict)  # environment of the tasks and of the data check here
    python: str = ""  # the interpreter on the nodes; empty means the one that submits
    container: str = ""  # an Apptainer image that the task runs in
    binds: tuple[str, ...] = ()  # folders that the container sees, beside the runs folder
    scratch: str = ""  # a folder on the node's own disk: the data are copied there once and checked
    stage: tuple[str, ...] = ()  # what is copied, as paths in the data root; empty means all of it
    extra: dict[str, str] = field(default_factory=dict)  # any other sbatch option, long name without dashes

    @property
    def run_device(self) -> str:
        return self.device or ("cuda" if self.gpus else "cpu")

    @property
    def processes_per_run(self) -> int:
        return self.gpus_per_run * self.nodes_per_run

    @property
    def runs_at_once(self) -> int:
        """Runs that work at the same time in one task."""
        if self.processes_per_run > 1:
            return 1
        return max(1, self.gpus * self.runs_per_gpu if self.gpus else self.cpus // self.threads)

    @property
    def task_size(self) -> int:
        """Runs that one task is given; as many as its devices take at the same time, at least."""
        return max(self.runs_per_task, self.runs_at_once)


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
    possible = [name for name in types if name not in ("name", "gpu_type")]
    for key in values:
        if key not in possible:
            raise ValueError(f"{path}: unknown key {key!r}; there are: {', '.join(possible)}")
    values = _typed_gpus(values, path)
    if values.get("hours") == "auto":
        values["hours"] = AUTO_HOURS
    elif values.get("hours") == 0:
        raise ValueError(f'{path}: hours must be a number above 0 or "auto", got {values["hours"]}')
    checked = {key: _checked(key, value, types[key], path) for key, value in values.items()}
    return _possible(Profile(name=path.stem, **checked), path)


def profile_of(values: dict[str, Any]) -> Profile:
    """The profile that was written down with ``dataclasses.asdict`` and JSON."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Profile(**fields)


def profile_names(folder: Path = PROFILES) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def _typed_gpus(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """``gpus = "a100:2"`` as a number and a type."""
    asked = values.get("gpus")
    if not isinstance(asked, str):
        return values
    kind, _, number = asked.rpartition(":")
    if not kind or not number.isdigit():
        raise ValueError(f'{path}: gpus must be a whole number or a type and a number ("a100:2"), got {asked!r}')
    return {**values, "gpus": int(number), "gpu_type": kind}


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
    """The profile, if its values make sense together."""
    numbers = [spec.name for spec in dataclasses.fields(Profile) if spec.type in ("int", "float")]
    for key in numbers:
        least = 0 if key in ("gpus", "memory_gb", "mem_per_cpu_gb", "hours") else 1
        if key != "max_hours" and getattr(profile, key) < least:
            raise ValueError(f"{path}: {key} must be at least {least}, got {getattr(profile, key)}")
    least_seconds = profile.signal_seconds + WARNING_SECONDS + START_SECONDS
    for key in ("hours", "max_hours"):
        if getattr(profile, key) != AUTO_HOURS and getattr(profile, key) * 3600 < least_seconds:
            raise ValueError(
                f"{path}: {key} ({getattr(profile, key):g}) must be at least {least_seconds / 3600:.3f}: a task is "
                f"told to save {profile.signal_seconds} s (signal_seconds) before its end, Slurm may say so "
                f"{WARNING_SECONDS} s sooner, and a task needs {START_SECONDS} s to start"
            )
    for option in profile.extra:
        if option in OWN_OPTIONS:
            key = OWN_OPTIONS[option]
            raise ValueError(f"{path}: extra.{option} is set by the suite" + (f"; use the key {key}" if key else ""))
    if profile.device not in ("", "cpu", "cuda"):
        raise ValueError(f"{path}: device must be cpu or cuda, got {profile.device!r}")
    if profile.memory_gb and profile.mem_per_cpu_gb:
        raise ValueError(f"{path}: give memory_gb or mem_per_cpu_gb, not both")
    if profile.gpus_per_run > 1:
        _enough_for_one_run(profile, path)
    if profile.binds and not profile.container:
        raise ValueError(f"{path}: binds are folders that a container sees, and the profile has no container")
    if profile.stage and not profile.scratch:
        raise ValueError(f"{path}: stage is what is copied to scratch, and the profile has no scratch")
    return profile


def _enough_for_one_run(profile: Profile, path: Path) -> None:
    if profile.run_device == "cuda" and profile.gpus < profile.gpus_per_run:
        raise ValueError(f"{path}: gpus_per_run ({profile.gpus_per_run}) must be at most gpus, which is {profile.gpus}")
    if profile.run_device == "cpu" and profile.cpus < profile.gpus_per_run * profile.threads:
        raise ValueError(
            f"{path}: {profile.gpus_per_run} processes of {profile.threads} threads (gpus_per_run, threads) need "
            f"cpus = {profile.gpus_per_run * profile.threads} at least, got {profile.cpus}"
        )
