"""The configuration of a trial: presets, what is refused, what a plain copy keeps."""

from typing import Any

import pytest
from pydantic import ValidationError

from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.gans import Sngan
from distill_tune.distill.trial_config import PRESETS, TrialConfig, TrialTemplate
from distill_tune.interfaces import plain
from tests.distill.tiny import SMALL, config

LITERAL = {
    "hard_rule": "misclassified",
    "pairing": "any",
    "feature_norm": "none",
    "batch_norm": "mixed",
    "margin_unit": "feature",
    "unfit_policy": "warn",
}


def fields(joint: JointTraining) -> dict[str, Any]:
    return {name: getattr(joint, name) for name in LITERAL}


@pytest.mark.parametrize("steps", [0, -3])
def test_the_discriminator_is_trained_in_every_step(steps: int) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Sngan(discriminator_steps=steps)


def test_the_safe_preset_is_the_defaults() -> None:
    assert TrialTemplate() == TrialTemplate(preset="safe")
    assert fields(TrialTemplate().joint) == {
        "hard_rule": "quantile",
        "pairing": "assign",
        "feature_norm": "scale",
        "batch_norm": "split",
        "margin_unit": "relative",
        "unfit_policy": "scale",
    }


def test_the_defaults_are_the_methods_numbers() -> None:
    joint = JointTraining()
    assert (joint.margin, joint.synthetic_ratio) == (0.3, 0.5)
    assert (joint.hard_threshold, joint.gan_lr) == (0.3, 5e-5)
    assert (joint.refresh, joint.label_smoothing, joint.collapse_policy) == (2, 0.1, "continue")


def test_the_poster_literal_preset_is_the_posters_formula() -> None:
    assert fields(TrialTemplate(preset="poster_literal").joint) == LITERAL
    assert config(preset="poster_literal").joint.epochs == SMALL["joint"]["epochs"]  # type: ignore[index]


def test_what_a_user_names_himself_wins_over_the_preset() -> None:
    values = {"preset": "poster_literal", "joint": {"pairing": "class", "margin": 2.0}}
    joint = TrialTemplate.model_validate(values).joint
    assert fields(joint) == {**LITERAL, "pairing": "class"}
    assert joint.margin == 2


def test_a_preset_reaches_a_part_that_is_given_as_an_object() -> None:
    named = JointTraining(pairing="class", margin=2.0)
    joint = TrialTemplate(preset="poster_literal", joint=named).joint
    assert fields(joint) == {**LITERAL, "pairing": "class"}
    assert joint.margin == 2


def test_a_plain_copy_of_a_configuration_is_the_same_configuration() -> None:
    for changes in ({}, {"preset": "poster_literal", "joint": {"pairing": "assign"}}):
        original = config(**changes)
        assert TrialConfig.model_validate(plain(original)) == original


def test_every_preset_names_fields_that_exist() -> None:
    for name, preset in PRESETS.items():
        assert preset.keys() <= JointTraining.model_fields.keys(), name
        JointTraining.model_validate(preset)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("joint", "refresh", 0),
        ("joint", "refresh", "often"),
        ("joint", "margin", -0.1),
        ("joint", "margin", float("nan")),
        ("joint", "hard_threshold", 0.0),
        ("joint", "hard_threshold", 1.0),
        ("joint", "gan_lr", -1e-5),
        ("joint", "synthetic_ratio", 9.0),
        ("joint", "monitor_images", 19),
        ("joint", "monitor_every", 0),
        ("joint", "colapse_policy", "stop"),
        ("classifier", "epochs", 0),
        ("classifier", "batch_size", 1),
        ("classifier", "lr", 0.0),
        ("gan", "batch_size", 1),
        ("gan", "ema_decay", 1.0),
        ("gan", "kind", "biggan"),
    ],
)
def test_a_value_out_of_range_is_refused_at_its_place(part: str, field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**{part: {field: value}})
    assert part in str(caught.value)


def test_refresh_takes_a_number_and_two_words() -> None:
    for refresh in (1, 7, "plateau", "never"):
        assert config(joint={"refresh": refresh}).joint.refresh == refresh


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        config().joint.__setattr__("margin", 0.5)
