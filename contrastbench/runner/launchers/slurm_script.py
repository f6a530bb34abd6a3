"""The text of a job: what sbatch is asked for, and the shell around the task that puts it back into the queue.

The shell and not the task asks for the requeue: it is there before Python is, and outside of any container, so a
signal that comes before Python is ready loses nothing and the image needs no Slurm inside.
"""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastbench.runner.profiles import AUTO_HOURS, Profile
from contrastbench.runner.rows import read_row

JOB_NAME = "contrastbench"
AGAIN = 75  # exit code of a task that was told to go and has saved: back to the queue (EX_TEMPFAIL)
SETUP_FAILED = 78  # exit code of a job whose setup failed (EX_CONFIG)
MEMORY_KILLS = "CONTRASTBENCH_MEMORY_KILLS"  # how many steps of this job Slurm has ended as out of memory so far
NO_WORKING_GPU = "NoWorkingGPU"  # the error type in the row of a run that was sent to a node without one
AUTO_STEP_HOURS = 0.25  # "auto" asks for this or for 2, 4, 8, ... times as much
AUTO_MARGIN = 2.0  # times the estimated hours
AUTO_UNKNOWN_HOURS = 8.0  # where nothing like the run was measured; more than one task may be needed


@dataclass(frozen=True, order=True)
class Ask:
    """What the runs of one array ask for beyond their profile. Runs that ask for other things are in other arrays."""

    hours: float
    memory_factor: float = 1.0
    exclude: tuple[str, ...] = ()


def ask_for(folder: Path, profile: Profile, estimated_seconds: float | None) -> Ask:
    """What a run asks for: by its estimated cost if hours are "auto", and by how it failed before.

    Each time that it ran out of memory or time makes it ask for ``profile.grow`` times as much; a node whose GPU did
    not work is excluded.
    """
    failed = [read_row(path) for path in sorted(folder.glob("failed.*.json"))]
    hours = profile.hours if profile.hours != AUTO_HOURS else auto_hours(estimated_seconds, profile)
    too_long = sum(row["status"] == "timed_out" for row in failed)
    too_large = sum(row["status"] == "out_of_memory" for row in failed)
    nodes = {row["error"]["node"] for row in failed if row["error"]["type"] == NO_WORKING_GPU}
    grown = min(hours * profile.grow**too_long, max(hours, profile.max_hours))
    return Ask(grown, profile.grow**too_large, tuple(sorted(nodes | set(profile.exclude))))


def auto_hours(estimated_seconds: float | None, profile: Profile) -> float:
    """The limit of a task of such runs, with a margin; one of few values, so that few arrays are needed."""
    if estimated_seconds is None:
        return min(AUTO_UNKNOWN_HOURS, profile.max_hours)
    rounds = math.ceil(profile.task_size / profile.runs_at_once)
    wanted = AUTO_MARGIN * rounds * estimated_seconds / 3600
    doublings = math.ceil(math.log2(max(1.0, wanted / AUTO_STEP_HOURS)))
    return min(AUTO_STEP_HOURS * 2**doublings, profile.max_hours)


def script(
    profile: Profile,
    ask: Ask,
    folder: Path,
    *,
    tasks: int,
    at_a_time: int,
    dependency: str = "",
    environment: dict[str, str] | None = None,
) -> str:
    """The job script of an array of ``tasks`` tasks, whose files are in ``folder``."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in (environment or {}).items()]
    setup = [text for line in profile.setup for text in (line, f"worked {shlex.quote(line)}")]
    return "\n".join(
        [
            "#!/bin/bash",
            *_directives(options(profile, ask, folder, tasks, at_a_time, dependency)),
            "",
            HEAD.format(failed=SETUP_FAILED),
            *setup,
            *exports,
            TAIL.format(
                command=_step(profile, folder),
                folder=shlex.quote(str(folder)),
                again=AGAIN,
                kills=MEMORY_KILLS,
                most_kills=(profile.task_size + 1) * profile.nodes_per_run,
            ),
        ]
    )


def options(
    profile: Profile, ask: Ask, folder: Path, tasks: int, at_a_time: int, dependency: str = ""
) -> dict[str, str]:
    """sbatch's options by long name; an empty text is an option without a value."""
    width = f"%{at_a_time}" if at_a_time < tasks else ""
    gpus = ":".join(filter(None, [profile.gpu_type, str(profile.gpus)])) if profile.gpus else None
    asked: dict[str, Any] = {
        "job-name": JOB_NAME,
        "array": f"0-{tasks - 1}{width}",
        "output": folder / "%a.log",
        "open-mode": "append",
        "requeue": "",
        "export": "ALL",
        "time": max(1, round(ask.hours * 60)),
        "signal": f"B:USR2@{profile.signal_seconds}",
        "nodes": profile.nodes_per_run,
        "ntasks-per-node": 1,
        "cpus-per-task": profile.cpus,
        "gpus-per-node": gpus,
        "mem": _megabytes(profile.memory_gb * ask.memory_factor),
        "mem-per-cpu": _megabytes(profile.mem_per_cpu_gb * ask.memory_factor),
        "exclude": ",".join(ask.exclude),
        "dependency": dependency,
    }
    for name in ("partition", "account", "qos", "constraint"):
        asked[name] = getattr(profile, name)
    given = {name: str(value) for name, value in asked.items() if value or name == "requeue"}
    return {**given, **profile.extra}


