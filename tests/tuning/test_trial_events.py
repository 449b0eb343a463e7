"""What becomes of Ray's messages: every trial that ends was started, and says why it failed."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray import cloudpickle
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.experiment import Trial as RayTrial
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distill_tune.cluster.failures.ray_errors import STORAGE_LOST
from distill_tune.errors import DiskFullError, StorageError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import TrialRecord
from distill_tune.records.words.fitness_text import unfit_warning
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.callbacks.trial_events import StudyCallback
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from tests.commands import STUDY

TEXT = STUDY.replace("squeezenet1_1", "alexnet").replace("joint: {epochs: 4", "joint: {epochs: 3")
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
    study = parse(Study, read_yaml_text(TEXT, "tiny.yaml"))
    return StudyCallback(journal, cast("SamplerPerBackbone", RawValues()), study, Counter())


def ray_trial(folder: Path, error: Exception | None = None) -> RayTrial:
    """Return a trial as Ray hands it to callbacks, its error written as Ray writes it."""
    pickled, text = folder / "error.pkl", folder / "error.txt"
    if error is not None:
        text.write_text(f"Failure # 1 (occurred at noon)\n{error}\n")
        if isinstance(error, RayTaskError | RayActorError):
            pickled.write_bytes(cloudpickle.dumps(error))  # type: ignore[no-untyped-call]
    return cast(
        "RayTrial",
        SimpleNamespace(
            trial_id="abc",
            config={"backbone": "alexnet", "number": 0, "params": {"joint.margin": 0.5}},
            pickled_error_file=str(pickled) if pickled.exists() else None,
            error_file=str(text) if text.exists() else None,
            last_result={},
            temporary_state=SimpleNamespace(ray_actor=None),
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
    kinds = [event["event"] for event in journal.directory.events()]
    assert kinds == ["trial_started", "trial_ended"]
    assert ended(journal).detail == "ZeroDivisionError: division by zero"


TAKEN_BACK = (
    RayActorError("cd", "the actor's node was preempted: spot instance", preempted=True),
    RayActorError("cd", "\tthe actor's node was terminated expectedly: received SIGTERM"),
)


@pytest.mark.parametrize("error", TAKEN_BACK)
def test_a_node_that_the_cluster_takes_back_with_notice_is_not_charged(
    journal: Journal, callback: StudyCallback, tmp_path: Path, error: RayActorError
) -> None:
    """However often it happens, and even if Ray gives the trial up."""
    taken = ray_trial(tmp_path, error)
    callback.on_trial_start(**ROW, trial=taken)
    for _ in range(9):
        callback.on_trial_recover(**ROW, trial=taken)
    with pytest.raises(Exception, match="node was"):
        callback.on_trial_error(**ROW, trial=taken)
    assert callback.goes_on
    assert journal.state.trials[0].ended_at is None


def test_a_dead_worker_is_told_from_an_error_of_the_code(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    lost = ray_trial(tmp_path, ActorDiedError())
    for _ in range(2):
        callback.on_trial_recover(**ROW, trial=lost)
    callback.on_trial_error(**ROW, trial=lost)
    assert ended(journal).reason == "worker_lost"


def test_a_trial_that_ray_gives_up_too_early_goes_on_in_another_experiment(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    lost = ray_trial(tmp_path, ActorDiedError())
    callback.on_trial_recover(**ROW, trial=lost)
    with pytest.raises(Exception, match="The actor died"):
        callback.on_trial_error(**ROW, trial=lost)
    assert callback.goes_on
    assert callback.go_on_after(RuntimeError("Ray's words for it"))
    assert not any(trial.ended_at for trial in journal.state.trials.values())


def test_an_error_that_cannot_be_pickled_is_read_as_text(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    callback.on_trial_error(**ROW, trial=ray_trial(tmp_path, RuntimeError("no room\nleft")))
    assert (ended(journal).reason, ended(journal).detail) == ("error", "left")


def test_a_trial_that_goes_on_after_a_lost_worker_is_a_warning(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    trial = ray_trial(tmp_path, ActorDiedError())
    callback.on_trial_recover(**ROW, trial=trial)
    callback.on_trial_start(**ROW, trial=trial)
    callback.on_trial_recover(**ROW, trial=trial)
    unborn, interrupted = journal.state.warnings
    assert unborn.startswith("alexnet-0000 continues from its start: The actor died")
    assert interrupted.startswith("alexnet-0000 continues from its last checkpoint: The actor died")


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


def test_of_trials_with_unfit_generators_the_first_is_told_what_to_change(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    trial = ray_trial(tmp_path)
    callback.on_trial_start(**ROW, trial=trial)
    for number in range(2):
        warning = f"net-000{number}: {unfit_warning('warmup', 0.3)}"
        result = {"epoch": number + 1, "objective": 0.5, "metrics": {}, "warnings": [warning]}
        callback.on_trial_result(**ROW, trial=trial, result=result)
    first, second = journal.state.warnings
    assert first == f"net-0000: {unfit_warning('warmup', 0.3)}"
    assert second == (
        "net-0001: the generator is not fit after warmup: agreement 0.30 is below 0.6"
    )


SHORT = (
    "2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: "
    "10.0.0.1, ID: ab) was 5.30GB used / 23.54GB limit (0.225108)\n"
    "Selected to kill: (Actor(cd): job ID=1, task name=T.__init__, pid=7, "
    "actual memory used=0.11GB, worker ID=ef)\n"
    "Selected to kill: (Actor(fe): job ID=1, task name=T.__init__, pid=8, "
    "actual memory used=1.15GB, worker ID=ab)\n"
    "Refer to the documentation on how to address the out of memory issue"
)


def with_actor(trial: RayTrial, number: int, actor: str) -> RayTrial:
    trial.config |= {"number": number}
    identity = SimpleNamespace(hex=lambda: actor)
    trial.temporary_state = cast("Any", SimpleNamespace(ray_actor=None))
    trial.temporary_state.ray_actor = cast("Any", SimpleNamespace(_actor_id=identity))
    return trial


def test_of_two_that_the_memory_monitor_killed_the_larger_has_failed(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    for number, actor in enumerate(("cd", "fe")):
        callback.on_trial_start(**ROW, trial=with_actor(ray_trial(tmp_path), number, actor))
    error = RuntimeError("Caught unexpected exception")
    error.__cause__ = OutOfMemoryError(SHORT)  # type: ignore[no-untyped-call]
    assert callback.go_on_after(error)
    small, large = journal.state.trials.values()
    assert small.ended_at is None
    assert (large.status, large.reason) == ("failed", "out_of_memory")
    assert large.detail == (
        "alexnet with batches of 30, GAN 10: its worker was killed at 1.15 GB, as the machine was "
        "short of memory (5.30GB used / 23.54GB limit)"
    )


def test_another_error_is_not_taken_for_a_want_of_memory(
    callback: StudyCallback, tmp_path: Path
) -> None:
    callback.on_trial_start(**ROW, trial=with_actor(ray_trial(tmp_path), 0, "cd"))
    assert not callback.go_on_after(RuntimeError("Caught unexpected exception"))


def test_a_worker_killed_for_memory_as_it_starts_is_not_tried_again(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    trial = with_actor(ray_trial(tmp_path, RuntimeError(SHORT)), 0, "cd")
    with pytest.raises(Exception, match="low on memory") as caught:
        callback.on_trial_recover(**ROW, trial=trial)
    assert callback.go_on_after(caught.value)
    assert ended(journal).reason == "out_of_memory"


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(28, "No space left on device"), DiskFullError, "No space left on device"),
        (ValueError(f"{STORAGE_LOST[1]} storage anymore."), StorageError, "still in its place"),
    ],
)
def test_a_full_disk_or_a_folder_that_is_gone_is_no_failure_of_the_trial(
    journal: Journal,
    callback: StudyCallback,
    tmp_path: Path,
    error: Exception,
    kind: type[StorageError],
    text: str,
) -> None:
    trial = ray_trial(tmp_path, error)
    callback.on_trial_start(**ROW, trial=trial)
    for tell in (callback.on_trial_recover, callback.on_trial_error):
        with pytest.raises(kind, match=text):
            tell(**ROW, trial=trial)
    assert isinstance(callback.fatal, kind)
    # Whatever Ray makes of it, nothing more is recorded.
    with pytest.raises(kind):
        callback.on_trial_complete(**ROW, trial=trial)
    assert [event["event"] for event in journal.directory.events()] == ["trial_started"]


def test_an_earlier_pickled_error_is_not_taken_for_the_last_one(
    journal: Journal, callback: StudyCallback, tmp_path: Path
) -> None:
    trial = ray_trial(tmp_path, ActorDiedError())
    with Path(cast("str", trial.error_file)).open("a") as file:
        file.write("Failure # 2 (occurred later)\nTuneError: something else\n")
    callback.on_trial_start(**ROW, trial=trial)
    callback.on_trial_error(**ROW, trial=trial)
    assert (ended(journal).reason, ended(journal).detail) == ("error", "TuneError: something else")


def test_a_trial_that_failed_before_its_run_has_the_layout_of_the_searchs_metric(
    journal: Journal,
) -> None:
    study = {"search": {"metric": "val/macro_f1"}}
    journal.emit("session_started", command="search", study=study)
    journal.end_trial(0, "alexnet-0000", status="failed", reason="error", detail="")
    events = EventAccumulator(journal.directory.path("tensorboard/alexnet-0000"))
    events.Reload()
    (event,) = events.Tensors("custom_scalars__config__")
    (layout,) = event.tensor_proto.string_val
    assert rb"joint/val/macro_f1$" in layout
    assert b"accuracy" not in layout
