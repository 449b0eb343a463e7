"""Output folders, checked before anything is computed."""

import os
from pathlib import Path

from distill_tune.errors import InputError, Parameter, Text


def refuse_unusable(out: Path, *, beginning: str = "") -> None:
    """Refuse an unusable output folder now, not after hours of work.

    Args:
        out: The folder, new or empty.
        beginning: Folder in it by which the command recognises its own work, to resume it.

    Raises:
        InputError: The folder holds anything else, or cannot be made.
    """
    expected = "a new or empty folder"
    try:
        is_full = out.exists() and (not out.is_dir() or any(out.iterdir()))
        is_begun = bool(beginning) and (out / beginning).is_dir()
    except OSError as error:
        met = Text(f"{out} ({error.strerror})")
        raise InputError(Parameter("out"), got=met, expected=expected) from None
    if is_full and not is_begun:
        met = Text(f"{out}, which already exists")
        raise InputError(Parameter("out"), got=met, expected=expected)
    refuse_unwritable(out)


def refuse_unwritable(folder: Path) -> None:
    """Raise InputError if a folder cannot be made, or cannot be written to."""
    try:
        above = next(
            path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
        )
    except OSError as error:
        met = Text(f"{folder} ({error.strerror})")
        raise InputError(Parameter("out"), got=met, expected="a folder") from None
    if not above.is_dir() or not os.access(above, os.W_OK):
        met = Text(f"{folder} below {above}")
        raise InputError(Parameter("out"), got=met, expected="a place where a folder can be made")
