"""One run on several devices or nodes of a Slurm task: torchrun on each node, told by the first node what to do.

The nodes' tasks share the submission's folder, so the first one writes down whose turn it is, and the others read it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contrastbench.runner import files
from contrastbench.runner.profiles import Profile

LOOK_SECONDS = 0.5
ENDED = "ended"


class Group:
    """The tasks of one Slurm job, one on each node.

    Args:
        submission, number: where the turns are written down, for this task of the array and this start of it.
        job: the Slurm job, for the row.
    """

    def __init__(self, submission: Path, number: int, profile: Profile, job: str) -> None:
        self.profile, self.job = profile, job
        self.leads = leads()
        start = ".".join(os.environ.get(name, "0") for name in ("SLURM_RESTART_COUNT", "SLURM_STEP_ID"))
        self._turns = submission / f"{number}.turn.{start}.json"
        self._turn = 0

    def do(self, folder: Path) -> None:
        """Has every node begin its processes of the run, and waits for those of this node to end."""
        self._turn += 1
        meeting = f"{socket.gethostname()}:{free_port()}"
        files.write_json(self._turns, {"turn": self._turn, "folder": str(folder), "meeting": meeting}, sync=False)
        self._begin(folder, meeting)

    def end(self) -> None:
        files.write_json(self._turns, {"turn": self._turn + 1, "folder": ENDED, "meeting": ""}, sync=False)

    def follow(self, stopping: Callable[[], bool]) -> int:
        """On the other nodes: does what the first one says, until it says that all is done."""
        while not stopping():
            told: dict[str, Any] = files.read_json(self._turns) if self._turns.exists() else {"turn": 0}
            if told["turn"] > self._turn:
                self._turn = told["turn"]
                if told["folder"] == ENDED:
                    break
                self._begin(Path(told["folder"]), told["meeting"])
            else:
                time.sleep(LOOK_SECONDS)
        return 0

    def _begin(self, folder: Path, meeting: str) -> None:
        """Runs torchrun on this node and waits for it; what it says goes to the job's log."""
        per_node, nodes = self.profile.gpus_per_run, self.profile.nodes_per_run
        command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={per_node}", f"--nnodes={nodes}"]
        command += ["--rdzv-backend=c10d", f"--rdzv-endpoint={meeting}", f"--rdzv-id={folder.name[:16]}"]
        command += ["--max-restarts=0", "-m", "contrastbench.runner.worker", str(folder), "--spread"]
        command += ["--launcher", "slurm", "--job", self.job, "--device", self.profile.run_device]
        command += ["--threads", str(self.profile.threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.profile.threads)}
        subprocess.run(command, env=environment, preexec_fn=_without_the_warning, check=False)


def leads() -> bool:
    """Whether this process is on the first node of its job."""
    return os.environ.get("SLURM_NODEID", "0") == "0"


def _without_the_warning() -> None:
    """torchrun would die of the signal that its processes save at; they set their own handler."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]
