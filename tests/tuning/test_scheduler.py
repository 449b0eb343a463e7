"""Tests of the scheduler: Ray's own ASHA decision for decision, and what Ray's lacks."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from distill_tune.errors import InputError
from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.rungs import RungEvent
from distill_tune.tuning.scheduler import AshaPerBackbone, Verdict

STOP, CONTINUE = TrialScheduler.STOP, TrialScheduler.CONTINUE
Log = list[RungEvent]


def trial(number: int, backbone: str = "resnet50") -> Trial:
    config = {"number": number, "backbone": backbone, "params": {}}
    return cast("Trial", SimpleNamespace(trial_id=f"t{number}", config=config))


def result(epoch: int, objective: float, **more: Any) -> dict[str, Any]:
    return {"training_iteration": epoch, OBJECTIVE: objective, **more}


def tell(scheduler: Any, event: RungEvent) -> str:
    who = trial(event.number, event.backbone)
    return str(scheduler.on_trial_result(None, who, result(event.epoch, event.objective)))


def asha(**more: Any) -> AshaPerBackbone:
    return AshaPerBackbone(**{"min_epochs": 1, "max_epochs": 9, "reduction_factor": 3, **more})


def curves(seed: int, num_trials: int, max_epochs: int) -> list[list[float]]:
    """Rising, noisy best-so-far curves, some of them tied."""
    rng = np.random.default_rng(seed)
    every = []
    for _ in range(num_trials):
        level, best, curve = rng.random(), 0.0, []
        for epoch in range(1, max_epochs + 1):
            best = max(best, round(float(level * (1 - 0.7**epoch) + rng.normal(0, 0.1)), 2))
            curve.append(best)
        every.append(curve)
    return every


def run_interleaved(
    seed: int, schedulers: list[Any], num_trials: int, max_epochs: int, num_backbones: int = 1
) -> tuple[Log, list[list[str]]]:
    """Feed the same curves to each scheduler; return the log and each one's decisions."""
    rng = np.random.default_rng(seed)
    table = curves(seed, num_trials, max_epochs)
    waiting, running, log = list(range(num_trials)), dict[int, int](), Log()
    decisions: list[list[str]] = [[] for _ in schedulers]
    while waiting or running:
        if waiting and len(running) < 8:
            number = waiting.pop(0)
            running[number] = 0
            for scheduler in schedulers:
                scheduler.on_trial_add(None, trial(number, f"b{number % num_backbones}"))
        number = int(rng.choice(list(running)))
        running[number] += 1
        objective = table[number][running[number] - 1]
        event = RungEvent(number, f"b{number % num_backbones}", running[number], objective)
        log.append(event)
        for scheduler, told in zip(schedulers, decisions, strict=True):
            told.append(tell(scheduler, event))
        if decisions[0][-1] == STOP:
            del running[number]
            for scheduler in schedulers:
                done = result(event.epoch, event.objective, done=True)
                scheduler.on_trial_complete(None, trial(number, event.backbone), done)
    return log, decisions


@pytest.mark.parametrize("min_max_factor", [(1, 27, 3), (4, 20, 2), (2, 10, 4), (5, 5, 2)])
def test_it_decides_as_rays_asha_does_on_200_interleaved_curves(
    min_max_factor: tuple[int, int, int],
) -> None:
    low, high, factor = min_max_factor
    rays = ASHAScheduler(
        metric=OBJECTIVE, mode="max", max_t=high, grace_period=low, reduction_factor=factor
    )
    ours = AshaPerBackbone(min_epochs=low, max_epochs=high, reduction_factor=factor)
    _, (told_by_ours, told_by_rays) = run_interleaved(low + high, [ours, rays], 200, high)
    assert told_by_ours == told_by_rays
    assert told_by_ours.count(STOP) == 200
    pruned = sum(v.stop for rung in ours.rungs("b0") for v in rung.verdicts.values())
    assert pruned > 50 or low == high


def test_each_backbone_is_judged_as_if_it_were_alone() -> None:
    together = asha()
    log, (told,) = run_interleaved(3, [together], 60, 9, num_backbones=2)
    for backbone in ("b0", "b1"):
        alone = asha()
        mine = [
            (event, said)
            for event, said in zip(log, told, strict=True)
            if event.backbone == backbone
        ]
        assert [tell(alone, event) for event, _ in mine] == [said for _, said in mine]
        assert alone.rungs(backbone) == together.rungs(backbone)


def test_the_first_of_a_backbone_survives_and_a_worse_second_does_not() -> None:
    scheduler = asha()
    assert tell(scheduler, RungEvent(0, "resnet50", 1, 0.5)) == CONTINUE
    assert tell(scheduler, RungEvent(1, "alexnet", 1, 0.1)) == CONTINUE
    assert tell(scheduler, RungEvent(2, "resnet50", 1, 0.4)) == STOP
    assert scheduler.rungs("resnet50")[0] == (
        1,
        {0: Verdict(0.5, stop=False), 2: Verdict(0.4, stop=True)},
    )
    assert [rung.epoch for rung in scheduler.rungs("nothing yet")] == [1, 3]


