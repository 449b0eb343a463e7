"""Images that do not lie any more where a study or a model knows them to be."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from distill_tune.datasets.folder_tree.paths import absolute
from distill_tune.errors import InputError, Message, Parameter

_LONGEST_TAIL = 4


@contextmanager
def told_how_to_go_on(root: str | None, command: str, near: Sequence[str] = ()) -> Iterator[None]:
    """Say of a ``data.root`` that is gone how a command is told where the images are now.

    Args:
        root: As it is known; None where the data have none.
        command: What takes it, such as ``distill-tune resume runs/s``; empty: the same one.
        near: Where images may have gone together with it: the study's or the model's folder.
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
    """Return where the end of a path is found again, in or above some folders; else nothing."""
    parts = absolute(root).parts[1:]
    above = [folder for start in near for folder in (absolute(start), *absolute(start).parents)]
    for length in range(min(len(parts), _LONGEST_TAIL), 0, -1):
        for folder in above:
            found = Path(folder, *parts[-length:])
            if found.exists():
                return str(found)
    return ""
