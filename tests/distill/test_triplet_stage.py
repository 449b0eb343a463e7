"""The triplet pre-training with a margin and a threshold of its own; stage 3 has the trial's."""

from typing import Any

import pytest

from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData, Stage
from tests.distill.tiny import config, differences, networks, packed, run_until, trial, unpacked

OWN = {"triplet_margin": 0.3, "triplet_threshold": 0.3}
SEARCHED: dict[str, Any] = {"margin": 0.9, "hard_threshold": 0.5, "refresh": "never", "min_hard": 2}


def test_stage_2_is_that_of_a_trial_with_these_values(digits: ImageData) -> None:
    own = run_until(trial(digits, gan=OWN, joint=SEARCHED), "triplet")
    usual = {**SEARCHED, "margin": 0.3, "hard_threshold": 0.3}
    same = run_until(trial(digits, joint=usual), "triplet")
    assert differences(networks(own), networks(same)) == []
    searched = run_until(trial(digits, joint=SEARCHED), "triplet")
    assert differences(networks(own), networks(searched)) != []


def test_stage_3_has_hard_images_by_the_threshold_of_the_trial(digits: ImageData) -> None:
    own = trial(digits, gan=OWN, joint=SEARCHED)
    assert _hard_share(run_until(own, "triplet")) == pytest.approx(0.3, abs=0.05)
    report = next(own.run())
    assert report.metrics["hard/share"] == _hard_share(own) == pytest.approx(0.5, abs=0.05)


def test_an_adopted_triplet_stage_gives_the_same_trial(digits: ImageData) -> None:
    whole = trial(digits, gan=OWN, joint=SEARCHED)
    products: dict[Stage, Any] = {}
    stages: tuple[Stage, ...] = ("classifier", "warmup", "triplet")
    for stage in stages:
        # Another trial computes what it shares with this one: the searched values do not enter.
        other = trial(digits, gan=OWN, joint={**SEARCHED, "margin": 0.1, "hard_threshold": 0.2})
        for before, product in products.items():
            other.adopt(before, product)
        for _ in other.run_stage(stage):
            pass
        products[stage] = unpacked(packed(other.product(stage)))
    adopting = trial(digits, gan=OWN, joint=SEARCHED)
    for stage, product in products.items():
        adopting.adopt(stage, product)
    ends = [list(one.run())[-1].metrics for one in (whole, adopting)]
    assert ends[0] == ends[1]
    assert differences(networks(whole), networks(adopting)) == []


@pytest.mark.parametrize("epochs_done", [0, 1])
def test_a_resumed_trial_is_the_same(digits: ImageData, epochs_done: int) -> None:
    whole = trial(digits, gan=OWN, joint=SEARCHED)
    saved = b""
    for report in whole.run():
        if (report.stage, report.step) == ("joint" if epochs_done else "triplet", epochs_done or 3):
            saved = packed(whole.state_dict())
            last = report
    resumed = trial(digits, gan=OWN, joint=SEARCHED)
    resumed.load_state_dict(unpacked(saved))
    assert last.stage == ("joint" if epochs_done else "triplet")
    list(resumed.run())
    assert differences(whole.state_dict(), resumed.state_dict()) == []


def test_without_values_of_its_own_the_stage_has_the_whole_configuration() -> None:
    usual = config()
    assert usual.in_triplet_stage is usual
    own = config(gan=OWN).in_triplet_stage
    assert (own.joint.margin, own.joint.hard_threshold) == (0.3, 0.3)
    assert own.gan == usual.gan


def _hard_share(running: Trial) -> float:
    assert running.state.sets is not None
    return running.state.sets.hard.float().mean().item()
