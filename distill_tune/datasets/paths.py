"""The ``root`` that a user names: its absolute path, and what lies near when it is not there."""

from collections.abc import Iterable
from pathlib import Path

from distill_tune.errors import InputError, closest


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
