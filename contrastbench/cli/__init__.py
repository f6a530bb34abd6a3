"""The command line. ``contrastbench --help`` is its documentation; the commands stand in the modules beside this one."""

from contrastbench.cli import machine, results, running
from contrastbench.cli.app import app

__all__ = ["app", "machine", "main", "results", "running"]


def main() -> None:
    app()
