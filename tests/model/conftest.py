"""A model that was really trained, on digits of 8x8 pixels."""

from pathlib import Path

import pytest

from distill_tune.model import Model, load_model
from tests.training.tiny import Trained, recipe


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a training of seconds and the model that it left."""
    folder = tmp_path_factory.mktemp("trained")
    return Trained(recipe(folder, "classifier.epochs=4", "classifier.lr=3e-3"), folder / "model")


@pytest.fixture(scope="session")
def model(trained: Trained) -> Model:
    """Return that model, read back."""
    return load_model(trained.folder)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
