"""Arms: each takes a whole configuration to its own, and searches only what matters to it."""

import pytest

from distill_tune.arms import ARMS, METHOD
from distill_tune.config import parse, read_yaml_text, to_yaml
from distill_tune.dimensions import Choice
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import plain
from distill_tune.search.tune_arms import arm_study
from distill_tune.space import SearchSpace, parse_dimension
from distill_tune.study import Study

CONFIG = TrialConfig.model_validate(
    {
        "data": {"kind": "digits"},
        "backbone": "resnet50",
        "joint": {"synthetic_ratio": 0.7, "triplet_weight": 0.9, "margin": 0.4},
        "seed": 3,
    }
)
STUDY = parse(
    Study,
    read_yaml_text(
        """
study: some
data: {kind: digits}
backbones: [resnet50]
space:
  joint.margin: uniform(0.1, 0.5)
  joint.synthetic_ratio: uniform(0, 1)
  classifier.weight_decay: loguniform(0.001, 0.1)
""",
        "space.yaml",
    ),
)


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_an_arm_changes_what_it_says_and_nothing_else(arm) -> None:  # type: ignore[no-untyped-def]
    before, after = plain(CONFIG), plain(arm.config(CONFIG))
    changed = {
        f"{room}.{name}"
        for room in ("classifier", "gan", "joint")
        for name in before[room]
        if before[room][name] != after[room][name]
    }
    assert changed == set(arm.changes)
    assert {k: v for k, v in before.items() if not isinstance(v, dict)} == {
        k: v for k, v in after.items() if not isinstance(v, dict)
    }


def test_there_is_one_method_and_the_controls_do_without_its_loss() -> None:
    assert [arm.name for arm in ARMS.values() if arm.role == "method"] == [METHOD]
    for arm in ARMS.values():
        joint = arm.config(CONFIG).joint
        if arm.role in {"baseline", "rival"}:
            assert not joint.has_gan or joint.triplet_weight == 0
        else:
            assert joint.has_gan
            assert joint.triplet_weight == 0.9


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_the_space_of_an_arm_makes_a_difference_to_it(arm) -> None:  # type: ignore[no-untyped-def]
    own = arm_study(STUDY, arm)
    if arm.name in {METHOD, "baseline"}:
        assert own is None
        return
    assert own is not None
    # As if it had been written by hand: every dimension fits its field.
    again = parse(Study, read_yaml_text(to_yaml(plain(own)), "arm.yaml"))
    assert set(again.space.dimensions) == set(own.space.dimensions)
    assert own.search == STUDY.search
    searched = set(own.space.dimensions)
    assert "classifier.weight_decay" in searched
    assert ("joint.margin" in searched) == (arm.role == "combination")
    assert not searched & set(arm.changes) - set(arm.own_space)


def test_what_the_study_searches_keeps_its_range_in_an_arm() -> None:
    own = arm_study(STUDY, ARMS["gan_augmentation"])
    assert own is not None
    expected = parse_dimension("space.x", "uniform(0, 1)")
    assert own.space.dimensions["joint.synthetic_ratio"] == expected


def test_a_dimension_that_the_arm_fixes_is_not_searched() -> None:
    space = SearchSpace.parse({"joint.triplet_weight": "uniform(0, 1)", "joint.refresh": [1, 2]})
    dimensions = ARMS["hard_oversampling"].dimensions(space.dimensions)
    assert "joint.triplet_weight" not in dimensions
    assert dimensions["joint.refresh"] == Choice((1, 2))
