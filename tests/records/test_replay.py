"""Events that come one after the other add up to what the whole log adds up to."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tune.records.replay import Fold, fold
from distill_tune.records.trials import Event, StudyState, TrialRecord

KINDS = ("session_started", "session_ended", "stage", "warning", "trial_started", "epoch")
NUMBERS = st.integers(-1, 4) | st.floats() | st.sampled_from(["nan", "inf", "2", "two", None])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "time": st.floats(0, 100) | NUMBERS,
    "trial": NUMBERS,
    "epoch": NUMBERS,
    "metrics": st.dictionaries(st.sampled_from(["objective", "seconds/joint"]), NUMBERS) | NUMBERS,
    "params": st.dictionaries(st.sampled_from(["a", "b"]), NUMBERS) | NUMBERS,
    "status": st.sampled_from(["running", "finished", "complete", "pruned", 7, []]),
    "name": st.text(max_size=3) | st.none(),
    "backbone": st.sampled_from(["resnet50", "alexnet", None]),
    "reason": st.sampled_from(["rung 1", "", None]),
    "key": st.just("k"),
    "seconds": NUMBERS,
    "cached": st.booleans(),
    "steps": NUMBERS,
    "max_steps": NUMBERS,
    "curve": st.lists(
        st.dictionaries(st.sampled_from(["step", "agreement", "diversity"]), NUMBERS), max_size=2
    ),
    "text": st.text(max_size=3),
    "command": st.just("search"),
}
SOUND: dict[str, Any] = {"time": 1.0, "trial": 0, "epoch": 1, "metrics": {"objective": 0.5}}
SOUND |= {
    "params": {},
    "status": "finished",
    "name": "n",
    "backbone": "b",
    "reason": "",
    "key": "k",
}
SOUND |= {"seconds": 1.0, "cached": False, "text": "t", "command": "c"}


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Return an event that may lack fields, or hold what does not belong there."""
    kind = draw(st.sampled_from([*KINDS, "trial_ended", "data", None]))
    odd = draw(st.fixed_dictionaries({}, optional=FIELDS))
    lost = draw(st.sets(st.sampled_from(sorted(SOUND)), max_size=1))
    whole = {name: value for name, value in SOUND.items() if name not in lost}
    return {"event": kind, **whole, **odd}


@given(st.lists(events(), max_size=12))
def test_event_by_event_it_comes_to_what_the_whole_log_comes_to(log: list[Event]) -> None:
    study = Fold()
    for count, event in enumerate(log, start=1):
        study.add(event)
        # As text: one nan does not equal another.
        assert repr(study.state) == repr(fold(log[:count]))
    state = study.state
    assert list(state.trials) == sorted(state.trials)
    assert all(list(t.history) == sorted(t.history) for t in state.trials.values())


@given(st.lists(events(), max_size=8), st.lists(events(), min_size=1, max_size=4))
def test_what_was_read_before_stays_as_it_was(log: list[Event], later: list[Event]) -> None:
    study = Fold()
    for event in log:
        study.add(event)
    before = study.state
    text = repr(before)
    for event in later:
        study.add(event)
    assert repr(before) == text


@given(st.lists(events(), max_size=12))
def test_an_event_is_sound_or_leaves_a_warning_and_no_trial(log: list[Event]) -> None:
    study = Fold()
    for event in log:
        before = study.state
        is_sound = study.add(event)
        new = study.state.warnings[len(before.warnings) :]
        assert is_sound is not any("is incomplete" in text for text in new)
        if not is_sound:
            assert repr(study.state.trials) == repr(before.trials)


def started(number: int) -> Event:
    names = {"trial": number, "name": f"t{number}", "backbone": "b", "params": {}}
    return {"event": "trial_started", "time": float(number), **names}


@pytest.mark.parametrize("num_trials", [10, 300])
def test_an_event_makes_one_record_however_many_trials_there_are(
    num_trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Fold()
    for number in range(num_trials):
        study.add(started(number))
    before = study.state
    made = []

    def counting(record: TrialRecord, **changes: Any) -> Any:
        made.append(record.number)
        return replace(record, **changes)

    replace = dataclasses.replace
    monkeypatch.setattr(dataclasses, "replace", counting)
    metrics = {"objective": 0.5}
    study.add({"event": "epoch", "time": 1.0, "trial": 3, "epoch": 1, "metrics": metrics})
    assert made == [3]
    assert others(study.state, 3) == others(before, 3)


def others(state: StudyState, number: int) -> list[int]:
    """Return which objects the other trials are."""
    return [id(trial) for trial in state.trials.values() if trial.number != number]
