"""Commands in the READMEs are ones that our command line accepts, with all of their options."""

import shlex

import pytest
from typer.main import get_command

from distill_tune.cli import app
from tests.readme_commands import READMES, shown

OURS = sorted({line for name in READMES for line in shown(name) if line.startswith("distill-tune")})


@pytest.mark.parametrize("line", OURS)
def test_our_command_line_accepts_every_command(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.make_context(name, arguments).params


def test_commands_are_found() -> None:
    assert len(OURS) >= 12
