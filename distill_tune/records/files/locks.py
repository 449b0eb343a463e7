"""File locks on this machine: held by one process at a time, released when it dies."""

from filelock import FileLock, Timeout

__all__ = ["FileLock", "Timeout"]
