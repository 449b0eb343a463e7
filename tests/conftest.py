"""What every room's tests share: one thread, and two small data sets of real images."""

import pytest
import torch
from hypothesis import settings

from distill_tune.datasets.digits import Digits
from distill_tune.datasets.mnist5k import Mnist5k
from distill_tune.interfaces import ImageData
from distill_tune.local_files import LocalFiles

# A busy machine is no defect: an example may take its time.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the storms be longer or shorter, and others."""
    storms = parser.getgroup("storms")
    storms.addoption("--storm-kills", type=int, default=20, help="Kills in the longest storm.")
    storms.addoption("--storm-seed", type=int, default=0, help="Seed of moments and targets.")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Equal sums need an equal order of summands, and other work shares the machine."""
    torch.set_num_threads(1)


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
