"""What papers use of the runner: its vocabulary. The rest is for the command line."""

from contrastbench.runner.checkpoint import Checkpoint, Log
from contrastbench.runner.vocabulary import Cell, Run, Table, added, product, seeded

__all__ = ["Cell", "Checkpoint", "Log", "Run", "Table", "added", "product", "seeded"]
