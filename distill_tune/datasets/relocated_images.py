"""Images that have moved since a study or a model recorded their location."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from distill_tune.datasets.folder_tree.paths import absolute
from distill_tune.errors import InputError, Message, Parameter

_LONGEST_TAIL = 4


@contextmanager
def suggesting_new_location(
    root: str | None, command: str, near: Sequence[str] = ()
) -> Iterator[None]:
    """Add the option for the new location to the error for a missing ``data.root``.

    Args:
        root: The recorded location; None if the data has none.
        command: Command that takes the option, such as ``distill-tune resume runs/s``; empty: the
            same command.
        near: Folders of the study or the model, with which the images may have moved.
    """
    try:
        yield
    except InputError as error:
        if root is None or error.where != "data.root" or absolute(root).exists():
            raise
        guess = _guess(root, near)
        place = shlex.quote(guess) if guess else "PATH"
        given = Parameter("assignments")
        expected = Message(
            f"{error.expected}; ",
            given,
            " data.root=PATH says where the images are if they have moved: `",
            f"{command} --set" if command else given,
            f" data.root={place}`",
        )
        raise InputError(
            error.where, got=error.got, expected=expected, choices=error.choices
        ) from error


def _guess(root: str, near: Sequence[str]) -> str:
    """Return an existing path in or above some folders with the end of ``root``; else empty."""
    parts = absolute(root).parts[1:]
    above = [folder for start in near for folder in (absolute(start), *absolute(start).parents)]
    for length in range(min(len(parts), _LONGEST_TAIL), 0, -1):
        for folder in above:
            found = Path(folder, *parts[-length:])
            if found.exists():
                return str(found)
    return ""
