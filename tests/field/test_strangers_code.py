"""Files in the folder where a command is started: whatever they are called, they do not run."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tune.cluster.ray_session import _Folders, _folders, _job
from tests.field.studies import ROOT, SPACE, done, environment

NAMES = (
    *("torch", "torchvision", "pandas", "xml", "optuna", "yaml", "numpy", "json", "typing"),
    *("random", "secrets", "argparse", "logging", "scipy", "PIL", "sklearn", "pydantic", "ray"),
    *("rich", "filelock", "tensorboard", "pyarrow", "safetensors", "multiprocessing", "site"),
    *("sitecustomize", "usercustomize", "distill_tune", "setuptools", "psutil", "opentelemetry"),
)
MARKER = "ran.txt"
CONFIRM = "confirm: {seeds: 1, top: 1, arms: [equal_steps], figures: false}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of somebody's scripts, each of which notes that it ran and then ends."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / MARKER)!r}, 'a').write(__name__ + '\\n')\nraise SystemExit(17)\n"
        )
    (tmp_path / "xml").mkdir()
    shutil.copy(tmp_path / "xml.py", tmp_path / "xml/__init__.py")
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


@pytest.fixture
def address() -> Iterator[str]:
    """Start a cluster of one node, elsewhere; return its address.

    (Where ``ray start`` is typed, Ray runs ``python -m`` itself, which looks there.)
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = tempfile.mkdtemp(prefix="dt")
    ray = str(Path(sys.executable).with_name("ray"))
    options = ["--head", "--block", f"--port={port}", "--num-cpus=1", f"--temp-dir={files}"]
    options += ["--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    options += ["--disable-usage-stats", "--object-store-memory=150000000"]
    with subprocess.Popen(
        [ray, "start", *options],
        cwd=files,
        # Nobody waits for what runs on it.
        env=environment(RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S="0"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
        process.terminate()
    shutil.rmtree(files, ignore_errors=True)


def ran(folder: Path) -> str:
    marker = folder / MARKER
    return marker.read_text() if marker.exists() else ""


def assert_nothing_runs(folder: Path, *arguments: str) -> None:
    """Run a command in a folder to a success; nothing that lies there may run."""
    status, stdout, stderr = done(folder, *arguments)
    assert (status, ran(folder)) == (0, ""), f"{stdout}\n{stderr}"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("", marks=pytest.mark.slow),
        # Nor while the trials are confirmed, for which Ray is started again in the same way.
        pytest.param(CONFIRM, marks=pytest.mark.storm),
    ],
    ids=["search", "confirm"],
)
def test_nothing_in_the_current_folder_runs(folder: Path, more: str) -> None:
    (folder / "space.yaml").write_text(SPACE + more)
    assert_nothing_runs(folder, "search", "--space", "space.yaml", "--storage", "out")


@pytest.mark.cluster
def test_nothing_in_the_current_folder_runs_on_a_cluster(folder: Path, address: str) -> None:
    """The search joins it twice: for its trials, and to confirm them."""
    (folder / "space.yaml").write_text(SPACE + CONFIRM)
    search = ("search", "--space", "space.yaml", "--storage", "out")
    assert_nothing_runs(folder, *search, "--address", address)
    brief = ("--time-budget", "0.1", "--address", address)
    assert_nothing_runs(folder, "resume", "out/tiny", "--num-trials", "2", *brief)


@pytest.mark.storm
def test_a_cause_that_meets_every_worker_ends_the_search(tmp_path: Path) -> None:
    """A PYTHONPATH is the user's own: what lies there does run, and here lets no worker live."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "optuna.py").write_text(
        "import sys\n"
        "if 'default_worker' in sys.argv[0]:\n"
        "    print('the licence has expired', file=sys.stderr)\n"
        "    sys.exit(17)\n"
        f"sys.path.remove({str(own)!r})\n"
        "del sys.modules['optuna']\n"
        "import optuna\n"
    )
    (tmp_path / "space.yaml").write_text(SPACE)
    search = ["search", "--space", "space.yaml", "--num-trials", "8"]
    status, stdout, stderr = done(tmp_path, *search, PYTHONPATH=f"{own}:{ROOT}")
    said = stderr.splitlines()
    assert status == 3, f"{stdout}\n{stderr}"
    assert said[0].startswith("nothing starts: worker_lost: ")
    assert "the licence has expired" in said[0]
    assert said[-2:] == ["Go on with:", "  distill-tune resume runs/tiny"]
    assert (tmp_path / "runs/tiny/events.jsonl").read_text().count('"trial_ended"') <= 1


def test_ray_cannot_add_folders_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    job = _job([])
    # So it does as a driver connects.
    job._py_driver_sys_path.extend(["/where/it/was/started"])
    assert list(job._py_driver_sys_path) == []
    assert bool(_Folders([]))
    monkeypatch.setenv("PYTHONPATH", ROOT)
    assert _folders() == []


def test_a_copy_that_is_not_installed_finds_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    elsewhere = [entry for entry in sys.path if entry not in {ROOT, ""}]
    monkeypatch.setattr(sys, "path", [ROOT, *elsewhere])
    assert _folders() == [ROOT]
    monkeypatch.setattr(sys, "path", [*elsewhere, ROOT])
    assert _folders() == [], "installed by a link, as workers find it too"
