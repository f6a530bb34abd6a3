"""Cluster profiles: one TOML file a site in ``slurm/``. Its table ``[sbatch]`` goes to submitit as it is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrastbench.runner.provenance import PROJECT

PROFILES = PROJECT / "slurm"
EARLY_SECONDS = 60  # Slurm may send a signal this much too early
WHOLE = ("time", "cpus_per_task", "signal_delay_s", "array_parallelism")  # submitit's parameters that are read here too
OURS = ("job_name", "nodes", "ntasks_per_node", "use_srun")  # those that the suite sets itself
KINDS = {str: "text", int: "a whole number above 0", dict: "a table"}


@dataclass(frozen=True)
class Profile:
    """What one Slurm task is given and how the runs are spread over tasks. Each field is a key of the file."""

    name: str = "default"
    sbatch: dict[str, Any] = field(default_factory=dict)  # submitit's parameters: partition, time, gpus_per_node, ...
    device: str = ""  # of a run: "cpu" or "cuda"; empty means cuda where GPUs are asked for
    threads: int = 1  # of a run; in its row, since results may depend on it in the last bits
    runs_per_gpu: int = 1  # at the same time
    runs_per_task: int = 1  # one after another, beyond those at the same time
    gpus_per_run: int = 1  # processes of one run on each node, one a GPU; on CPUs each has ``cpus_per_task``
    nodes_per_run: int = 1  # nodes that one run is spread over
    attempts: int = 10  # time limits that a run may meet, and times that a job may begin again after it was killed
    variables: dict[str, str] = field(default_factory=dict)  # environment of the tasks and of the data check here
    container: str = ""  # starts Python on the nodes in place of this one: "apptainer exec --nv image.sif python3"

    @property
    def gpus(self) -> int:
        """GPUs of a task on each node: of ``gpus_per_node`` or ``gres``, which may name a type: "a100:2"."""
        number = str(self.sbatch.get("gpus_per_node", self.sbatch.get("gres", 0))).rpartition(":")[2]
        return int(number) if number.isdigit() else 1

    @property
    def run_device(self) -> str:
        return self.device or ("cuda" if self.gpus else "cpu")

    @property
    def devices(self) -> list[str]:
        """One for each run that works at the same time in a task; CUDA counts the GPUs that Slurm gave from 0."""
        if self.gpus_per_run * self.nodes_per_run > 1:
            return [self.run_device]
        if self.run_device == "cpu":
            at_once = self.gpus * self.runs_per_gpu or self.sbatch.get("cpus_per_task", 1) // self.threads
            return ["cpu"] * max(1, at_once)
        return [f"cuda:{index}" for _ in range(self.runs_per_gpu) for index in range(self.gpus)]

    @property
    def minutes(self) -> int:
        return self.sbatch.get("time", 5)  # 5 is submitit's own

    @property
    def signal_seconds(self) -> int:
        return self.sbatch.get("signal_delay_s", 90)  # so is 90


def read_profile(name: str, folder: Path = PROFILES) -> Profile:
    """The profile of that name in ``folder``, or of that path.

    Raises:
        ValueError: there is no such file, a key is unknown or a value is of the wrong kind; says what is possible.
    """
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        raise ValueError(f"unknown profile {name!r}; {folder} has: {', '.join(profile_names(folder)) or 'none'}")
    try:
        return _checked(Profile(path.stem), tomllib.loads(path.read_text()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def profile_names(folder: Path = PROFILES) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def _checked(usual: Profile, values: dict[str, Any]) -> Profile:
    from submitit import SlurmExecutor

    ours = [key for key in vars(usual) if key != "name"]
    theirs = sorted(SlurmExecutor._valid_parameters() - {*OURS})
    if unknown := [key for key in values if key not in ours]:
        raise ValueError(f"unknown key {unknown[0]!r}; there are: {', '.join(ours)}")
    for key, value in values.items():
        if type(value) is not type(getattr(usual, key)) or (type(value) is int and value < 1):
            raise ValueError(f"{key} must be {KINDS[type(getattr(usual, key))]}, got {value!r}")
    profile = Profile(usual.name, **values)
    if unknown := [key for key in profile.sbatch if key not in theirs]:
        raise ValueError(f"unknown key {unknown[0]!r} in [sbatch]; submitit has: {', '.join(theirs)}")
    if odd := [key for key in WHOLE if type(profile.sbatch.get(key, 1)) is not int]:
        raise ValueError(f"[sbatch] {odd[0]} must be a whole number, got {profile.sbatch[odd[0]]!r}")
    least = -(-(profile.signal_seconds + 2 * EARLY_SECONDS) // 60)
    if profile.minutes < least:
        raise ValueError(
            f"[sbatch] time ({profile.minutes} minutes) must be at least {least}: a task is told to save "
            f"{profile.signal_seconds} s (signal_delay_s) before its end or a minute sooner, and needs one to start"
        )
    if profile.device not in ("", "cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, got {profile.device!r}")
    if profile.run_device == "cuda" and profile.gpus < profile.gpus_per_run:
        raise ValueError(
            f"gpus_per_run ({profile.gpus_per_run}) must be at most gpus_per_node, which is {profile.gpus}"
        )
    return profile
