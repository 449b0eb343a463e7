"""A start of Ray that takes long: it is told of, and can be interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distill_tune.cluster import ray_session
from distill_tune.cluster.failures.slow_start import start_watched
from distill_tune.errors import RayError

_HANGING = """
import hashlib
from distill_tune.cluster.failures.slow_start import start_watched
print("begun", flush=True)
with start_watched(every_s=0.1):
    # Like Ray's own code, it lets other threads run, and Python's handlers do not.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
"""


def test_a_second_interrupt_ends_a_start_that_hangs_in_native_code() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HANGING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "begun\n"
            assert process.stderr.readline().startswith("Ray is still starting, ")
            process.send_signal(signal.SIGINT)
            assert any("Ctrl-C again" in said for said in process.stderr), "it ended of itself"
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
            assert "nothing had begun" in process.stderr.read()
        finally:
            process.kill()


def test_a_start_in_time_says_nothing_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = len(list(Path("/proc/self/fd").iterdir()))
    before = signal.set_wakeup_fd(-1)
    with start_watched():
        pass
    assert signal.set_wakeup_fd(before) == -1
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    assert capsys.readouterr().err == ""


def test_one_interrupt_during_the_start_is_python_s_own() -> None:
    with pytest.raises(KeyboardInterrupt), start_watched():
        _interrupted()


def _interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_machine_that_is_too_busy_gets_a_second_chance(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def init(address: str, _: dict[str, Any]) -> None:
        calls.append(address)
        if len(calls) <= failures:
            raise RuntimeError("The current node timed out during startup. This could happen")

    monkeypatch.setattr(ray_session, "_init", init)
    # Tests before this one may have left Ray running, which this one does not touch.
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    if failures == 1:
        ray_session.start_or_join(None)
    else:
        with pytest.raises(RayError, match=r"timed out during startup.* very busy: try again"):
            ray_session.start_or_join(None)
    assert calls == ["local", "local"]
