"""What Ray and torch take for granted of a machine: a home, a user's name, a short path.

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
"""Bytes of the folder below which Ray puts its sockets: a socket's path takes 107 in all."""
_VARIABLES = ("RAY_TMPDIR", "TMPDIR")
"""Where Ray looks for that folder, in its order."""
_SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run/shm")  # noqa: S108 - what is made is private


def provide_user() -> None:
    """Give a process without a home, or whose user the machine does not know, what stands for them.

    Ray does not even import without a home, and torch names its caches after the user.
    """
    if not os.environ.get("HOME"):
        # Set to nothing, it would be the root folder.
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
    """Return where Ray is to put its files, if the folder that it would take is no good.

    A path that is too long for sockets gets a short name, by a link that goes with this process:
    the files lie where they should.

    Returns:
        The folder; an empty text where Ray's own choice does.

    Raises:
        InputError: It cannot be written to, or there is no place for a short name.
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
    """Return a folder instead of ``/tmp``, where Python too has to take another one."""
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
    """Return a short path that leads to a folder; None where none can be made."""
    for place in _SHORT_PLACES:
        with suppress(OSError):
            own = Path(_own_folder("", place))
            link = own / "t"
            link.symlink_to(folder, target_is_directory=True)
            return str(link)
    return None


def _own_folder(what: str, place: str | None = None) -> str:
    """Make a folder that nobody else may open, and that goes with this process."""
    folder = tempfile.mkdtemp(prefix=f"distill-tune-{what}-" if what else "dt-", dir=place)
    maker = os.getpid()

    def delete() -> None:
        # Who was forked from it is not its owner.
        if os.getpid() == maker:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(delete)
    return folder
