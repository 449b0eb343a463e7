"""Whoever computes is interrupted as soon as a process that Ray needs is gone."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from distill_tune.errors import RayError
from distill_tune.search.daemon_watch import (
    Daemon,
    DaemonLostError,
    _connect_unix,
    _end_of,
    _Reached,
    watched,
)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as started:
        yield started
        started.kill()


def wait() -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)


def killed_meanwhile(process: subprocess.Popen[bytes]) -> None:
    timer = threading.Timer(0.2, process.send_signal, [signal.SIGKILL])
    timer.start()
    try:
        with watched([Daemon("raylet", _end_of(process))]):
            wait()
    finally:
        timer.join()


def test_the_main_thread_is_interrupted_with_a_message(process: subprocess.Popen[bytes]) -> None:
    before = signal.getsignal(signal.SIGUSR2)
    with pytest.raises(RayError, match=r"raylet is gone \(killed by SIGKILL"):
        killed_meanwhile(process)
    assert signal.getsignal(signal.SIGUSR2) is before


def test_so_is_another_thread(process: subprocess.Popen[bytes]) -> None:
    caught: list[BaseException] = []

    def compute() -> None:
        try:
            killed_meanwhile(process)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
            caught.append(error)

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join(60)
    assert [type(error) for error in caught] == [RayError]


def test_no_handler_of_errors_holds_it_up(process: subprocess.Popen[bytes]) -> None:
    seen: list[BaseException] = []
    process.kill()
    process.wait()
    with (  # noqa: PT012 - both are one thing
        pytest.raises(RayError),
        watched([Daemon("gcs_server", _end_of(process))]),
    ):
        try:
            with suppress(Exception):
                wait()
        except DaemonLostError as error:
            seen.append(error)
            raise
    assert len(seen) == 1


def fail_after(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    raise ConnectionError("in somebody else's words")


def test_what_fails_a_moment_earlier_is_explained_by_it(process: subprocess.Popen[bytes]) -> None:
    with (
        pytest.raises(RayError, match="gcs_server is gone"),
        watched([Daemon("gcs_server", _end_of(process))]),
    ):
        fail_after(process)


def test_what_fails_by_itself_stays_what_it_is(process: subprocess.Popen[bytes]) -> None:
    with pytest.raises(ZeroDivisionError), watched([Daemon("raylet", _end_of(process))]):
        raise ZeroDivisionError


def test_a_daemon_of_a_cluster_is_gone_when_it_answers_no_more(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        reached = _Reached(lambda: _connect_unix(path), patience_s=0.0)
        reached._looked = -1e9
        reached._patience_s = 60.0
        assert reached.end() == ""
    Path(path).unlink()
    reached._looked, reached._reached, reached._patience_s = -1e9, time.monotonic() - 5, 1.0
    assert reached.end().startswith("it has not answered for ")
    assert os.path.exists(path) is False  # noqa: PTH110 - a socket's file
