"""The ``root`` that a user gives: its absolute path, and suggestions if it does not exist."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from distill_tune.errors import InputError, closest

_LONGEST_NAME, _LONGEST_PATH = 255, 4000
"""Limits in bytes: those of the system, less room for names below a root."""


def _check_path(root: str) -> str:
    """Raise ValueError for text that cannot be a path, which system calls would reject."""
    try:
        path = absolute(root)
    except RuntimeError:
        raise ValueError("expected a user that this machine knows after the '~'") from None
    if "\0" in root:
        raise ValueError("expected a path without a zero byte")
    longest = max(len(os.fsencode(name)) for name in path.parts)
    if longest > _LONGEST_NAME or len(os.fsencode(path)) > _LONGEST_PATH:
        raise ValueError(
            f"expected a path of at most {_LONGEST_PATH} bytes, {_LONGEST_NAME} for each name in it"
        )
    return root


Root = Annotated[str, Field(min_length=1), AfterValidator(_check_path)]
"""A path as the user wrote it."""


def absolute(root: str) -> Path:
    """Return the absolute path, with ``~`` expanded."""
    return Path(root).expanduser().absolute()


def not_found(root: str, siblings: Iterable[Path], *, expected: str) -> InputError:
    """Return the error for a ``root`` that does not exist.

    Args:
        root: As the user wrote it.
        siblings: Paths beside ``root``; one with a similar name is suggested.
        expected: The kind of path that was expected.
    """
    near = closest(Path(root).name, [path.name for path in siblings])
    return InputError(
        "data.root",
        got=root,
        expected=f"{expected} (looked for {absolute(root)})",
        choices=[str(Path(root).with_name(near))] if near else [],
    )
