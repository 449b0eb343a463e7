"""What a user can get wrong about studies and models that are there, or are not."""

from pathlib import Path

import pytest

import distill_tune
from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.opening import read_study, stored_study
from distill_tune.study.study import Study
from distill_tune.study.validation import to_yaml
from tests.refusals import GOOD, keys, refused, search


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made_study(name: str = "bad") -> Study:
    """Write a study's directory as an interrupted search leaves it; return the study."""
    text = GOOD.replace("study: bad", f"study: {name}")
    document_file = Path(f"{name}.yaml")
    document_file.write_text(text, encoding="utf-8")
    study, _ = read_study(document_file, [], {})
    directory = StudyDirectory(f"runs/{name}")
    directory.write_text("study.yaml", to_yaml(plain(study)))
    session = {"command": "search", "version": distill_tune.__version__, "study": plain(study)}
    directory.append({"event": "session_started", **session})
    return study


def test_a_study_that_is_there_is_not_overwritten() -> None:
    made_study()
    assert search() == (
        "runs/bad: got a study that already exists, expected another --name, or --resume "
        "(the same as: distill-tune resume runs/bad)"
    )


def test_a_study_is_not_resumed_under_other_conditions() -> None:
    made_study()
    changes = [
        "space.joint.margin=uniform(0.1, 0.5)",
        "trial.joint.epochs=4",
        "search.seed=1",
        "search.num_trials=9",
    ]
    options = [part for change in changes for part in ("--set", change)]
    assert search("--resume", *options).splitlines() == [
        "runs/bad: the study was started with other settings:",
        "  trial.joint.epochs: 3 -> 4",
        "  space.joint.margin: 'uniform(0.05, 0.9)' -> 'uniform(0.1, 0.5)'",
        "  search.seed: 0 -> 1 (--allow-changed lets this pass)",
        "Undo these changes, or give the new study another --name.",
    ]
    # One that is let pass does not let the others pass.
    assert search("--resume", "--allow-changed", *options).count("\n") == 4


def test_a_study_of_another_version_is_not_resumed_unless_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_study()
    StudyDirectory("runs/bad").append({"event": "data", "digest": "0" * 16, "skipped": []})
    Path("runs/bad/lock").touch()
    monkeypatch.setattr("distill_tune.study.opening.__version__", "99.0")
    assert refused("resume", "runs/bad").splitlines() == [
        "runs/bad: the study was started with other settings:",
        f"  version: {distill_tune.__version__} -> 99.0 (--allow-changed lets this pass)",
        "Undo these changes, or give the new study another --name.",
    ]
    # It comes as far as the next condition.
    message = refused("resume", "runs/bad", "--allow-changed")
    assert message.startswith("runs/bad: got other images (digest ")


