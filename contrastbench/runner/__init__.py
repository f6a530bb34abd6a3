"""What papers use of the runner: its vocabulary. The rest is for the command line."""

from contrastbench.runner.checkpoint import Checkpoint
from contrastbench.runner.log import Log
from contrastbench.runner.provenance import measured_on
from contrastbench.runner.vocabulary import (
    ANY_DEVICE,
    CPU_ONLY,
    CPU_PREFERRED,
    Cell,
    Run,
    Table,
    added,
    product,
    seeded,
)

__all__ = [
    "ANY_DEVICE",
    "CPU_ONLY",
    "CPU_PREFERRED",
    "Cell",
    "Checkpoint",
    "Log",
    "Run",
    "Table",
    "added",
    "measured_on",
    "product",
    "seeded",
]
