"""Errors name parameters; the command line shows its options in their place."""

import ast
import copy
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import distill_tune
from distill_tune.cli import app
from distill_tune.cli.options import OPTIONS, option
from distill_tune.errors import InputError, InputErrors, Message, Parameter, StudyError

PACKAGE = Path(distill_tune.__file__).parent
MESSAGE = Message("no ", Message(Parameter("time_budget_s"), " or "), Parameter("resume=True"))


@pytest.mark.parametrize(
    "message",
    [MESSAGE, pickle.loads(pickle.dumps(MESSAGE)), copy.deepcopy(MESSAGE)],  # noqa: S301
    ids=["new", "pickled", "copied"],
)
def test_a_message_is_shown_in_the_words_of_its_reader(message: Message) -> None:
    error = StudyError(message)
    assert str(error) == "no time_budget_s or resume=True"
    assert error.spelled(option) == "no --time-budget or --resume"


def test_every_part_of_an_error_is_shown_so() -> None:
    location = Message(Parameter("assignments"), " num_trials=x")
    error = InputError(Parameter("num_trials"), got="x", expected=MESSAGE, location=location)
    python = "assignments num_trials=x: num_trials: got 'x', expected no time_budget_s or "
    shown = "--set num_trials=x: --num-trials: got 'x', expected no --time-budget or --resume"
    assert str(error) == f"{python}resume=True"
    assert error.spelled(option) == shown
    assert InputErrors([error, error]).spelled(option) == f"{shown}\n{shown}"


def nodes() -> Iterator[ast.AST]:
    for path in PACKAGE.rglob("*.py"):
        if path.parent != PACKAGE / "cli":
            yield from ast.walk(ast.parse(path.read_text("utf-8")))


def test_every_parameter_that_an_error_names_is_an_option() -> None:
    root = typer.main.get_command(app)
    commands = [root, *root.commands.values()]  # type: ignore[attr-defined]
    known = {name for command in commands for one in command.params for name in one.opts}
    named = {
        str(node.args[0].value)
        for node in nodes()
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Parameter"
        if isinstance(node.args[0], ast.Constant)
    }
    assert OPTIONS.keys() - {"time_budget_s"} <= named
    # An argument is shown by its own name.
    arguments = {
        one.arg
        for path in (PACKAGE / "cli").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reporting"
        for one in node.keywords
    }
    assert {option(name) for name in named - arguments} <= known


def test_no_message_below_the_command_line_begins_with_an_option() -> None:
    texts = [node.value for node in nodes() if isinstance(node, ast.Constant)]
    found = {text for text in texts if isinstance(text, str) and re.match("--[a-z]", text)}
    # Of nvidia-smi and of Ray's daemon.
    others = ("--query-gpu", "--format=csv", "--id=", "--raylet_socket_name=")
    assert {text for text in found if not text.startswith(others)} == set()
