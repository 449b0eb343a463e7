"""File locks on this machine: held by one process at a time, released when it dies."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from distill_tune.errors import DiskFullError, StudyError, is_disk_full

__all__ = ["UNAVAILABLE", "FileLock", "Timeout", "held"]

UNAVAILABLE = (OSError, NotImplementedError)
"""Errors of a lock that cannot be taken here; ``Timeout``, which is one of them, goes first."""


@contextmanager
def held(path: str, busy: str, *, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a lock.

    Args:
        path: Its file; created if missing.
        busy: The message if another process holds it.
        patience_s: Seconds to wait for another process.

    Raises:
        StudyError: Another process holds it, or this user or the file system cannot lock the file.
        DiskFullError: There is no room for the file.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        raise StudyError(busy) from None
    except UNAVAILABLE as error:
        met = getattr(error, "strerror", None) or str(error) or "no locks"
        if is_disk_full(error):
            raise DiskFullError(f"{path}: {met}") from error
        expected = "a file on a disk with file locks that this user may write"
        raise StudyError(f"{path}: got {met!r} from the file lock, expected {expected}") from None
    try:
        yield
    finally:
        lock.release()
