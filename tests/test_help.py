"""``--help`` of every command is the documentation: it comes out, and says something of every option."""

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from contrastbench.cli.commands import app

OF_TYPER = ("install_completion", "show_completion")
COMMANDS = [[], *([name] for name in get_command(app).commands), ["data", "fetch"]]


def command_of(names):
    found = get_command(app)
    for name in names:
        found = found.commands[name]
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_does(command):
    found = command_of(command)
    silent = [each.name for each in found.params if not each.help and each.name not in OF_TYPER]
    assert found.help and not silent


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_comes_out(command):
    told = CliRunner().invoke(app, [*command, "-h"])  # short for --help
    assert told.exit_code == 0, told.exception
    assert "Usage" in told.output
