"""Shared by all tests: the toy paper is on the path, here and in every process that a test starts."""

import os
import sys
from pathlib import Path

TOY = str(Path(__file__).parent / "toy")
sys.path.insert(0, TOY)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [TOY, os.environ.get("PYTHONPATH")]))
os.environ["CONTRASTBENCH_CHECKPOINT_SECONDS"] = "0"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: one thread a process, as workers have
os.environ.pop("CONTRASTBENCH_DATA", None)
os.environ.pop("CONTRASTBENCH_RUNS", None)
