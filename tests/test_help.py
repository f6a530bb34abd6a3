"""``--help`` of every command: it is the documentation, so it must at least come out."""

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from contrastbench.cli.commands import app

COMMANDS = [[], *([name] for name in get_command(app).commands), ["data", "fetch"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_comes_out(command):
    told = CliRunner().invoke(app, [*command, "--help"])
    assert told.exit_code == 0, told.exception
    assert "Usage" in told.output
