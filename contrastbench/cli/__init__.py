"""The command line; ``contrastbench --help`` documents it. Its commands stand in the files beside this one."""

from contrastbench.cli import cluster, machine, results, running
from contrastbench.cli.app import app

__all__ = ["app", "cluster", "machine", "main", "results", "running"]


def main() -> None:
    app()
