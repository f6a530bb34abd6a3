"""What papers use of the runner: its vocabulary. The rest is for the command line."""

from contrastbench.runner.checkpoint import Checkpoint
from contrastbench.runner.log import Log
from contrastbench.runner.provenance import measured_on
from contrastbench.runner.studies import (
    ANY_DEVICE,
    CPU_ONLY,
    CPU_PREFERRED,
    Line,
    On,
    Paper,
    Places,
    Stage,
    Study,
    added,
    only,
    setting,
)
from contrastbench.runner.vocabulary import Cell, Run, product, seeded

__all__ = [
    "ANY_DEVICE",
    "CPU_ONLY",
    "CPU_PREFERRED",
    "Cell",
    "Checkpoint",
    "Line",
    "Log",
    "On",
    "Paper",
    "Places",
    "Run",
    "Stage",
    "Study",
    "added",
    "measured_on",
    "only",
    "product",
    "seeded",
    "setting",
]
