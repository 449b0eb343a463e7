"""Whoever computes is interrupted as soon as a process that Ray needs is gone."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from distill_tune.cluster.failures.ray_daemon_watch import (
    Daemon,
    DaemonLostError,
    _end_of,
    _end_of_another,
    _number_of_raylet,
    _Reached,
    watched,
)
from distill_tune.errors import RayError
from tests.clock import Clock


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


def test_one_that_is_taken_for_the_users_interrupt_is_told_all_the_same(
    process: subprocess.Popen[bytes],
) -> None:
    process.kill()
    process.wait()
    with (
        pytest.raises(RayError, match="raylet is gone"),
        watched([Daemon("raylet", _end_of(process))]),
        suppress(KeyboardInterrupt),
    ):
        wait()


def test_the_users_own_interrupt_is_his(process: subprocess.Popen[bytes]) -> None:
    with pytest.raises(KeyboardInterrupt), watched([Daemon("raylet", _end_of(process))]):
        raise KeyboardInterrupt


def test_what_fails_by_itself_stays_what_it_is(process: subprocess.Popen[bytes]) -> None:
    with pytest.raises(ZeroDivisionError), watched([Daemon("raylet", _end_of(process))]):
        raise ZeroDivisionError


def test_a_gcs_of_a_cluster_is_gone_when_it_has_not_answered_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, is_there = Clock(), True
    monkeypatch.setattr("distill_tune.cluster.failures.ray_daemon_watch.time", clock)

    def connect() -> None:
        if not is_there:
            raise ConnectionRefusedError

    reached = _Reached(connect, patience_s=1.0)
    assert reached.end() == ""
    is_there = False
    # As if this process had been suspended meanwhile.
    clock.advance(1e9)
    assert reached.end() == "", "one try in vain says nothing"
    clock.advance(5)
    assert reached.end() == "it has not answered for 5 s"
    is_there = True
    clock.advance(1e9)
    assert reached.end() == "", "it may come back"


def test_a_raylet_of_a_cluster_is_known_by_its_socket() -> None:
    script = "import time; print('ready', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", script, "--raylet_socket_name=/tmp/of/this/test"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as started:
        try:
            # While it starts, its command line is empty for a moment.
            assert started.stdout is not None
            assert started.stdout.readline() == b"ready\n"
            number = _number_of_raylet("/tmp/of/this/test")  # noqa: S108 - nothing is there
            assert number == started.pid
            end = _end_of_another(number)
            assert end() == ""
        finally:
            started.kill()
        until = time.monotonic() + 60
        # Nobody has asked for its status: it is there still, as a zombie.
        while not end() and time.monotonic() < until:
            time.sleep(0.05)
        assert end() == "it is no longer running"
    assert _number_of_raylet("/tmp/of/this/test") is None  # noqa: S108 - nothing is there
