"""Finalists in a study's log: the winner is the one with the highest mean."""

from typing import Any

import pytest

from distill_tune.records.extras.finalists import finalist_sentence, finalists_json
from distill_tune.records.extras.runs import comparison
from distill_tune.records.replay import Fold, fold
from distill_tune.records.trials import Event, best, best_of_one_seed

SEEDS = [0, 10_001, 10_002]


def trial(number: int, value: float) -> list[Event]:
    name = f"alexnet-{number:04d}"
    return [
        {"event": "trial_started", "trial": number, "name": name, "backbone": "alexnet"},
        {"event": "epoch", "trial": number, "epoch": 1, "metrics": {"objective": value}},
        {"event": "trial_ended", "trial": number, "status": "complete", "reason": ""},
    ]


def run(number: int, seed: int, value: float, status: str = "complete") -> list[Event]:
    name = f"finalist-alexnet-{number:04d}-seed{seed}"
    kind = {"name": name, "kind": "finalist", "arm": "gan_distillation", "words": ""}
    return [
        {"event": "extra_started", **kind, "seed": seed, "trial": number, "backbone": "alexnet"},
        {"event": "extra_epoch", "name": name, "epoch": 1, "metrics": {"objective": value}},
        {"event": "extra_ended", "name": name, "status": status, "reason": ""},
    ]


PLAN: Event = {"event": "finalists", "backbone": "alexnet", "trials": [0, 1], "seeds": SEEDS}
TRIALS = [*trial(0, 0.82), *trial(1, 0.8), *trial(2, 0.5)]
RUNS = [*run(0, 10_001, 0.7), *run(1, 10_001, 0.79), *run(0, 10_002, 0.73)]
LAST = run(1, 10_002, 0.78)


def log(*events: Event) -> list[Event]:
    return [{"time": float(n), "params": {}, **event} for n, event in enumerate(events)]


def test_the_winner_is_known_once_all_have_run() -> None:
    before = fold(log(*TRIALS, PLAN, *RUNS, *LAST[:2]))
    assert before.finalists == {}
    so_far = best(before, "alexnet")
    assert so_far is not None
    assert so_far.number == 0
    after = fold(log(*TRIALS, PLAN, *RUNS, *LAST))
    first, second = after.finalists["alexnet"]
    assert (first.name, second.name) == ("alexnet-0001", "alexnet-0000")
    assert first.values == {0: 0.8, 10_001: 0.79, 10_002: 0.78}
    assert first.mean == pytest.approx(0.79)
    assert first.spread == pytest.approx(0.01)
    winner = best(after, "alexnet")
    assert winner is not None
    assert winner.number == 1


def test_it_says_what_the_first_seed_would_have_chosen() -> None:
    after = fold(log(*TRIALS, PLAN, *RUNS, *LAST))
    assert finalist_sentence(after, "alexnet") == (
        "trial alexnet-0001 has the highest mean of 2 finalists on 3 seeds, 0.7900 ± 0.010; the "
        "first seed alone would have chosen alexnet-0000 (0.8200)"
    )
    assert finalist_sentence(fold(log(*TRIALS)), "alexnet") == ""
    assert comparison(after, "alexnet") == ""
    (plain,) = finalists_json(after.finalists).values()
    assert plain[0]["values"] == {"0": 0.8, "10001": 0.79, "10002": 0.78}


def test_a_failed_seed_comes_behind_all_that_did_not_fail() -> None:
    failed = run(1, 10_002, 0.99, status="failed")
    first, second = fold(log(*TRIALS, PLAN, *RUNS, *failed)).finalists["alexnet"]
    assert (first.trial, second.trial, second.num_failed) == (0, 1, 1)
    assert second.values[10_002] is None
    assert second.mean == pytest.approx(0.795)


def test_a_new_trial_reopens_the_choice_until_finalists_are_named_again() -> None:
    events = [*TRIALS, PLAN, *RUNS, *LAST, *trial(3, 0.9)]
    again = fold(log(*events))
    assert again.finalists == {}
    winner = best(again, "alexnet")
    assert winner is not None
    assert winner.number == 3
    # Of three finalists, two have run.
    wider = {**PLAN, "trials": [3, 0, 1]}
    assert fold(log(*events, wider)).finalists == {}
    more = [*run(3, 10_001, 0.6), *run(3, 10_002, 0.6)]
    found = fold(log(*events, wider, *more)).finalists["alexnet"]
    assert [one.trial for one in found] == [1, 0, 3]


def test_a_plan_of_trials_that_the_log_lost_ranks_nobody() -> None:
    study = Fold()
    for event in log({**PLAN, "trials": [7]}):
        assert study.add(event)
    assert study.state.finalists == {}
    assert best_of_one_seed(study.state, "alexnet") is None


def test_event_by_event_it_comes_to_the_same() -> None:
    study: Any = Fold()
    events = log(*TRIALS, PLAN, *RUNS, *LAST)
    for count, event in enumerate(events, start=1):
        study.add(event)
        assert study.state == fold(events[:count])
