"""Watch on the processes without which Ray ends its driver: its raylet and its GCS.

Ray notices after 15 to 60 seconds that one of them is gone, and then ends the whole process from
within its C++ code: no message can say how to resume, and a notebook loses its kernel. This watch
interrupts the computing thread within a second or two.
"""

import ctypes
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.cluster.ray_private import GCS, RAYLET, own_daemons, own_node
from distill_tune.errors import RayError

_LOOK_EVERY_S, _AGAIN_AFTER_S = 0.5, 15.0
# How long Ray itself waits by default for the GCS of a cluster to come back.
_GCS_PATIENCE_S, _CONNECT_S = 60.0, 2.0
_SIGNAL = signal.SIGUSR2


class DaemonLostError(KeyboardInterrupt):
    """Interrupt raised in the computing thread, wherever it is.

    It is a KeyboardInterrupt because Ray's own loops let nothing else through. It ends an
    experiment without the orderly shutdown, which would wait for the lost process.
    """


class Daemon(NamedTuple):
    """Process of Ray's.

    Attributes:
        name: As the system calls it.
        end: Returns how the process ended, in words; an empty string while it runs.
    """

    name: str
    end: Callable[[], str]


@contextmanager
def watched(daemons: list[Daemon]) -> Iterator[None]:
    """Interrupt the body as soon as a daemon is gone.

    Raises:
        RayError: A daemon is gone; the message says which one and how it ended.
    """
    watch = _Watch(daemons)
    thread = threading.Thread(target=watch.run, name="daemon watch", daemon=True)
    with _signal_raises():
        thread.start()
        try:
            try:
                yield
            finally:
                watch.stop()
                thread.join()
        except (Exception, KeyboardInterrupt) as error:
            # Work may fail because of a lost daemon a moment before the loss is noticed.
            if isinstance(error, RayError) or not watch.words():
                raise
            raise RayError(watch.words()) from error
        if watch.has_interrupted:
            # Ray took the interrupt for the user's and ended everything.
            raise RayError(watch.words())


def daemons_of_ray() -> list[Daemon]:
    """Return the daemons that this process depends on."""
    node = own_node()
    if node is None:
        return []
    if own := own_daemons():
        return [Daemon(name, _end_of(process)) for name, process in own.items()]
    host, _, port = node.gcs_address.rpartition(":")
    gcs = _Reached(lambda: _connect(host.strip("[]"), int(port)), _GCS_PATIENCE_S)
    raylet = _number_of_raylet(node.raylet_socket_name)
    found = [Daemon(GCS, gcs.end)]
    return found if raylet is None else [Daemon(RAYLET, _end_of_another(raylet)), *found]


class _Watch:
    """Loop that checks daemons until it is stopped, and interrupts the thread that created it.

    Attributes:
        has_interrupted: Whether it has interrupted that thread.
    """

    def __init__(self, daemons: list[Daemon]) -> None:
        self._daemons = daemons
        self._thread = threading.current_thread()
        self._is_over = threading.Event()
        self.has_interrupted = False

    def run(self) -> None:
        while not self._is_over.wait(_LOOK_EVERY_S):
            if self.words():
                self._interrupt()
                # If something holds the thread up, it is interrupted again.
                self._is_over.wait(_AGAIN_AFTER_S)

    def stop(self) -> None:
        self._is_over.set()

    def words(self) -> str:
        """Return in words which daemon is gone; an empty string if none is."""
        for daemon in self._daemons:
            end = daemon.end()
            if end:
                return (
                    f"Ray's own process {daemon.name} is gone ({end}), and Ray with it; everything "
                    "recorded so far is kept"
                )
        return ""

    def _interrupt(self) -> None:
        if self._is_over.is_set():
            return
        self.has_interrupted = True
        if self._thread is threading.main_thread():
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            return
        number = ctypes.c_ulong(self._thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(DaemonLostError))


@contextmanager
def _signal_raises() -> Iterator[None]:
    """Let the watch's signal raise in the main thread, if that is the computing thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(_SIGNAL, _raise)
    try:
        yield
    finally:
        signal.signal(_SIGNAL, before if before is not None else signal.SIG_DFL)


def _raise(*_signal: object) -> None:
    raise DaemonLostError


def _end_of(process: Any) -> Callable[[], str]:
    """Return a function that describes how a process that Ray started here ended."""

    def end() -> str:
        status = process.poll()
        if status is None:
            return ""
        if status >= 0:
            return f"exit status {status}"
        name = signal.Signals(-status).name
        memory = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"killed by {name}{memory}"

    return end


def _number_of_raylet(socket_name: str) -> int | None:
    """Return the id of the process that listens on a node's socket; None if it is not found."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if f"--raylet_socket_name={socket_name}".encode() in words:
                return int(path.parent.name)
    return None


def _end_of_another(number: int) -> Callable[[], str]:
    """Return a function that reports the end of a process that somebody else started."""

    def end() -> str:
        state = ""
        with suppress(OSError):
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        return "" if state and state not in "ZX" else "it is no longer running"

    return end


class _Reached:
    """Reachability of a process started elsewhere, which counts as gone if silent for too long."""

    def __init__(self, connect: Callable[[], None], patience_s: float) -> None:
        self._connect, self._patience_s = connect, patience_s
        self._last_look = -_CONNECT_S
        # From the first try in vain, not the last success: this process may itself have been
        # suspended in between.
        self._silent_since = math.inf

    def end(self) -> str:
        if time.monotonic() - self._last_look >= _CONNECT_S:
            began = time.monotonic()
            try:
                self._connect()
                self._silent_since = math.inf
            except OSError:
                self._silent_since = min(began, self._silent_since)
            self._last_look = time.monotonic()
        silent_s = time.monotonic() - self._silent_since
        return f"it has not answered for {silent_s:.0f} s" if silent_s > self._patience_s else ""


def _connect(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=_CONNECT_S).close()
