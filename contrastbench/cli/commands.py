"""Every command of the command line, in the order of ``--help``."""

import gc

from contrastbench.cli import (  # noqa: F401  a file that is imported adds its commands
    cleaning,
    cluster,
    comparing,
    inspecting,
    listing,
    machine,
    maintaining,
    reporting,
    reproducing,
    running,
    status,
)
from contrastbench.cli.app import app, end_on_sigterm

__all__ = ["app", "run"]

ORDER = (  # of the commands in --help: as one needs them
    *("list", "plan", "run", "status", "logs", "retry", "cancel", "clean", "reproduce"),
    *("table", "plot", "report", "results", "show", "compare"),
    *("collect", "export", "verify", "doctor"),
)
app.registered_commands.sort(key=lambda command: ORDER.index(command.name or ""))


def run() -> None:
    """Does what the command line says."""
    gc.set_threshold(200_000, 20, 20)  # many small rows are read and kept: searching them for garbage finds none
    end_on_sigterm()
    app(prog_name="contrastbench")  # also as `python -m contrastbench.cli`: completion and usage go by it
