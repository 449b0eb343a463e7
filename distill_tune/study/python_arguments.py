"""Conversion of the public functions' arguments to the types used internally."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from distill_tune.errors import InputError, Text, show
from distill_tune.records.files.storage import path_text
from distill_tune.study.validation import to_yaml
from distill_tune.study.yaml.text import load

FileName = str | os.PathLike[str]


def space_argument(space: object) -> Path | Mapping[str, Any]:
    """Return the path of a YAML file, or a mapping; raise InputError for anything else."""
    if isinstance(space, Mapping):
        return space
    if isinstance(space, str | os.PathLike):
        return Path(space)
    raise InputError("space", got=space, expected="a YAML file, or a mapping with the same content")


def path_texts(where: str, names: FileName | Iterable[FileName]) -> tuple[str, ...]:
    """Return one path or several as texts; raise InputError for anything else."""
    if isinstance(names, str | bytes | os.PathLike) or not isinstance(names, Iterable):
        return (path_text(where, names),)
    return tuple(path_text(where, name) for name in names)


def names_text(where: str, names: str | Iterable[str] | None) -> str | None:
    """Return names with commas between them; raise InputError for anything but text or texts."""
    if names is None or isinstance(names, str):
        return names
    listed = list(names) if isinstance(names, Iterable) else [names]
    if not all(isinstance(name, str) for name in listed):
        raise InputError(where, got=Text(show(names)), expected="names as text")
    return ",".join(listed)


def require_flag(where: str, given: object) -> None:
    """Raise InputError unless a value is None, True or False."""
    if given is not None and not isinstance(given, bool):
        raise InputError(where, got=Text(show(given)), expected="True or False")


def require_text(where: str, given: object) -> None:
    """Raise InputError unless a value is None or text."""
    if given is not None and not isinstance(given, str):
        raise InputError(where, got=Text(show(given)), expected="text")


def assignment_options(assignments: object) -> list[str]:
    """Return assignments (dotted path -> value) as ``path=value``, with the value in YAML.

    Tuples become lists. Paths and other objects that are not plain data become text.

    Raises:
        InputError: ``assignments`` is neither a mapping nor None.
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
    if value is not None and (not isinstance(value, int) or value is True or value < 1):
        raise InputError(name, got=value, expected="a whole number of at least 1")
