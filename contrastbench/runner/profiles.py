"""Cluster profiles: one TOML file a site in ``slurm/``. Its table ``[sbatch]`` goes to submitit as it is."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrastbench.names import unknown
from contrastbench.runner.provenance import PROJECT

PROFILES = PROJECT / "slurm"
EARLY_SECONDS = 60  # Slurm may send a signal this much too early
USUAL = {"time": 5, "signal_delay_s": 90, "cpus_per_task": 1, "array_parallelism": 256}  # as submitit and Slurm have it
OURS = {"nodes": "nodes_per_run", "ntasks_per_node": "gpus_per_run", "job_name": "contrastbench", "use_srun": "true"}
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "sbatch", {**USUAL, **self.sbatch})

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
            at_once = self.gpus * self.runs_per_gpu or self.sbatch["cpus_per_task"] // self.threads
            return ["cpu"] * max(1, at_once)
        return [f"cuda:{index}" for _ in range(self.runs_per_gpu) for index in range(self.gpus)]

    @property
    def task_size(self) -> int:
        """Runs that one task is given: at least as many as work at the same time."""
        return max(self.runs_per_task, len(self.devices))


def read_profile(name: str | None) -> Profile:
    """The profile of that name, or of that path. A mistake is a ValueError that says what is possible."""
    name = name or "default"
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    if not path.is_file():
        raise unknown("profile", name, profile_names(), f"{PROFILES} has")
    try:
        return _profile_of(path.stem, tomllib.loads(path.read_text()))
    except ValueError as error:
        raise ValueError(f"{path}: {'not TOML: ' * isinstance(error, tomllib.TOMLDecodeError)}{error}") from None


def profile_names() -> list[str]:
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def _profile_of(name: str, values: dict[str, Any]) -> Profile:
    from submitit import SlurmExecutor

    kinds = {key: type(value) for key, value in vars(Profile()).items() if key != "name"}
    for key, value in values.items():
        if key not in kinds:
            raise unknown("key", key, kinds)
        if type(value) is not kinds[key] or (kinds[key] is int and value < 1):
            raise ValueError(f"{key} must be {KINDS[kinds[key]]}, got {value!r}")
    profile, possible = Profile(name, **values), SlurmExecutor._valid_parameters() - OURS.keys()
    for key, value in profile.sbatch.items():
        if key in OURS:
            raise ValueError(f"[sbatch] {key} is set by the suite: {OURS[key]}")
        if key not in possible:
            raise unknown("key of [sbatch]", key, possible, "submitit has")
        if key in USUAL and type(value) is not int:
            raise ValueError(f"[sbatch] {key} must be a whole number, got {value!r}")
    notice = profile.sbatch["signal_delay_s"]
    if 60 * profile.sbatch["time"] < (least := notice + 2 * EARLY_SECONDS):
        said = f"a task is told to save {notice} s (signal_delay_s) before its end or a minute sooner"
        raise ValueError(f"[sbatch] time must be at least {-(-least // 60)} minutes: {said}, and needs one to start")
    if profile.device not in ("", "cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, got {profile.device!r}")
    if profile.run_device == "cuda" and profile.gpus < profile.gpus_per_run:
        raise ValueError(f"gpus_per_run is {profile.gpus_per_run}, and gpus_per_node only {profile.gpus}")
    return profile
