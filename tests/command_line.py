"""The command line in this process: what a command prints and how it exits, without the seconds of a new Python."""

import os
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from typer.testing import CliRunner

from contrastbench.cli.app import console
from contrastbench.cli.commands import app


class Told(NamedTuple):
    """As ``subprocess.run`` with ``text=True`` gives it."""

    returncode: int
    stdout: str
    stderr: str


def contrastbench(
    *arguments: str, runs: Path | None = None, results: Path | None = None, width: int = 200, **environment: str
) -> Told:
    """Gives the command these arguments. Only tests of signals, kills and imports need a process of their own."""
    folders = [*(["--runs", str(runs)] if runs else []), *(["--results", str(results)] if results else [])]
    width_before, console.width = console.width, width
    try:
        with mock.patch.dict(os.environ, environment):
            told = CliRunner().invoke(app, [*folders, *arguments])
    finally:
        console.width = width_before
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return Told(told.exit_code, told.stdout, told.stderr)
