"""What the command line says of itself: examples that parse, and completion."""

import os
import shlex
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.cli.examples import examples

NAMES = [str(command.name or command.callback.__name__) for command in app.registered_commands]  # type: ignore[union-attr]


def shown(*arguments: str) -> list[str]:
    done = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "90"})
    assert done.exit_code == 0
    return [line.strip() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_shows_examples_that_can_be_typed(name: str) -> None:
    lines = shown(name)
    title, *typed = [line for line in examples(name).splitlines() if line]
    assert title in lines
    assert typed
    assert set(typed) <= set(lines), "an example that is wrapped cannot be copied"
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    for line in typed:
        program, which, *arguments = shlex.split(line)
        assert (program, which) == ("distill-tune", name)
        command.make_context(name, arguments)


def test_every_option_of_every_command_is_explained() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    silent = [
        f"{name} {option.name}"
        for name, command in commands.items()
        for option in command.params
        if not getattr(option, "help", "")
    ]
    assert silent == []


def completed(words: str) -> list[str]:
    """Return what a shell is offered after these words, as bash asks for it."""
    asked = {"_DISTILL_TUNE_COMPLETE": "complete_bash", "COMP_WORDS": words}
    code = "from distill_tune.cli import app; app(prog_name='distill-tune')"
    environment = os.environ | asked | {"COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [("distill-tune sta", ["status"]), ("distill-tune status --wa", ["--watch"])],
)
def test_a_shell_completes_commands_and_options(words: str, offered: list[str]) -> None:
    assert completed(words) == offered
