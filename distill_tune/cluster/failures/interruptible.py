"""Calls that ask Ray's GCS, made so that they can be interrupted."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_EVERY_S = 0.2
"""Seconds after which a thread that is not the main one notices an interrupt."""


def interruptible(ask: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises.

    If Ray's GCS is gone, a call that asks it blocks for minutes within C++ code, where a thread
    cannot be interrupted. So another thread makes the call. An interrupt ends only the wait for it.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=call, name="question to Ray", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_EVERY_S)
    if errors:
        raise errors[0]
    return answers[0]
