"""Rules that stop a search, on records that are written by hand."""

from pathlib import Path
from typing import Any

import pytest

from distill_tune.errors import InputError
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.interrupts import Drain
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.opening_lines import rule_lines
from distill_tune.tuning.stopping.stop_rules import StopCallback, StopRules, trials_without_gain
from tests.commands import STUDY

A, B = "squeezenet1_1", "shufflenet_v2_x0_5"
BUNDLE = {"CPU": 2.0, "GPU": 0.5}


def study(rules: str, num_trials: int = 6) -> Study:
    text = STUDY.replace("controls: []", f"stop: {rules}")
    text = text.replace("num_trials: 6", f"num_trials: {num_trials}")
    return parse(Study, read_yaml_text(text, "tiny.yaml"))


class Records:
    """A study's log, and what its rules say of it."""

    def __init__(self, folder: Path) -> None:
        directory = StudyDirectory(str(folder))
        directory.create()
        self.journal = Journal(directory, lambda *_: None)

    def rules(self, rules: str, num_trials: int = 6) -> StopRules:
        return StopRules(study(rules, num_trials), self.journal, BUNDLE)

    def words(self, rules: str, num_trials: int = 6) -> str:
        found = self.rules(rules, num_trials).broken()
        return found.words if found else ""

    def trial(self, value: float, status: str = "complete", **more: Any) -> None:
        number = len(self.journal.state.trials)
        backbone = (A, B)[number % 2]
        name = f"{backbone}-{number:04d}"
        self.journal.emit(
            "trial_started", trial=number, name=name, backbone=backbone, params={}, raw={}
        )
        metrics = {"objective": value, "seconds/joint": 1800.0, **more}
        self.journal.emit("epoch", trial=number, epoch=1, metrics=metrics)
        if status != "running":
            end = {"status": status, "reason": "", "detail": ""}
            self.journal.emit("trial_ended", trial=number, **end)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


def test_no_rule_never_stops(records: Records) -> None:
    for _ in range(6):
        records.trial(1.0)
    assert records.words("{}") == ""


def test_a_value_must_be_reached_by_a_complete_trial(records: Records) -> None:
    records.trial(0.95, "running")
    records.trial(0.95, "pruned")
    records.trial(0.89)
    assert records.words("{value: 0.9}") == ""
    records.trial(0.9)
    assert records.words("{value: 0.9}") == f"val/accuracy 0.9000 of {B}-0003 has reached 0.9"


def test_zero_is_a_value_too(records: Records) -> None:
    assert records.words("{value: 0}") == ""
    records.trial(0.0)
    assert records.words("{value: 0}") == f"val/accuracy 0.0000 of {A}-0000 has reached 0"
    assert study("{value: 0, gain_below_noise: false}").search.stop.limits == {"value": 0.0}


def test_a_gain_is_one_within_its_backbone(records: Records) -> None:
    for value in (0.5, 0.1, 0.6, 0.2):
        records.trial(value)
    assert trials_without_gain(records.journal.state) == 0
    records.trial(0.6)
    records.trial(0.9, "failed")
    assert records.words("{trials_without_gain: 3}", 8) == ""
    records.trial(0.6, "pruned")
    assert records.words("{trials_without_gain: 3}", 8) == "the last 3 trials brought no gain"
    # All seven are over, so that there is nothing to stop.
    assert records.words("{trials_without_gain: 3}", 7) == ""
    records.trial(0.3)
    assert records.words("{trials_without_gain: 3}") == ""


def test_with_two_objectives_a_gain_is_a_new_trial_of_the_front(records: Records) -> None:
    seconds = "seconds/joint"
    for value, time_s in ((0.9, 9), (0.8, 9), (0.89, 3), (0.8, 3), (0.88, 1), (0.8, 1)):
        records.trial(value, "complete", **{seconds: float(time_s)})
    state = records.journal.state
    assert trials_without_gain(state) == 4
    # Of the other backbone, each was as good as the one before and faster.
    assert trials_without_gain(state, has_costs=True) == 0
    records.trial(0.87, "complete", **{seconds: 2.0})
    assert trials_without_gain(records.journal.state, has_costs=True) == 1


def test_the_noise_stops_no_search_for_a_front() -> None:
    with pytest.raises(InputError, match=r"stop\.gain_below_noise: got true, expected false, as"):
        study("{gain_below_noise: true}, objectives: [val/accuracy, -seconds]")


