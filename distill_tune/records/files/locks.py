"""Locks on files of this machine: one process at a time holds one, and loses it when it dies."""

from filelock import FileLock, Timeout

__all__ = ["FileLock", "Timeout"]
