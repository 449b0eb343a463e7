"""What we rely on in Ray Tune, one promise a test; each docstring says what of ours breaks with it.

Some of it is private, so ``pyproject.toml`` admits one minor version (``ray[tune]>=2.60,<2.61``):
run these tests with the next one before that is raised.

Promises that other tests hold already: SIGINT ends ``fit`` normally (``test_ray``,
``test_resume``); no loggers of Ray's own, and no noise (``test_search_end_to_end``); nobody at an
address, and too large a bundle (``test_cli_errors``); our rule is that of ``ASHAScheduler``
(``test_scheduler``); what a killed driver had started dies too (``test_kill``).
"""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.error import TuneError
from ray.util import placement_group, remove_placement_group

from distill_tune.tuning.stopping.time_budget import terminate_as_interrupt
from tests.tuning.recorded import SHARE, Record, search
from tests.tuning.scripted import Script

pytestmark = pytest.mark.usefixtures("our_ray")

DONE, STOPPED, DIVERGES, DIES_ONCE, RAISES, UNBUILT, LATER, UNRESET, LAST = range(9)
SCRIPTS = [
    Script("done", 3),
    Script("stopped"),
    Script("diverges"),
    Script("dies once", 4),
    Script("raises"),
    Script("setup"),
    Script("done", first=11),
    Script("reset_config"),
    Script("done", 1),
]
BEGIN = ["sampler suggest", "scheduler add", "callback start"]
EPOCH = ["scheduler result", "sampler result", "callback result"]
END = ["scheduler complete", "sampler complete", "callback complete"]
FAILED = ["sampler complete", "callback error"]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Return nine trials, one after the other, each of which may fail once and go on."""
    return search(tmp_path_factory.mktemp("one"), SCRIPTS, max_failures=1)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Return three trials, two at a time, that must not fail."""
    scripts = [Script("dies"), Script("raises"), Script("done", 3)]
    return search(tmp_path_factory.mktemp("two"), scripts, at_once=2)


def test_trials_are_told_of_in_the_order_that_a_resume_replays(record: Record) -> None:
    """Else sampler and scheduler, rebuilt from the log, stand elsewhere than before.

    No verdict is asked on a result that says done; a stop is not the sampler's result.
    """
    assert record.order(DONE) == [*BEGIN, *EPOCH, *EPOCH, "callback result", *END]
    verdict = ["scheduler result", "callback result"]
    assert record.order(STOPPED) == [*BEGIN, *EPOCH, *verdict, *END]
    assert record.order(DIVERGES) == [*BEGIN, *EPOCH, "callback result", *END]


def test_the_last_result_is_told_again_at_the_end(record: Record) -> None:
    """Else neither of them knows the reason of a failure, or that a trial was pruned."""
    for of in ("scheduler", "sampler", "callback"):
        assert record.one(of, "complete", DIVERGES)["result"]["failure"] == "diverged"
        assert record.one(of, "complete", STOPPED)["result"]["epoch"] == 2


def test_metrics_are_flattened_for_all_but_the_callback(record: Record) -> None:
    """Else the log has no metrics of an epoch."""
    told = record.results(STOPPED)
    assert told["callback"][0]["metrics"] == {"val/accuracy": 0.5}
    for of in ("scheduler", "sampler"):
        assert told[of][0]["metrics/val/accuracy"] == 0.5


def test_the_epoch_is_what_the_trial_says(record: Record) -> None:
    """Else a trial that goes on in another session is judged at the wrong rungs."""
    for results in record.results(LATER).values():
        assert [result["training_iteration"] for result in results] == [11, 12][: len(results)]
    assert record.one("sampler", "complete", LATER)["result"]["training_iteration"] == 12


def test_ray_makes_no_checkpoint_that_no_trial_asks_for(record: Record) -> None:
    """Else every epoch waits for one, however long that takes."""
    calls = {row["call"] for row in record.of_worker()}
    assert {"setup", "step", "reset_config"} <= calls
    assert not {"save", "load"} & calls


def test_a_trial_of_a_lost_worker_is_set_up_again(record: Record) -> None:
    """Else it cannot look for a checkpoint of before, or the sampler takes it for a failed one."""
    again = ["scheduler add", "callback recover", "callback start"]
    begun_anew = [*EPOCH * 3, "callback result", *END]
    assert record.order(DIES_ONCE) == [*BEGIN, *EPOCH * 3, *again, *begun_anew]
    calls = [(row["call"], row["epoch"]) for row in record.of_worker(DIES_ONCE)]
    assert calls[-6:] == [("step", 4), ("setup", 0), *(("step", epoch) for epoch in range(1, 5))]
    assert is_lost(record.one("callback", "recover", DIES_ONCE)["error"])


def test_a_trial_that_raises_is_tried_again_as_often_as_one_whose_worker_is_lost(
    record: Record,
) -> None:
    """Else ``max_failures`` means something else."""
    again = ["scheduler add", "callback recover", "callback start"]
    assert record.order(RAISES) == [*BEGIN, *EPOCH, *again, *EPOCH, *FAILED]
    assert record.one("sampler", "complete", RAISES)["error"] is True
    assert isinstance(record.one("callback", "error", RAISES)["error"], RayTaskError)