def test_a_rule_that_can_never_hold_is_named() -> None:
    limits = study("{gpu_hours: 1, core_hours: 1}").search.stop.limits
    (line,) = rule_lines(limits, {"CPU": 1.0})
    assert line.startswith("search.stop.gpu_hours never stops this search, whose trials have no")
    assert list(rule_lines(limits, BUNDLE)) == []


def test_hours_are_those_of_all_work_times_the_resources(records: Records) -> None:
    records.trial(0.5)
    records.journal.emit(
        "stage", name="warmup", key="k", seconds=1800.0, cost_s=1800.0, cached=False
    )
    records.journal.emit("stage", name="warmup", key="k", seconds=0.0, cost_s=1800.0, cached=True)
    # An hour of two cores and half a GPU.
    assert records.words("{gpu_hours: 0.5}") == "0.50 of 0.5 GPU-hours are used"
    assert records.words("{gpu_hours: 0.6}") == ""
    assert records.words("{core_hours: 2}") == "2.00 of 2 core-hours are used"
    assert records.words("{core_hours: 2.1}") == ""


def test_a_rule_is_recorded_and_goes_on_with_more_trials_or_another_limit(
    records: Records,
) -> None:
    records.trial(0.9)
    assert records.rules("{value: 0.8}").stop_if_broken()
    stop = records.journal.state.stop
    assert stop is not None
    assert (stop.rule, stop.limit, stop.num_trials, stop.num_over) == ("value", 0.8, 6, 1)
    assert records.words("{value: 0.8}")
    assert records.words("{value: 0.8}", num_trials=7) == ""
    assert records.words("{value: 0.95}") == ""
    assert records.words("{value: 0.85}", num_trials=7)


def test_after_more_trials_are_asked_for_those_without_gain_count_anew(records: Records) -> None:
    for _ in range(5):
        records.trial(0.5)
    rules = "{trials_without_gain: 3}"
    assert records.rules(rules).stop_if_broken()
    assert records.words(rules, num_trials=20) == ""
    for _ in range(2):
        records.trial(0.5)
    assert records.words(rules, num_trials=20) == ""
    records.trial(0.5)
    assert records.words(rules, num_trials=20) == "the last 3 trials brought no gain"


def test_the_first_broken_rule_begins_the_drain_once(records: Records) -> None:
    drain = Drain()
    closed: list[bool] = []
    rules = records.rules("{value: 0.8, trials_without_gain: 1}")
    callback = StopCallback(rules, drain, lambda: closed.append(True))
    callback.on_trial_result(result={"objective": 0.5})
    assert not drain.is_begun
    records.trial(0.9)
    callback.on_trial_complete()
    assert drain.is_begun
    assert not rules.may_stop
    callback.on_trial_complete()
    assert [stop.rule for stop in records.journal.state.stops] == ["value"]
    assert closed == [True]


def test_the_noise_is_asked_of_ten_complete_trials(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    gains = {A: 0.001, B: 0.3}
    where = "distill_tune.tuning.stopping.stop_rules.GainLeft.of"
    monkeypatch.setattr(where, lambda _, backbone, *__: gains[backbone])
    for backbone in (A, B):
        for seed, value in ((0, 0.5), (10_001, 0.51), (10_002, 0.52)):
            name = f"control-{backbone}-equal_steps-seed{seed}"
            about: dict[str, Any] = {"arm": "equal_steps", "words": "", "trial": None, "params": {}}
            kind = {"kind": "control", "seed": seed, "backbone": backbone}
            records.journal.emit("extra_started", name=name, **kind, **about)
            metrics = {"objective": value}
            records.journal.emit("extra_epoch", name=name, epoch=4, metrics=metrics)
            end = {"status": "complete", "reason": "", "detail": ""}
            records.journal.emit("extra_ended", name=name, **end)
    records.trial(0.5)
    assert records.words("{gain_below_noise: true}") == ""
    gains[B] = 0.002
    assert records.words("{gain_below_noise: true}") == (
        f"a gain of 0.001 is still to be expected of {A}, less than the noise of a seed, 0.01; "
        f"a gain of 0.002 is still to be expected of {B}, less than the noise of a seed, 0.01"
    )


def test_noise_without_a_control_is_refused() -> None:
    text = STUDY.replace("controls: []", "controls: [], stop: {gain_below_noise: true}")
    with pytest.raises(InputError, match="expected false, or a control"):
        parse(Study, read_yaml_text(text, "tiny.yaml"))