def test_a_damaged_study_yaml_does_not_matter_as_the_log_has_the_study(tmp_path: Path) -> None:
    study = made_study()
    stored = tmp_path / "runs/bad/study.yaml"
    whole = stored.read_text()
    damages = [whole[: len(whole) // 2], "", whole.replace("num_trials: 6", "num_trials: 7"), None]
    for damage in damages:
        if damage is None:
            stored.unlink()
        else:
            stored.write_text(damage)
        assert stored_study(StudyDirectory("runs/bad"))[0] == study


def test_a_study_whose_log_is_gone_is_not_begun_anew_over_its_results(tmp_path: Path) -> None:
    made_study()
    for log in (tmp_path / "runs/bad").glob("events*"):
        log.unlink()
    (tmp_path / "runs/bad/tensorboard").mkdir()
    assert refused("resume", "runs/bad") == (
        "runs/bad: events.jsonl is missing, though there is tensorboard; restore it, or give "
        "the new study another --name"
    )
    (tmp_path / "runs/bad/events.jsonl").write_bytes(b"\0" * 100)
    assert refused("resume", "runs/bad") == (
        "runs/bad: events.jsonl holds no events, though there is tensorboard; restore it, or give "
        "the new study another --name"
    )


def test_a_study_is_not_resumed_on_other_images() -> None:
    made_study()
    StudyDirectory("runs/bad").append({"event": "data", "digest": "0" * 16, "skipped": []})
    Path("runs/bad/lock").touch()
    message = refused("resume", "runs/bad")
    assert message.startswith("runs/bad: got other images (digest ")
    assert message.endswith("), expected those that the study began with (digest 0000000000000000)")


def test_resume_wants_a_study() -> None:
    assert refused("resume", "nothing") == "nothing: no study here (no study.yaml)"
    assert refused("status", "nothing") == "nothing: no study here (no study.yaml)"
    made_study("resnet")
    assert refused("resume", "runs/resnt") == (
        "runs/resnt: no study here (no study.yaml). Did you mean 'resnet'?"
    )


def test_resume_names_a_mistake_in_its_options_or_in_the_stored_study(tmp_path: Path) -> None:
    made_study()
    # As a kill leaves it between its first file and its first event.
    for log in (tmp_path / "runs/bad").glob("events*"):
        log.unlink()
    assert refused("resume", "runs/bad", "--num-trials", "0") == (
        "--num-trials 0: search.num_trials: got 0, expected a number >= 1"
    )
    stored = tmp_path / "runs/bad/study.yaml"
    stored.write_text(stored.read_text().replace("num_trials: 6", "num_trials: x"))
    message = refused("resume", "runs/bad")
    assert message.startswith(f"{stored}:")
    assert message.endswith("search.num_trials: got 'x' (text), expected a whole number")
    stored.unlink()
    StudyDirectory("runs/bad").append({"event": "warning", "text": "alone"})
    assert refused("resume", "runs/bad") == (
        "runs/bad: study.yaml is missing; it cannot be resumed"
    )


def test_train_wants_the_configuration_of_one_trial() -> None:
    assert refused("train", "--config", "best.yaml", "--out", "model") == (
        "file: got 'best.yaml', expected a file that exists"
    )
    study = made_study()
    assert refused("train", "--config", "bad.yaml", "--out", "model") == (
        "--config: got bad.yaml, which describes a whole study, expected the configuration of "
        "one trial, such as best/<backbone>.yaml in the directory of a finished study"
    )
    text = to_yaml(plain(study.trial_config("resnet18", {}))).replace("min_hard", "min_hrad")
    Path("best.yaml").write_text(text, encoding="utf-8")
    message = refused("train", "--config", "best.yaml", "--out", "model")
    assert message.startswith("best.yaml:")
    assert message.endswith(f"expected {keys(JointTraining)}. Did you mean 'min_hard'?")


def test_train_names_the_backbone_that_cannot_take_the_images() -> None:
    config = made_study().trial_config("resnet18", {})
    text = to_yaml(plain(config)).replace("name: resnet18", "name: inception_v3")
    Path("best.yaml").write_text(text, encoding="utf-8")
    line = next(n for n, row in enumerate(text.split("\n"), 1) if "name: inception_v3" in row)
    message = refused("train", "--config", "best.yaml", "--out", "model")
    assert message.startswith(f"best.yaml:{line}:3: backbone: got inception_v3 at 32 px, which")


def test_train_does_not_write_into_a_folder_with_anything_in_it() -> None:
    config = made_study().trial_config("resnet18", {})
    Path("best.yaml").write_text(to_yaml(plain(config)), encoding="utf-8")
    Path("model").mkdir()
    Path("model/notes.txt").touch()
    assert refused("train", "--config", "best.yaml", "--out", "model") == (
        "--out: got model, which already exists, expected a new or empty folder"
    )


def test_a_storage_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    Path("taken").write_text("a file")
    Path("bad.yaml").write_text(GOOD, encoding="utf-8")
    assert search("--storage", "taken") == (
        f"taken/bad: got {tmp_path}/taken, which is not a folder, expected a folder that can be "
        "written to"
    )
