"""The command line. ``contrastbench --help`` is its documentation; the commands stand in the modules beside this one."""

from contrastbench.cli import cluster, machine, results, running
from contrastbench.cli.app import app

__all__ = ["app", "cluster", "machine", "main", "results", "running"]


def main() -> None:
    app()
