"""What papers use of the runner: its vocabulary. The rest is for the command line."""

# ruff: noqa: F401  they are imported here to be imported from here

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
