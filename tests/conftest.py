"""What every room's tests share: one thread, one Ray per worker of pytest, two data sets."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

import distill_tune
from distill_tune.datasets.digits import Digits
from distill_tune.datasets.mnist5k import Mnist5k
from distill_tune.interfaces import ImageData
from distill_tune.records.files.local_files import LocalFiles

# A shell ignores Ctrl-C for what it starts in the background, and every process of the tests would
# inherit that; many tests interrupt one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no defect: an example, and its making, may take their time.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", PATIENT, max_examples=25)
settings.register_profile("thorough", PATIENT, max_examples=75)

SLOWEST_FIRST = (
    "tests/test_readme_runs.py",
    "tests/test_confirm.py",
    "tests/test_kill.py",
    "tests/test_kill_once.py",
    "tests/test_resume.py",
    "tests/test_search_end_to_end.py",
    "tests/field/test_strangers_code.py",
    "tests/tuning/test_citizen.py",
    "tests/test_shared_search.py",
    "tests/test_faults.py",
    "tests/tuning/test_trainable.py",
    "tests/tuning/test_samplers.py",
    "tests/tuning/test_ray_contract.py",
    "tests/field/test_ray_killed.py",
    "tests/training/test_tensorboard_served.py",
    "tests/backbones/test_index.py",
    "tests/test_s3.py",
    "tests/distill/test_resume.py",
    "tests/test_dry_run.py",
    "tests/training/test_runner.py",
    "tests/distill/test_trial.py",
    "tests/distill/test_arm_fields.py",
    "tests/training/test_shared_stages.py",
    "tests/test_old_study.py",
    "tests/test_api.py",
    "tests/field/test_value_range_kept.py",
    "tests/cluster/test_joining_nodes.py",
    "tests/model/test_export.py",
)
"""Files that take longest; a worker that got one of them last would keep all others waiting."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the storms be longer or shorter, and others."""
    storms = parser.getgroup("storms")
    storms.addoption("--storm-kills", type=int, default=20, help="Kills in the longest storm.")
    storms.addoption("--storm-seed", type=int, default=0, help="Seed of moments and targets.")


def is_slow_run(config: pytest.Config) -> bool:
    """Return whether the tests that are marked slow are asked for."""
    return str(config.option.markexpr).strip() == "slow"


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples property tests try, before any of them is imported."""
    settings.load_profile("thorough" if is_slow_run(config) else "quick")
    # Hundreds of processes import the package: each would compile it for a second.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # The order below is to hold among workers too, not that of the number of tests in a file.
    config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the slowest files first; let the slow run have the property tests too."""
    ranks = {name: rank for rank, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(ranks)))
    if is_slow_run(config):
        for item in items:
            if getattr(getattr(item, "function", None), "is_hypothesis_test", False):
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Equal sums need an equal order of summands, and other work shares the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_ray_is_left() -> Iterator[None]:
    """Stop the Ray that the tests of this worker shared."""
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@pytest.fixture(scope="module")
def our_ray() -> Iterator[None]:
    """Let what runs in this process use one Ray on this machine, and leave it running.

    It is started as a search starts it, once in each worker of pytest; its processes find the
    tests' modules. A module that needs another Ray stops it (``ray.shutdown()``).
    """
    import ray

    from distill_tune.cluster import ray_session, resources

    def join(address: str | None, *, is_importing: bool = False) -> None:
        if address is not None:
            start_or_join(address, is_importing=is_importing)

    start_or_join = ray_session.start_or_join
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(distill_tune.__file__).parents[1]))
        patch.setenv("OMP_NUM_THREADS", "1")
        # Nobody is there: a search on this machine must not look.
        patch.setenv("RAY_ADDRESS", "127.0.0.1:1")
        patch.setattr(ray, "shutdown", lambda: None)
        if not ray.is_initialized():
            with resources.cluster(None):
                pass
        patch.setattr(resources, "start_or_join", join)
        yield


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process look as if no Ray ran in it, whatever other tests share."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.shutdown", lambda: None)


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """Return handwritten digits of 8x8 pixels: 16 of each class to learn from, 10 to validate."""
    return Digits(kind="digits", train_per_class=16, val_per_class=10).load()


@pytest.fixture(scope="session")
def mnist16() -> ImageData:
    """Return digits of MNIST at 16x16 pixels: 20 of each class to learn from, 10 to validate."""
    return Mnist5k(kind="mnist5k", image_size=16, train_per_class=20, val_per_class=10).load()


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the study's files that are read from now on."""
    names: list[str] = []
    read = LocalFiles.read

    def noting(self: LocalFiles, name: str) -> bytes:
        names.append(name)
        return read(self, name)

    monkeypatch.setattr(LocalFiles, "read", noting)
    return names