def test_a_trial_that_cannot_be_built_ends_without_having_started(record: Record) -> None:
    """Else our callback need not start it first, or tells a lost worker where code is wrong."""
    again = ["scheduler add", "callback recover"]
    assert record.order(UNBUILT) == [*BEGIN[:2], *again, *FAILED]
    error = record.one("callback", "error", UNBUILT)["error"]
    assert isinstance(error, RayActorError)
    assert error.actor_init_failed
    assert str(error).strip().splitlines()[-1] == "ValueError: on purpose"


def test_a_trial_that_raises_in_a_used_worker_fails_and_the_search_goes_on(record: Record) -> None:
    """Else it hangs. (It would if ``reset_config`` returned anything but True.)"""
    assert record.order(UNRESET) == [*BEGIN[:2], *FAILED]
    assert record.order(LAST) == [*BEGIN, "callback result", *END]
    assert [row["call"] for row in record.of_worker(LAST)] == ["setup", "step"]


def test_a_worker_becomes_the_next_trial_and_knows_its_resources(record: Record) -> None:
    """Else imports are paid for by every trial, or a trial's device is not what it was given."""
    rows = [row for row in record.of_worker() if row["call"] in {"setup", "reset_config"}]
    first = [row for row in rows if row["number"] in {DONE, STOPPED, DIVERGES}]
    assert [row["call"] for row in first] == ["setup", "reset_config", "reset_config"]
    assert len({row["pid"] for row in first}) == 1
    assert all(row["resources"] == SHARE for row in rows)


def test_one_at_a_time_the_sampler_is_asked_when_the_trial_before_is_over(record: Record) -> None:
    """Else even a search of one trial at a time cannot be repeated."""
    told = [(c.name, c.number) for c in record.calls if c.of == "sampler" and c.name != "result"]
    expected = [(name, number) for number in range(9) for name in ("suggest", "complete")]
    assert told[: len(expected)] == expected


def test_a_finished_sampler_ends_the_search(record: Record) -> None:
    """Else a resumed study, with fewer trials left than ``num_samples``, hangs or runs too many."""
    finished = [call.number for call in record.calls if call.name == "finished"]
    assert set(finished) == {len(SCRIPTS)}


def test_what_is_stored_of_a_callback_is_what_its_reduce_says(record: Record) -> None:
    """Else the journal is pickled, or a copy of the callback is told what ours should hear."""
    stored = (record.folder / "session-0001/tuner.pkl").read_bytes()
    assert b"RecordingSampler" in stored
    assert b"RecordingCallback" not in stored


def test_without_a_failure_allowed_the_first_one_ends_a_trial(strict: Record) -> None:
    """Else ``max_failures: 0`` means something else."""
    for number in (0, 1):
        assert strict.order(number) == [*BEGIN, *EPOCH, *FAILED]
    assert is_lost(strict.one("callback", "error", 0)["error"])
    error = strict.one("callback", "error", 1)["error"]
    assert isinstance(error, RayTaskError)
    assert str(error).strip().splitlines()[-1] == "ValueError: on purpose"


def test_no_more_trials_are_asked_for_than_may_run(strict: Record) -> None:
    """Else proposals are made from fewer results than there could be."""
    told = [(c.name, c.number) for c in strict.calls if c.of == "sampler" and c.name != "result"]
    assert told[:2] == [("suggest", 0), ("suggest", 1)]
    assert told[2][0] == "complete"
    assert told[3] == ("suggest", 2)


def is_lost(error: object) -> bool:
    return isinstance(error, RayActorError) and not error.actor_init_failed


def test_sigterm_ends_a_search_and_no_trial(tmp_path: Path) -> None:
    """Else a cluster's scheduler kills the driver, or its last trials count as over."""
    with terminate_as_interrupt():
        mine = signal.getsignal(signal.SIGTERM)
        stopped = search(tmp_path, [Script("terminates", 3), Script("done")])
        assert signal.getsignal(signal.SIGTERM) is mine
    assert [name for name in stopped.order(0) if name in {*END, *FAILED}] == []
    assert stopped.order(1) == []


def test_a_result_without_the_metric_ends_the_whole_search(tmp_path: Path) -> None:
    """It is why every result has an objective, a failure's too."""
    with pytest.raises(TuneError, match="objective"):
        search(tmp_path, [Script("no metric"), Script("done")], max_failures=1)


def test_a_worker_killed_by_the_memory_monitor_is_a_runtime_error_of_fit() -> None:
    """Else ``Session`` does not say how to go on, or Ray retries and there is nothing to catch."""
    task: Any = SimpleNamespace(_tracked_actor=None, _on_error=None)
    error = OutOfMemoryError("low on memory")  # type: ignore[no-untyped-call]
    with pytest.raises(RuntimeError, match="low on memory") as caught:
        RayActorManager._actor_task_failed(cast("RayActorManager", None), task, error)
    assert caught.value.__cause__ is error


def test_what_no_node_can_hold_is_waited_for_without_a_word() -> None:
    """It is why ``slots`` looks first; may go when this fails."""
    group = placement_group([{"CPU": 1e6}])
    assert group.wait(1) is False
    remove_placement_group(group)
