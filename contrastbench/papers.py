"""The papers that there are: ``papers.names()`` and ``papers.paper(name)``."""

from contrastbench.runner.studies import Paper
from contrastbench.runner.studies import load_paper as paper
from contrastbench.runner.studies import paper_names as names

__all__ = ["Paper", "names", "paper"]
