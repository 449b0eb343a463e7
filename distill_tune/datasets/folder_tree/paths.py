"""The ``root`` that a user names: its absolute path, and what lies near when it is not there."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from distill_tune.errors import InputError, closest

_LONGEST_NAME, _LONGEST_PATH = 255, 4000
"""Bytes: the system's limits, with room for what lies below a root."""


def _check_path(root: str) -> str:
    """Refuse text that no file can be called, which the system's calls do not take either."""
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
"""A path that a user gives, as he wrote it."""


def absolute(root: str) -> Path:
    """Return the path with ``~`` and the current directory written out."""
    return Path(root).expanduser().absolute()


def not_found(root: str, siblings: Iterable[Path], *, expected: str) -> InputError:
    """Return the error for a ``root`` that does not exist.

    Args:
        root: As the user wrote it.
        siblings: What lies where ``root`` should; the one with a similar name is suggested.
        expected: What ``root`` should have been.
    """
    near = closest(Path(root).name, [path.name for path in siblings])
    return InputError(
        "data.root",
        got=root,
        expected=f"{expected} (looked for {absolute(root)})",
        choices=[str(Path(root).with_name(near))] if near else [],
    )
