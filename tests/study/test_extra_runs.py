"""Controls of a search: which runs they are, and with what configuration."""

import pytest

from distill_tune.errors import InputError
from distill_tune.study.arms import ARMS
from distill_tune.study.changes import completed, differences
from distill_tune.study.extra_runs import control_runs, proposed_config
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from tests.commands import STUDY


def study(controls: str, more: str = "") -> Study:
    text = STUDY.replace("controls: []", f"controls: {controls}") + more
    return parse(Study, read_yaml_text(text, "tiny.yaml"))


def test_the_default_is_the_baseline_of_equal_steps() -> None:
    text = STUDY.replace(", controls: []", "")
    assert parse(Study, read_yaml_text(text, "tiny.yaml")).search.controls == ("equal_steps",)


def test_each_arm_is_run_once_per_backbone_in_the_order_of_the_tables() -> None:
    names = [run.name for run in control_runs(study("[strong_augmentation, baseline]"))]
    assert names == [
        "control-squeezenet1_1-baseline",
        "control-squeezenet1_1-strong_augmentation",
        "control-shufflenet_v2_x0_5-baseline",
        "control-shufflenet_v2_x0_5-strong_augmentation",
    ]
    assert control_runs(study("[]")) == []


def test_a_control_has_the_fields_of_the_study_and_the_changes_of_its_arm() -> None:
    found = study("[equal_steps]")
    (run, _) = control_runs(found)
    config = proposed_config(found, run.proposal(0))
    own = found.trial_config(run.backbone, {})
    assert config.joint.extra_images == "none"
    assert config == ARMS["equal_steps"].config(own)
    assert config.seed == own.seed


def test_a_trial_keeps_its_configuration() -> None:
    found, params = study("[]"), {"joint.margin": 0.25}
    proposal = {"backbone": "squeezenet1_1", "number": 3, "params": params}
    assert proposed_config(found, proposal) == found.trial_config("squeezenet1_1", params)


def test_numbers_of_controls_are_no_numbers_of_trials() -> None:
    runs = control_runs(study("[baseline, equal_steps]"))
    numbers = [run.proposal(index)["number"] for index, run in enumerate(runs)]
    assert numbers == [-1, -2, -3, -4]


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ("[equal_step]", r"search\.controls: got .*Did you mean 'equal_steps'\?"),
        ("[pseudo_labels]", r"search\.controls: got 'pseudo_labels', expected images without"),
    ],
)
def test_a_control_that_cannot_run_is_refused(controls: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        study(controls)


def test_an_older_study_goes_on_as_it_began_and_may_be_given_controls() -> None:
    old = {"study": "s", "search": {"num_trials": 3}}
    assert completed(old)["search"] == {
        "num_trials": 3,
        "controls": [],
        "triplet": "per_trial",
    }
    more = {"controls": ["baseline"], "triplet": "per_trial"}
    new = {"study": "s", "search": {"num_trials": 3, **more}}
    assert completed(new) == new
    assert completed(None) is None
    assert differences(completed(old), new) == {}


def test_the_phrase_of_an_arm_reads_well_within_a_sentence() -> None:
    assert ARMS["equal_steps"].phrase == "equal steps without a GAN"
    assert ARMS["baseline"].phrase == "stage 1 alone"
    assert ARMS["strong_augmentation"].phrase == "strong augmentation"
    assert ARMS["gan_augmentation"].phrase == "GAN augmentation"
