"""Ray's own processes are killed: the command, and a notebook's kernel, live to say the way on."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.field.studies import SPACE, children, started

KERNEL = """
import os, signal, threading, time
from distill_tune import resume, search
from distill_tune.errors import RayError
from tests.field.studies import children

killed = []

def kill():
    while True:
        time.sleep(0.2)
        log = "runs/tiny/events.jsonl"
        if os.path.exists(log) and '"epoch"' in open(log).read():
            break
    os.kill(children(os.getpid())["gcs_server"], signal.SIGKILL)
    killed.append(time.monotonic())

if __name__ == "__main__":
    threading.Thread(target=kill, daemon=True).start()
    long = {"trial.joint.epochs": 200}
    try:
        search("space.yaml", assignments=long, share_stages=False, progress=False)
    except RayError as error:
        print(error, flush=True)
    # Longer than Ray waits before it ends the process.
    time.sleep(max(0, killed[0] + 75 - time.monotonic()))
    print("alive", flush=True)
    try:
        resume("runs/tiny", time_budget_s=0.1, progress=False)
    except KeyboardInterrupt:
        pass
    print("goes on", flush=True)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[subprocess.Popen[str]]":
    """Start the kernel, which waits for more than a minute: the other test runs meanwhile."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "space.yaml").write_text(SPACE)
    (folder / "kernel.py").write_text(KERNEL)
    process = started(folder, program=["kernel.py"])
    yield process
    process.kill()


@pytest.mark.slow
@pytest.mark.usefixtures("kernel")
def test_a_command_whose_raylet_is_killed_ends_with_the_way_on(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    search = ["search", "--space", "space.yaml", "--set", "trial.joint.epochs=200"]
    search += ["--no-shared-stages"]
    process = started(tmp_path, *search)
    log = tmp_path / "runs/tiny/events.jsonl"
    until = time.monotonic() + 1200
    while not (log.exists() and '"epoch"' in log.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.2)
    os.kill(children(process.pid)["raylet"], signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 1, f"{stdout}\n{stderr}"
    said = stderr.splitlines()
    assert said[-3].startswith("Ray's own process raylet is gone (killed by SIGKILL")
    assert said[-2:] == ["Go on with:", "  distill-tune resume runs/tiny"]
    assert "Traceback" not in stderr
    assert '"session_ended"' in log.read_text()


@pytest.mark.slow
def test_a_kernel_survives_a_killed_gcs_and_goes_on(kernel: "subprocess.Popen[str]") -> None:
    stdout, stderr = kernel.communicate(timeout=1200)
    assert kernel.returncode == 0, f"{stdout}\n{stderr}"
    lines = [line for line in stdout.splitlines() if line.strip()]
    at = next(i for i, line in enumerate(lines) if line.startswith("Ray's own process"))
    assert lines[at].startswith("Ray's own process gcs_server is gone (killed by SIGKILL")
    assert lines[at + 1] == "Go on with:"
    assert lines[at + 2] == "  distill-tune resume runs/tiny"
    assert lines[-2:] == ["alive", "goes on"]
