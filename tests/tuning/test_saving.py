"""The driver's part in Ray's checkpoints: none in vain, two in all, none beside a stranger's."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distill_tune.records.directory import StudyDirectory
from distill_tune.training.checkpoints.folders import newest_first
from distill_tune.tuning.callbacks.saving import SavingCallback
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.tuner import _new_name

NAME = "alexnet-0007"
TRIAL = SimpleNamespace(config={"backbone": "alexnet", "number": 7}, checkpoint=None)


@pytest.mark.parametrize("is_done", [True, False])
def test_a_trial_that_ends_is_not_saved(tmp_path: Path, is_done: bool) -> None:
    result: dict[str, Any] = {"done": is_done, "should_checkpoint": True}
    SavingCallback(str(tmp_path)).on_trial_result(trial=TRIAL, result=result)
    assert result["should_checkpoint"] is not is_done


def test_the_checkpoints_of_earlier_sessions_go_when_there_are_two_newer_ones(
    tmp_path: Path,
) -> None:
    names = [f"ray/session-000{n}/{NAME}/checkpoint_00000{k}" for n, k in ((1, 0), (1, 1), (2, 0))]
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    callback = SavingCallback(str(tmp_path))
    callback.on_trial_save(trial=TRIAL)
    assert newest_first(str(tmp_path), NAME) == [names[2], names[1]]
    later = [names[2].replace("000000", f"00000{k}") for k in (1, 2)]
    (tmp_path / later[0]).mkdir()
    callback.on_trial_save(trial=TRIAL)
    assert newest_first(str(tmp_path), NAME) == [later[0], names[2]]
    # From now on, Ray alone sees to it.
    (tmp_path / later[1]).mkdir()
    callback.on_trial_save(trial=TRIAL)
    assert newest_first(str(tmp_path), NAME) == [later[1], later[0], names[2]]


def test_a_checkpoint_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trial.pt").write_bytes(b"state")
    flushed = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: flushed.set())
    trial = SimpleNamespace(config=TRIAL.config, checkpoint=SimpleNamespace(path=str(tmp_path)))
    SavingCallback(str(tmp_path)).on_trial_save(trial=trial)
    assert flushed.wait(60)


def test_an_experiment_never_takes_a_folder_that_is_there(tmp_path: Path) -> None:
    """Ray would put its checkpoints there, and unpickle what a stranger planted beside them."""
    journal = Journal(StudyDirectory(str(tmp_path)), lambda *_: None)
    journal.emit("session_started", command="search", study={})
    assert _new_name(journal) == "session-0001"
    planted = tmp_path / f"ray/session-0001/{NAME}/checkpoint_000000/_dict_checkpoint.pkl"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"planted")
    assert _new_name(journal) == "session-0001-1"
    (tmp_path / "ray/session-0001-1").mkdir()
    assert _new_name(journal) == "session-0001-2"