def test_a_trial_that_returns_to_a_rung_hears_the_same_verdict() -> None:
    scheduler = asha()
    tell(scheduler, RungEvent(0, "resnet50", 1, 0.5))
    tell(scheduler, RungEvent(1, "resnet50", 1, 0.4))
    before = scheduler.rungs("resnet50")
    again = [RungEvent(1, "resnet50", 1, 0.9), RungEvent(0, "resnet50", 1, 0.0)]
    assert [tell(scheduler, event) for event in again] == [STOP, CONTINUE]
    assert scheduler.rungs("resnet50") == before


def test_a_trial_stopped_at_a_rung_and_restored_behind_it_is_stopped_again() -> None:
    scheduler = asha()
    tell(scheduler, RungEvent(0, "resnet50", 3, 0.5))
    assert tell(scheduler, RungEvent(1, "resnet50", 1, 0.4)) == CONTINUE
    assert tell(scheduler, RungEvent(1, "resnet50", 3, 0.4)) == STOP
    assert tell(scheduler, RungEvent(1, "resnet50", 4, 0.9)) == STOP
    assert tell(scheduler, RungEvent(1, "resnet50", 2, 0.4)) == CONTINUE
    # And late scores never enter a lower rung.
    assert tell(scheduler, RungEvent(2, "resnet50", 5, 0.9)) == CONTINUE
    assert [list(rung.verdicts) for rung in scheduler.rungs("resnet50")] == [[1], [0, 1]]


def test_failures_are_stopped_and_never_recorded() -> None:
    scheduler = asha()
    failed = result(1, 0.0, failure="diverged", done=True)
    assert scheduler.on_trial_result(None, trial(0), failed) == STOP
    scheduler.on_trial_complete(None, trial(0), failed)
    assert not scheduler.rungs("resnet50")[0].verdicts
    scheduler.replay([RungEvent(0, "resnet50", 1, float("nan"))])
    assert not scheduler.rungs("resnet50")[0].verdicts


def test_a_trial_that_ends_by_itself_at_a_rung_counts_for_the_others() -> None:
    scheduler = asha()
    scheduler.on_trial_complete(None, trial(0), result(1, 0.5, done=True))
    scheduler.on_trial_complete(None, trial(1), {})
    assert list(scheduler.rungs("resnet50")[0].verdicts) == [0]


@given(seed=st.integers(0, 10_000), data=st.data())
def test_replaying_the_log_gives_the_same_table(seed: int, data: st.DataObject) -> None:
    scheduler = asha()
    log, _ = run_interleaved(seed, [scheduler], 25, 9, num_backbones=2)
    # A killed search reports some epochs twice; the later row may hold another value.
    repeated = Log()
    for event in log:
        repeated.append(event)
        if data.draw(st.booleans()):
            repeated.append(data.draw(st.sampled_from(repeated))._replace(objective=0.99))
    for events in (log, repeated):
        copy = asha()
        copy.replay([RungEvent(99, "b0", 1, 0.5)])
        copy.replay(iter(events))
        assert [copy.rungs(b) for b in ("b0", "b1")] == [scheduler.rungs(b) for b in ("b0", "b1")]


@pytest.mark.parametrize(
    ("settings_given", "epochs"),
    [
        ({"min_epochs": 4, "max_epochs": 12, "reduction_factor": 3}, [4]),
        ({"min_epochs": 1, "max_epochs": 28, "reduction_factor": 3}, [1, 3, 9, 27]),
        ({"min_epochs": 1, "max_epochs": 27, "reduction_factor": 3}, [1, 3, 9]),
        ({"min_epochs": 2, "max_epochs": 9, "reduction_factor": 1.5}, [2, 3, 5, 7]),
        ({"min_epochs": 5, "max_epochs": 5, "reduction_factor": 2}, []),
    ],
)
def test_rungs_lie_below_the_last_epoch(settings_given: dict[str, Any], epochs: list[int]) -> None:
    assert [rung.epoch for rung in AshaPerBackbone(**settings_given).rungs("any")] == epochs


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_epochs": 0}, "search.min_epochs: got 0, expected at least 1"),
        ({"min_epochs": 10}, "search.min_epochs: got 10, expected at most the 9 epochs of a trial"),
        (
            {"reduction_factor": 1},
            "search.reduction_factor: got 1, expected a number above 1",
        ),
    ],
)
def test_numbers_out_of_range_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        asha(**wrong)
    assert str(caught.value) == message


def test_the_rungs_are_told_with_what_they_stopped() -> None:
    scheduler = asha(min_epochs=2)
    tell(scheduler, RungEvent(0, "resnet50", 2, 0.5))
    tell(scheduler, RungEvent(1, "resnet50", 2, 0.4))
    assert "resnet50: epoch 2: 1 of 2 stopped, cutoff 0.4667" in scheduler.debug_string()


def test_only_the_studys_metric_and_mode_are_taken() -> None:
    scheduler = asha()
    assert all(scheduler.set_search_properties(OBJECTIVE, "max") for _ in range(2))
    assert not scheduler.set_search_properties("loss", "max")
    assert not scheduler.set_search_properties(OBJECTIVE, "min")
