"""What events add up to: the fold, the winner, the tables."""

import csv
import io
from typing import Any

import pytest

from distill_tune.records.replay import fold
from distill_tune.records.tables import epochs_csv, trials_csv
from distill_tune.records.trials import Event, StudyState, best


def started(trial: int, backbone: str = "resnet50", **params: Any) -> Event:
    name = f"{backbone}-{trial:04d}"
    event = {"event": "trial_started", "trial": trial, "name": name, "backbone": backbone}
    return event | {"params": params, "time": 100.0 + trial}


def epoch(trial: int, number: int, objective: float | str, **metrics: float) -> Event:
    values = {"objective": objective, **metrics}
    return {"event": "epoch", "trial": trial, "epoch": number, "metrics": values, "time": 200.0}


def ended(trial: int, status: str = "complete", reason: str = "") -> Event:
    event = {"event": "trial_ended", "trial": trial, "status": status, "reason": reason}
    return event | {"detail": "", "time": 300.0}


def session(kind: str, time: float, **rest: Any) -> Event:
    return {"event": f"session_{kind}", "time": time, "command": "search", **rest}


def test_a_re_reported_epoch_replaces_its_row() -> None:
    events = [started(0), epoch(0, 1, 0.5), epoch(0, 2, 0.9), epoch(0, 2, 0.6), epoch(0, 3, 0.4)]
    trial = fold(events).trials[0]
    assert {n: m["objective"] for n, m in trial.history.items()} == {1: 0.5, 2: 0.6, 3: 0.4}
    assert (trial.epochs, trial.value, trial.metrics) == (3, 0.6, {"objective": 0.4})


def test_a_trial_that_starts_anew_runs_again_and_keeps_its_history() -> None:
    events = [started(3, lr=1.0), epoch(3, 1, 0.5), ended(3, "failed", "worker_lost")]
    before = fold(events).trials[3]
    after = fold([*events, {**started(3, lr=1.0), "time": 900.0}]).trials[3]
    assert (before.status, before.reason, before.ended_at) == ("failed", "worker_lost", 300.0)
    assert (after.status, after.reason, after.ended_at) == ("running", "", None)
    assert (after.epochs, after.started_at) == (1, 103.0)


def test_the_value_is_the_best_finite_objective_of_any_epoch() -> None:
    events = [epoch(0, 1, "nan"), epoch(0, 2, 0.3), epoch(0, 3, "inf"), epoch(0, 4, 0.1)]
    assert fold([started(0), *events]).trials[0].value == 0.3
    assert fold([started(0), epoch(0, 1, "nan")]).trials[0].value is None
    assert fold([started(0)]).trials[0].value is None


def test_the_seconds_of_a_stage_add_up_over_the_epochs() -> None:
    events = [epoch(0, n, 0.5, **{"seconds/joint": 2.0 * n}) for n in (1, 2, 2, 3)]
    trial = fold([epoch(0, 0, 0.5, **{"seconds/triplet": 7.0}), *events]).trials[0]
    assert trial.seconds == {"triplet": 7.0, "joint": 12.0}


def test_unknown_kinds_are_passed_over_and_incomplete_ones_named() -> None:
    state = fold(
        [
            {"event": "from_the_future", "time": 1.0},
            {"event": "epoch", "time": 1.0, "trial": 0},
            {"event": "warning", "time": 1.0, "text": "hot"},
            started(1),
        ]
    )
    assert state.warnings == ("event 2 (epoch) is incomplete and was skipped", "hot")
    assert list(state.trials) == [1]


def test_an_epoch_whose_trial_lost_its_start_is_kept() -> None:
    trial = fold([epoch(4, 1, 0.5)]).trials[4]
    assert (trial.name, trial.value, trial.started_at) == ("trial-0004", 0.5, None)


def test_elapsed_time_leaves_out_the_gaps_between_sessions() -> None:
    state = fold(
        [
            session("started", 1000.0),
            {"event": "warning", "time": 1030.0, "text": "last words before a kill"},
            session("started", 5000.0),
            session("ended", 5012.0, status="time_budget"),
        ]
    )
    assert [run.status for run in state.sessions] == ["interrupted", "time_budget"]
    assert state.elapsed_s == 42.0


def study(*rows: tuple[str, str, float | None]) -> StudyState:
    events = []
    for number, (backbone, status, value) in enumerate(rows):
        events += [started(number, backbone), *([epoch(number, 1, value)] if value else [])]
        events += [] if status == "running" else [ended(number, status)]
    return fold(events)


@pytest.mark.parametrize(
    ("rows", "winner"),
    [
        ([("a", "complete", 0.5), ("a", "complete", 0.7)], 1),
        ([("a", "complete", 0.7), ("a", "complete", 0.7)], 0),
        ([("a", "complete", 0.5), ("a", "pruned", 0.7), ("a", "running", 0.9)], 0),
        ([("a", "complete", None), ("a", "pruned", 0.7), ("a", "running", 0.9)], 2),
        ([("a", "failed", 0.9), ("a", "pruned", 0.2)], 1),
        ([("a", "complete", 0.5), ("b", "complete", 0.9)], 0),
        ([("a", "failed", 0.9)], None),
        ([("b", "complete", 0.9)], None),
    ],
)
def test_the_winner_is_the_best_complete_trial_of_its_backbone(
    rows: list[tuple[str, str, float | None]], winner: int | None
) -> None:
    found = best(study(*rows), "a")
    assert (found.number if found else None) == winner


def test_the_tables_hold_a_row_a_trial_and_a_row_an_epoch() -> None:
    joint = {"seconds/joint": 1.5, "val/accuracy": 0.25}
    events = [started(1, lr=1e-05, joint={"margin": 0.1}), started(0, way="a,b", sizes=[1, 2])]
    warmed = {"warmup/synthetic/agreement": 0.96, "triplet/active_share": 0.5}
    events += [epoch(1, 1, 0.5, **warmed), epoch(1, 2, 0.4, **joint), epoch(1, 2, 0.4, **joint)]
    state = fold([*events, ended(1, "pruned", "too slow")])
    first, second = csv.DictReader(io.StringIO(trials_csv(state)))
    assert trials_csv(state).partition("\n")[0] == (
        "number,name,kind,backbone,state,reason,value,epochs,"
        "way,sizes,lr,joint.margin,seconds/joint,warmup/synthetic/agreement,objective,"
        "val/accuracy"
    )
    assert (first["number"], first["way"], first["sizes"]) == ("0", "a,b", "[1, 2]")
    assert (first["value"], first["lr"]) == ("", "")
    assert (second["state"], second["reason"], second["value"]) == ("pruned", "too slow", "0.5")
    assert (second["lr"], second["joint.margin"], second["epochs"]) == ("1e-05", "0.1", "2")
    assert (second["seconds/joint"], second["val/accuracy"]) == ("1.5", "0.25")
    # Of the generator the first epoch tells; a trial's row tells it all the same.
    assert second["warmup/synthetic/agreement"] == "0.96"
    assert "triplet/active_share" not in second, "the first epoch's, and no more than that"
    rows = list(csv.DictReader(io.StringIO(epochs_csv(state))))
    assert [(row["number"], row["epoch"], row["objective"]) for row in rows] == [
        ("1", "1", "0.5"),
        ("1", "2", "0.4"),
    ]
