"""The models that a study keeps: those of the best, and of whoever still runs."""

from pathlib import Path

import pytest

from distill_tune.model import write_model
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import Event
from distill_tune.training.kept_models import keep_best_models, model_folder, num_complete_models

TRIALS = [
    ("alexnet", "complete", 0.5),
    ("resnet50", "complete", 0.4),
    ("alexnet", "pruned", 0.9),
    ("resnet50", "failed", 0.99),
    ("alexnet", "complete", 0.7),
    ("resnet50", "", 0.1),
    ("alexnet", "complete", 0.6),
    ("resnet50", "pruned", 0.3),
]


def events() -> list[Event]:
    found: list[Event] = []
    for number, (backbone, status, value) in enumerate(TRIALS):
        name = f"{backbone}-{number:04d}"
        trial = {"trial": number, "name": name, "backbone": backbone, "params": {}}
        found.append({"event": "trial_started", **trial})
        found.append(
            {"event": "epoch", "trial": number, "epoch": 1, "metrics": {"objective": value}}
        )
        if status:
            found.append({"event": "trial_ended", "trial": number, "status": status})
    return found


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    made = StudyDirectory(str(tmp_path / "study"))
    for event in events():
        made.append(event)
    for number, (backbone, _, _) in enumerate(TRIALS):
        folder = made.path(f"models/{backbone}-{number:04d}")
        write_model(folder, {"weights": b"w", "model.yaml": b"{}"})
    return made


def kept(directory: StudyDirectory) -> list[str]:
    return sorted(path.name for path in Path(directory.path("models")).iterdir())


def test_the_best_of_every_backbone_stay_and_those_that_run(directory: StudyDirectory) -> None:
    keep_best_models(directory, directory.state(), 2)
    assert kept(directory) == [
        "alexnet-0004",
        "alexnet-0006",
        "resnet50-0001",
        "resnet50-0005",
        "resnet50-0007",
    ]
    keep_best_models(directory, directory.state(), 1)
    assert kept(directory) == ["alexnet-0004", "resnet50-0001", "resnet50-0005"]


def test_a_model_is_found_while_it_is_kept(directory: StudyDirectory) -> None:
    assert model_folder(directory, "alexnet-0000") == directory.path("models/alexnet-0000")
    keep_best_models(directory, directory.state(), 1)
    assert model_folder(directory, "alexnet-0000") is None


def test_a_study_without_models_is_left_alone(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    keep_best_models(directory, directory.state(), 1)
    assert list(tmp_path.iterdir()) == []


def test_models_of_complete_trials_of_a_backbone_are_counted(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    assert num_complete_models(directory, "resnet-0009", 5) == 0
    models = {
        "resnet-0001": b"made: {epochs: 5}",
        "resnet-0002": b"made: {epochs: 5}",
        "resnet-0003": b"made: {epochs: 2}",
        "resnet-0004": b"made: [",
        "resnet-0005": b"made: {epochs: many}",
        "resnet-0006": b"\xff",
        "resnet-50-0007": b"made: {epochs: 5}",
    }
    for name, text in models.items():
        write_model(directory.path(f"models/{name}"), {"weights": b"w", "model.yaml": text})
    Path(directory.path("models/resnet-0008")).mkdir()
    assert num_complete_models(directory, "resnet-0009", 5) == 2
    assert num_complete_models(directory, "resnet-50-0009", 5) == 1
