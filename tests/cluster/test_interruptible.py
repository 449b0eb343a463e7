"""A question to Ray that gets no answer can be interrupted."""

import ctypes
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from distill_tune.cluster.failures.interruptible import interruptible


class AlarmError(Exception):
    """Error that the alarm raises in the main thread, and a test in another one."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """Interrupt the main thread after a moment."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """Return what is waited for in vain, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_the_answer_is_returned() -> None:
    assert interruptible(lambda: 3) == 3


def test_an_error_is_raised() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        interruptible(fail)


@pytest.mark.usefixtures("alarm")
def test_the_main_thread_can_be_interrupted(never: threading.Event) -> None:
    with pytest.raises(AlarmError):
        interruptible(never.wait)


def test_so_can_another_thread(never: threading.Event) -> None:
    asked, caught = threading.Event(), list[BaseException]()

    def in_vain() -> None:
        asked.set()
        never.wait()

    def ask() -> None:
        try:
            interruptible(in_vain)
        except AlarmError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(60)
    # Once: another one could come after the first had been caught.
    number = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(AlarmError))
    thread.join(60)
    assert caught
