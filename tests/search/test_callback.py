"""What becomes of Ray's messages: every trial that ends was started, and says why it failed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray import cloudpickle
from ray.exceptions import ActorDiedError, RayTaskError
from ray.tune.experiment import Trial as RayTrial

from distill_tune.records import StudyDirectory
from distill_tune.search.callback import StudyCallback
from distill_tune.search.journal import Journal
from distill_tune.search.sampler import SamplerPerBackbone
from distill_tune.trials import TrialRecord

ROW: dict[str, Any] = {"iteration": 1, "trials": []}


class RawValues:
    """Stands for the sampler, of which only this is asked."""

    def raw(self, trial_id: str) -> dict[str, float]:
        assert trial_id == "abc"
        return {"joint.margin": 0.5}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(StudyDirectory(str(tmp_path / "study")), lambda *_: None)


@pytest.fixture
def callback(journal: Journal) -> StudyCallback:
    return StudyCallback(journal, cast("SamplerPerBackbone", RawValues()), max_epochs=3, keep_top=1)


def ray_trial(folder: Path, error: Exception | None = None) -> RayTrial:
    """Return a trial as Ray hands it to callbacks, its error written as Ray writes it."""
    pickled, text = folder / "error.pkl", folder / "error.txt"
    if error is not None:
        text.write_text(f"Failure # 1 (occurred at noon)\n{error}\n")
        if isinstance(error, RayTaskError | ActorDiedError):
            pickled.write_bytes(cloudpickle.dumps(error))  # type: ignore[no-untyped-call]
    return cast(
        "RayTrial",
        SimpleNamespace(
            trial_id="abc",
            config={"backbone": "alexnet", "number": 0, "params": {"joint.margin": 0.5}},
            pickled_error_file=str(pickled) if pickled.exists() else None,
            error_file=str(text) if text.exists() else None,
            last_result={},
        ),
    )


def ended(journal: Journal) -> TrialRecord:
    (trial,) = journal.state.trials.values()
    assert trial.ended_at is not None
    return trial


def task_error() -> RayTaskError:
    text = 'ray::train()\n  File "x.py", line 3\nZeroDivisionError: division by zero\n'
    cause = ZeroDivisionError("division by zero")
    return RayTaskError("train", text, cause)  # type: ignore[no-untyped-call]


def test_a_trial_that_fails_as_it_is_built_has_a_name_and_params_all_the_same(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    error = ActorDiedError.from_task_error(task_error())
    callback.on_trial_error(**ROW, trial=ray_trial(tmp_path, error))
    trial = ended(journal)
    assert (trial.name, trial.backbone) == ("alexnet-0000", "alexnet")
    assert trial.params == {"joint.margin": 0.5}
    assert (trial.status, trial.reason) == ("failed", "error")
    assert trial.detail == "ZeroDivisionError: division by zero"
    assert journal.past_trials()[0].raw == {"joint.margin": 0.5}


def test_the_last_line_of_a_traceback_is_why_a_trial_failed(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    trial = ray_trial(tmp_path, task_error())
    callback.on_trial_start(**ROW, trial=trial)
    callback.on_trial_error(**ROW, trial=trial)
    assert [event["event"] for event in journal.events] == ["trial_started", "trial_ended"]
    assert ended(journal).detail == "ZeroDivisionError: division by zero"


def test_a_dead_worker_is_told_from_an_error_of_the_code(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    callback.on_trial_error(**ROW, trial=ray_trial(tmp_path, ActorDiedError()))
    assert ended(journal).reason == "worker_lost"


def test_an_error_that_cannot_be_pickled_is_read_as_text(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    callback.on_trial_error(**ROW, trial=ray_trial(tmp_path, RuntimeError("no room\nleft")))
    assert (ended(journal).reason, ended(journal).detail) == ("error", "left")


def test_a_trial_that_goes_on_after_a_lost_worker_is_a_warning(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    callback.on_trial_recover(**ROW, trial=ray_trial(tmp_path, ActorDiedError()))
    (warning,) = journal.state.warnings
    assert warning.startswith("alexnet-0000 goes on from its last checkpoint: The actor died")


@pytest.mark.parametrize(
    ("result", "status", "reason"),
    [
        ({"epoch": 3}, "complete", ""),
        ({"epoch": 1}, "pruned", "rung 1"),
        ({"failure": "diverged", "detail": "nan"}, "failed", "diverged"),
    ],
)
def test_how_a_trial_ended_follows_from_its_last_result(
    journal: Journal,
    callback: StudyCallback,
    tmp_path: Path,
    result: dict[str, Any],
    status: str,
    reason: str,
) -> None:
    trial = ray_trial(tmp_path)
    callback.on_trial_start(**ROW, trial=trial)
    trial.last_result.update(result)
    callback.on_trial_complete(**ROW, trial=trial)
    assert (ended(journal).status, ended(journal).reason) == (status, reason)


def test_warnings_of_a_trial_are_kept_and_a_failure_is_no_epoch(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    trial = ray_trial(tmp_path)
    callback.on_trial_start(**ROW, trial=trial)
    epoch = {"epoch": 1, "objective": 0.5, "metrics": {"val/accuracy": 0.5}, "warnings": ["hm"]}
    callback.on_trial_result(**ROW, trial=trial, result=epoch)
    callback.on_trial_result(**ROW, trial=trial, result={"failure": "diverged", "objective": 0.0})
    assert journal.state.warnings == ("hm",)
    history = journal.state.trials[0].history
    assert history == {1: {"objective": 0.5, "val/accuracy": 0.5}}
