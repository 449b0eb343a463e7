"""Substitutes for what Ray and torch expect of a machine: a home, a user name, a short path.

Batch systems, services and containers often lack one of them.
"""

import atexit
import getpass
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from distill_tune.errors import InputError

_SOCKET_BYTES = 107
_BELOW = "/ray/session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store"
LONGEST_TEMPORARY = _SOCKET_BYTES - len(_BELOW)
"""Most bytes in the path of Ray's temporary folder: the path of a socket in it takes 107 in all."""
_VARIABLES = ("RAY_TMPDIR", "TMPDIR")
"""Where Ray looks for that folder, in this order."""
_SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run/shm")  # noqa: S108 - what is made is private


def provide_user() -> None:
    """Set a home and a user name if the process or the machine lacks them.

    Ray cannot even be imported without a home, and torch names its caches after the user.
    """
    if not os.environ.get("HOME"):
        # An empty HOME would mean the root folder.
        os.environ.pop("HOME", None)
        try:
            home = str(Path.home())
        except RuntimeError:
            home = _own_folder("home")
        os.environ["HOME"] = home
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user-{os.getuid()}"


def short_temporary_folder() -> str:
    """Return the folder for Ray's files, if the folder that Ray would choose is unusable.

    A path that is too long for sockets is reached through a short link, which is deleted when this
    process ends. The files stay in the folder itself.

    Returns:
        The folder; an empty string if Ray's own choice is usable.

    Raises:
        InputError: The folder is not writable, or there is no place for a link.
    """
    name = next((name for name in _VARIABLES if os.environ.get(name)), None)
    if name is None:
        return _own_choice()
    folder = Path(os.environ[name]).absolute()
    _require_writable(name, folder)
    if _is_short(str(folder)):
        return str(folder)
    short = _linked(folder)
    if short is None:
        expected = f"a path of at most {LONGEST_TEMPORARY} bytes in UTF-8: Ray's sockets lie there"
        raise InputError(name, got=str(folder), expected=expected)
    return short


def _own_choice() -> str:
    """Return a folder instead of ``/tmp`` if that is unusable, as Python does."""
    usual = _SHORT_PLACES[0]
    return "" if os.access(usual, os.W_OK | os.X_OK) else tempfile.gettempdir()


def _require_writable(name: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_usable = os.access(folder, os.W_OK | os.X_OK)
    except (OSError, ValueError):
        is_usable = False
    if not is_usable:
        expected = "a folder that can be written to: Ray keeps its files there"
        raise InputError(name, got=str(folder), expected=expected)


def _is_short(path: str) -> bool:
    try:
        return len(path.encode()) <= LONGEST_TEMPORARY
    except UnicodeEncodeError:
        return False


def _linked(folder: Path) -> str | None:
    """Return a short path that leads to a folder; None if none can be made."""
    for place in _SHORT_PLACES:
        with suppress(OSError):
            own = Path(_own_folder("", place))
            link = own / "t"
            link.symlink_to(folder, target_is_directory=True)
            return str(link)
    return None


def _own_folder(what: str, place: str | None = None) -> str:
    """Make a private folder that is deleted when this process ends."""
    folder = tempfile.mkdtemp(prefix=f"distill-tune-{what}-" if what else "dt-", dir=place)
    maker = os.getpid()

    def delete() -> None:
        # A forked process does not own the folder.
        if os.getpid() == maker:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(delete)
    return folder
