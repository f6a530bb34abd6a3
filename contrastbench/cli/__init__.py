"""The command line; ``contrastbench --help`` documents it. Its commands stand in the files beside this one."""

import gc

from contrastbench.cli import cleaning, cluster, inspecting, machine, reproducing, results, running
from contrastbench.cli.app import app, end_on_sigterm

__all__ = ["app", "cleaning", "cluster", "inspecting", "machine", "main", "reproducing", "results", "running"]


def main() -> None:
    gc.set_threshold(200_000, 20, 20)  # many small rows are read and kept: searching them for garbage finds none
    end_on_sigterm()
    app(prog_name="contrastbench")  # also as `python -m contrastbench.cli`: completion and usage go by it
