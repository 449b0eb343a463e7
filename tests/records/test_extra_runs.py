"""Controls in a study's log: their records, their words, and their rows."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from distill_tune.records.extras.runs import comparison_lines, control_json, controls, stage_one
from distill_tune.records.replay import Fold, fold
from distill_tune.records.tables import epochs_csv, trial_rows, trials_csv
from distill_tune.records.trials import Event, StudyState

NAME = "control-alexnet-equal_steps"


def events(last: str = "complete", **ended: Any) -> Iterator[Event]:
    """Yield a log of one trial and one control of two epochs."""
    kind = {"name": NAME, "kind": "control", "arm": "equal_steps", "seed": 0, "trial": None}
    kind |= {"words": "equal steps without a GAN", "backbone": "alexnet", "params": {}}
    yield {"event": "extra_started", **kind}
    first = {"objective": 0.7, "classifier/objective": 0.69, "seconds/joint": 2.0}
    yield {"event": "extra_epoch", "name": NAME, "epoch": 1, "metrics": first}
    trial = {"trial": 0, "name": "alexnet-0000", "backbone": "alexnet", "params": {"a": 1}}
    yield {"event": "trial_started", **trial}
    yield {"event": "epoch", "trial": 0, "epoch": 1, "metrics": {"objective": 0.75}}
    yield {"event": "trial_ended", "trial": 0, "status": "complete", "reason": ""}
    second = {"objective": 0.72, "seconds/joint": 3.0}
    if last != "running":
        yield {"event": "extra_epoch", "name": NAME, "epoch": 2, "metrics": second}
        yield {"event": "extra_ended", "name": NAME, "status": last, "reason": "", **ended}


def state(last: str = "complete", **ended: Any) -> StudyState:
    return fold({"time": 1.0 + n, **event} for n, event in enumerate(events(last, **ended)))


def test_a_control_is_no_trial() -> None:
    found = state()
    assert list(found.trials) == [0]
    assert found.backbones == ("alexnet",)
    record = controls(found)["alexnet"]["equal_steps"]
    assert (record.value, record.stage_one, record.seed) == (0.72, 0.69, 0)
    assert (record.run.epochs, record.run.seconds) == (2, {"joint": 5.0})
    assert control_json(record)["status"] == "complete"


def test_it_is_said_beside_the_best() -> None:
    words = "best 0.7500, equal steps without a GAN 0.7200, stage 1 alone 0.6900"
    assert comparison_lines(state()) == [words]
    assert stage_one(state(), "alexnet") == 0.69
    (failed,) = comparison_lines(state("failed", reason="diverged"))
    assert "equal steps without a GAN 0.7200 (diverged), stage 1" in failed
    (running,) = comparison_lines(state("running"))
    assert "equal steps without a GAN 0.7000 (running), stage 1" in running
    assert comparison_lines(fold([])) == []


def test_stage_1_is_said_once() -> None:
    log = [{"time": 1.0, **event} for event in events()]
    for event in log:
        if event["event"] == "extra_started":
            event |= {"arm": "baseline", "words": "stage 1 alone"}
    assert comparison_lines(fold(log)) == ["best 0.7500, stage 1 alone 0.7200"]


def test_a_resumed_control_keeps_its_epochs() -> None:
    log = [{"time": 1.0, **event} for event in events("running")]
    found = fold([*log, log[0]])
    assert found.extras[NAME].run.epochs == 1
    assert found.extras[NAME].run.ended_at is None


def test_an_epoch_of_an_unknown_run_is_skipped_with_a_warning() -> None:
    study = Fold()
    event = {"event": "extra_epoch", "time": 1.0, "name": "x", "epoch": 1, "metrics": {}}
    assert not study.add(event)
    assert study.state.extras == {}
    assert "incomplete" in study.state.warnings[0]


def test_the_table_has_a_marked_row_and_frames_only_trials() -> None:
    rows = list(csv.DictReader(io.StringIO(trials_csv(state()))))
    assert [row["kind"] for row in rows] == ["trial", "control"]
    assert [row["number"] for row in rows] == ["0", ""]
    assert (rows[1]["name"], rows[1]["value"], rows[1]["epochs"]) == (NAME, "0.72", "2")
    assert [row["kind"] for row in trial_rows(state()).rows] == ["trial"]
    epochs = list(csv.DictReader(io.StringIO(epochs_csv(state()))))
    assert [(row["number"], row["name"]) for row in epochs] == [
        ("0", "alexnet-0000"),
        ("", NAME),
        ("", NAME),
    ]