def _megabytes(memory_gb: float) -> str:
    return f"{round(memory_gb * 1024)}M" if memory_gb else ""


def _directives(asked: dict[str, str]) -> list[str]:
    return [f"#SBATCH --{name}" + (f"={shlex.quote(value)}" if value else "") for name, value in asked.items()]


def _step(profile: Profile, folder: Path) -> str:
    """The command that does the task on its node, or on each of its nodes."""
    python = profile.python or shlex.quote(sys.executable)
    task = [python, "-u", "-m", "contrastbench.runner.launchers.slurm_task", shlex.quote(str(folder))]
    if profile.container:
        runs_folder = folder.parents[1]
        binds = shlex.quote(",".join([str(runs_folder), *profile.binds]))
        gpu = ["--nv"] if profile.run_device == "cuda" else []
        task = ["apptainer", "exec", *gpu, "--bind", binds, shlex.quote(profile.container), *task]
    asked = [f"--nodes={profile.nodes_per_run}", "--ntasks-per-node=1", f"--cpus-per-task={profile.cpus}"]
    return " ".join(["srun", *asked, "--export=ALL", "--input=none", "--kill-on-bad-exit=1", *task])


HEAD = """\
told=  # the signal that came, if one did
step=  # srun's process
job="${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID" # SLURM_JOB_ID would mean the whole array in one of its tasks
tell() {{ told=$1; [ -z "$step" ] || kill -s USR2 "$step" 2>/dev/null; }}
trap 'tell USR2' USR2
trap 'told=TERM' TERM
worked() {{
  local code=$?
  [ $code -eq 0 ] && return
  echo "contrastbench: a setup line of the profile failed with exit code $code: $1" >&2
  exit {failed}
}}
again() {{ # only a job that Slurm still counts as running: a cancelled one must not come back
  if [ "$(squeue --noheader --jobs="$job" --format=%T)" = RUNNING ]; then
    echo "contrastbench: back to the queue ($1)"
    scontrol requeue "$job" && exec sleep 900
  fi
  echo "contrastbench: not put back into the queue: Slurm has ended the job or refuses ($1)"
}}

# setup"""

TAIL = """\

# task
echo "$SLURM_ARRAY_JOB_ID" > {folder}/job
[ -z "$told" ] || again "SIG$told before the task began"
out_of_memory() {{ grep -c '^srun: error: .*: Out Of Memory' {folder}/"$SLURM_ARRAY_TASK_ID.log"; }}
do_step() {{
  {command} &
  step=$!
  [ -z "$told" ] || kill -s USR2 "$step" 2>/dev/null # it came while srun was being started
  wait "$step"
  code=$?
  while kill -0 "$step" 2>/dev/null; do wait "$step"; code=$?; done
}}
before=$(out_of_memory)
do_step
# A process was killed for memory, or the whole step with it: the task begins again and sees to the runs without rows.
until [ -n "$told" ] || [ $((kills = $(out_of_memory) - before)) -eq ${{{kills}:-0}} ]; do
  export {kills}=$kills
  [ $kills -le {most_kills} ] || break
  do_step
done
case $code in
  0) exit 0 ;;
  {again}) again "saved" ;;
  140 | 143) again "told to go before the task was ready" ;; # killed by SIGUSR2 or SIGTERM
  *) [ -z "$told" ] || again "SIG$told" ;;
esac
exit $code
"""
