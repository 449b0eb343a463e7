"""Folders that disappear while something is written there."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from distill_tune.errors import StorageError
from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from distill_tune.records.files.local_files import LocalFiles


@pytest.fixture
def study(tmp_path: Path) -> StudyDirectory:
    """A study that a search has begun."""
    directory = StudyDirectory(str(tmp_path / "runs/one"))
    directory.create()
    directory.append({"event": "session_started"})
    directory.write_text(STUDY_FILE, "study: one")
    return directory


@pytest.mark.parametrize("is_made_anew", [False, True])
@pytest.mark.parametrize("is_log", [False, True])
def test_a_study_that_is_gone_is_not_made_anew(
    study: StudyDirectory, *, is_log: bool, is_made_anew: bool
) -> None:
    """Something else may make it, as Ray does: the study is gone all the same."""
    place = Path(study.root)
    elsewhere = place.rename(place.with_name("elsewhere"))
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    if is_made_anew:
        (place / "ray/session-0001").mkdir(parents=True)
    lost = {"event": "warning", "text": "lost"}
    write = partial(study.append, lost) if is_log else partial(study.write_text, "a.yaml", "lost")
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            write()
        assert str(caught.value).startswith(f"the study's folder is gone: {place} (moved,")
        # A session says how to go on after errors of the system.
        assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert place.exists() is is_made_anew
    assert not [path for path in place.rglob("*") if path.is_file()]
    if is_made_anew:
        (place / "ray/session-0001").rmdir()
        (place / "ray").rmdir()
        place.rmdir()
    elsewhere.rename(place)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    study.append({"event": "warning", "text": "back"})
    study.write_text("best/a.yaml", "back")
    assert [event["event"] for event in study.events()] == ["session_started", "warning"]
    assert study.read_text("best/a.yaml") == "back"


def test_a_log_that_is_lost_alone_has_its_copy(study: StudyDirectory) -> None:
    Path(study.path("events.jsonl")).unlink()
    study.append({"event": "warning", "text": "still here"})
    assert {"session_started", "warning"} <= {event["event"] for event in study.events()}


def test_a_folder_is_made_for_its_first_file_and_not_once_it_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "new/folder"
    files = LocalFiles(str(root))
    files.write("below/it", b"1")
    assert files.read("below/it") == b"1"
    shutil.rmtree(root)
    with pytest.raises(StorageError, match="the folder is gone: "):
        files.write("below/it", b"2")
    assert not root.exists()
    # Asked for explicitly.
    files.make()
    files.write("below/it", b"3")
    assert LocalFiles(str(root)).read("below/it") == b"3"
