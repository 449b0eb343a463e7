"""Between Python's keywords and the command line's options: arguments there, messages back."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill_tune.config import to_yaml
from distill_tune.errors import DistillTuneError, InputError, InputErrors, StudyError, Text, show
from distill_tune.yaml_text import load

FileName = str | os.PathLike[str]

_KEYWORDS = {
    "--set": "assignments",
    "--name": "name",
    "--warm-start": "warm_start",
    "--warm-start-trials": "warm_start_trials",
    "--trial": "trial",
    "--backbone": "backbone",
    "--seed": "seed",
    "--storage": "storage",
    "--num-trials": "num_trials",
    "--time-budget": "time_budget_s",
    "--resume": "resume=True",
    "--allow-changed": "allow_changed=True",
    "--address": "address",
    "--arms": "arms",
    "--config": "config",
    "--out": "out",
}


@contextmanager
def python_words() -> Iterator[None]:
    """Let errors name a function's keywords where they name a command's options."""
    try:
        yield
    except (InputError, InputErrors, StudyError) as error:
        raise _translated(error) from error.__cause__


def _translated(error: InputError | InputErrors | StudyError) -> DistillTuneError:
    if isinstance(error, InputErrors):
        return InputErrors(_input_error(one) for one in error.errors)
    if isinstance(error, InputError):
        return _input_error(error)
    return type(error)(_words(str(error)))


def _input_error(error: InputError) -> InputError:
    return InputError(
        _words(error.where),
        got=error.got,
        expected=_words(error.expected),
        choices=error.choices,
        location=_words(error.location),
    )


def _words(text: str) -> str:
    """Return a message with its options as keywords; names of files stay, and `whole commands`."""
    options = r"`[^`]*`|(?<!\S)--[a-z]+(-[a-z]+)*\b"
    return re.sub(options, lambda m: _KEYWORDS.get(m[0], m[0]), text)


def space_argument(space: object) -> Path | Mapping[str, Any]:
    """Return a YAML file's path, or a mapping; InputError for anything else."""
    if isinstance(space, Mapping):
        return space
    if isinstance(space, str | os.PathLike):
        return Path(space)
    raise InputError("space", got=space, expected="a YAML file, or a mapping of what stands in one")


def assignment_options(assignments: object) -> list[str]:
    """Return dotted path -> value as ``path=value`` with the value in YAML, as ``--set`` takes it.

    Tuples become lists, paths and what else is no plain data their text.

    Raises:
        InputError: It is no mapping, nor None.
    """
    if assignments is None:
        return []
    if not isinstance(assignments, Mapping):
        expected = "a mapping of dotted paths to values, such as {'search.num_trials': 8}"
        raise InputError("assignments", got=Text(show(assignments)), expected=expected)
    plain = load(to_yaml(assignments), "assignments")[1]
    return [f"{path}={json.dumps(value)}" for path, value in plain.items()]


def require_count(name: str, value: object) -> None:
    """Raise InputError unless a count is None or at least 1."""
    if value is not None and (not isinstance(value, int) or value < 1):
        raise InputError(name, got=value, expected="a whole number of at least 1")
