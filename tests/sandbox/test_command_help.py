"""Every command teaches: its help shows a line that a person can type."""

import pytest
import typer

from sandbox.commands.main import app, main


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_shows_how_it_is_called(path):
    assert f"proctor {' '.join(path)}" in COMMANDS[path].help


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_refuses_an_option_that_it_does_not_have(path, capsys):
    assert main([*path, "--no-such-option"]) == 2
    assert "--no-such-option" in capsys.readouterr().err


def test_a_kind_of_entry_that_is_not_there_is_told(capsys):
    assert main(["ledger", "show", "--kind", "evaluation-finish"]) == 2
    assert "evaluation-finished" in capsys.readouterr().err
