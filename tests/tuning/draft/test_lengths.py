"""Trials of other lengths: every stage grows with its steps."""

from itertools import pairwise

import pytest

from distill_tune.tuning.draft.lengths import LADDER, USUAL, Lengths, scaled
from distill_tune.tuning.dry_run.forecast import TrialCost

STAGES = {"setup": 0.5, "classifier": 12.0, "warmup": 40.0, "triplet": 3.0, "joint": 20.0}
COST = TrialCost(STAGES, checkpoint_bytes=300, model_bytes=90)


def test_the_measured_lengths_cost_what_was_measured() -> None:
    assert scaled(COST, USUAL, USUAL, 1).stages_s == pytest.approx(STAGES)


def test_each_stage_grows_with_its_own_steps() -> None:
    longer = Lengths(40, 24, 750, 300, 15, 99)
    assert scaled(COST, USUAL, longer, 2).stages_s == pytest.approx(
        {"setup": 0.5, "classifier": 48, "warmup": 20, "triplet": 6, "joint": 60}
    )


def test_the_ladder_goes_down() -> None:
    for longer, shorter in pairwise(LADDER):
        assert all(a >= b for a, b in zip(longer, shorter, strict=True))
        assert longer != shorter
