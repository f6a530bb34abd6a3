"""Every command of the command line, in the order of ``--help``."""

from contrastbench.cli import (  # noqa: F401  a file that is imported adds its commands
    machine,
    maintain,
    plan,
    report,
    reproduce,
    run,
    show,
    status,
    try_loss,
)
from contrastbench.cli.app import app

__all__ = ["app"]

ORDER = (  # of the commands in --help: as one needs them
    *("list", "plan", "run", "status", "logs", "retry", "cancel", "clean", "reproduce", "try"),
    *("claims", "table", "plot", "report", "results", "show", "compare"),
    *("collect", "export", "verify", "doctor"),
)
app.registered_commands.sort(key=lambda command: ORDER.index(command.name or ""))
