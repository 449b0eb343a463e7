"""A study as a whole: what it derives, what it refuses, what counts as a change of it."""

from pathlib import Path
from typing import Any

import pytest

from distill_tune.errors import InputError
from distill_tune.interfaces import plain
from distill_tune.study.arms import ARMS
from distill_tune.study.changes import differences
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text, to_yaml

TEXT = """\
study: small
data: {kind: digits, train_per_class: 20, val_per_class: 30}
backbones: [resnet18, {name: alexnet, stem: imagenet}]
trial:
  joint: {epochs: 7, margin: 0.25}
space:
  joint.margin: uniform(0.05, 0.9)
  joint.refresh: [1, 2, plateau]
  gan.lr: loguniform(1e-5, 1e-3)
"""


def study(*changes: tuple[str, str]) -> Study:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(Study, read_yaml_text(text, "small.yaml"))


def test_what_is_not_named_keeps_its_default() -> None:
    made = study()
    assert (made.search.num_trials, made.search.metric, made.search.seed) == (16, "val/accuracy", 0)
    assert (made.resources.cpus, made.resources.gpus) == (1, "auto")
    assert made.trial.classifier.epochs == 60
    assert [backbone.stem for backbone in made.backbones] == ["auto", "imagenet"]


def test_a_study_written_out_reads_back_equal() -> None:
    made = study()
    text = to_yaml(plain(made))
    again = parse(Study, read_yaml_text(text, "study.yaml"))
    assert again == made
    assert to_yaml(plain(again)) == text


@pytest.mark.parametrize(("epochs", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3), (30, 10)])
def test_every_trial_gets_a_third_of_the_epochs(epochs: int, expected: int) -> None:
    made = study(("epochs: 7", f"epochs: {epochs}"))
    assert (made.min_epochs, made.max_epochs) == (expected, epochs)


def test_min_epochs_can_be_as_many_as_the_epochs_and_no_more() -> None:
    assert study(("space:", "search: {min_epochs: 7}\nspace:")).min_epochs == 7
    with pytest.raises(InputError, match=r"search\.min_epochs: got 8, expected at most"):
        study(("space:", "search: {min_epochs: 8}\nspace:"))


def test_a_trial_has_the_params_where_their_paths_lead_and_the_template_elsewhere() -> None:
    params = {"joint.margin": 0.5, "joint.refresh": "plateau", "gan.lr": 2e-5}
    config = study().trial_config("alexnet", params)
    assert (config.joint.margin, config.joint.refresh, config.gan.lr) == (0.5, "plateau", 2e-5)
    assert config.joint.epochs == 7
    assert plain(config.backbone)["stem"] == "imagenet"
    assert config.data == study().data


def test_a_trial_without_params_is_the_template() -> None:
    assert study().trial_config("resnet18", {}).joint.margin == 0.25


def test_params_do_not_leak_from_one_trial_into_the_next() -> None:
    made = study()
    made.trial_config("resnet18", {"joint.margin": 0.9})
    assert made.trial_config("resnet18", {}).joint.margin == 0.25


def test_a_preset_changes_what_the_file_does_not_name() -> None:
    made = study(("trial:\n", "trial:\n  preset: poster_literal\n"))
    assert (made.trial.joint.pairing, made.trial.joint.feature_norm) == ("any", "none")
    assert made.trial.joint.margin == 0.25
    config = made.trial_config("resnet18", {"joint.pairing": "class"})
    assert (config.joint.pairing, config.joint.hard_rule) == ("class", "misclassified")


def test_both_ends_of_a_dimension_are_tried_on_the_trial() -> None:
    with pytest.raises(
        InputError, match=r"space\.joint\.margin: got -0\.1, expected a number >= 0"
    ):
        study(("uniform(0.05, 0.9)", "uniform(-0.1, 0.9)"))
    with pytest.raises(InputError, match=r"space\.joint\.refresh: got 0, expected"):
        study(("[1, 2, plateau]", "[1, 2, 0]"))
    with pytest.raises(InputError, match=r"space\.joint\.refresh: got 'often', expected"):
        study(("[1, 2, plateau]", "[1, 2, often]"))


def test_an_empty_space_is_a_study_of_one_configuration() -> None:
    text = TEXT[: TEXT.index("space:")] + "space:\n"
    made = parse(Study, read_yaml_text(text, "small.yaml"))
    assert made.space.dimensions == {}


@pytest.mark.parametrize("gpus", ["auto", "fit", "0", "0.25", "1", "2"])
def test_gpus_may_be_shared_or_several(gpus: str) -> None:
    made = study(("space:", f"resources: {{gpus: {gpus}}}\nspace:"))
    assert str(made.resources.gpus) in {gpus, f"{gpus}.0"}


def changed(**search: Any) -> dict[str, Any]:
    raw = plain(study())
    return {**raw, "search": {**raw["search"], **search}}


def test_equal_studies_do_not_differ() -> None:
    assert differences(plain(study()), plain(study())) == {}


def test_every_changed_leaf_is_a_line() -> None:
    new = plain(study(("0.05", "0.1"), ("train_per_class: 20, ", "")))
    new["search"]["seed"] = 3
    assert list(differences(plain(study()), new).values()) == [
        "data.train_per_class: 20 -> None",
        "space.joint.margin: 'uniform(0.05, 0.9)' -> 'uniform(0.1, 0.9)'",
        "search.seed: 0 -> 3",
    ]


def test_a_dimension_more_or_less_is_a_change() -> None:
    one, other = plain(study()), plain(study(("  gan.lr: loguniform(1e-5, 1e-3)\n", "")))
    assert differences(one, other) == {
        "space.gan.lr": "space.gan.lr: 'loguniform(1e-05, 0.001)' -> None"
    }
    assert differences(other, one) == {
        "space.gan.lr": "space.gan.lr: None -> 'loguniform(1e-05, 0.001)'"
    }


def test_more_trials_more_time_and_other_machines_are_no_change() -> None:
    new = changed(num_trials=99, time_budget_s=5.0, max_failures=0, keep_top=9)
    new["resources"] = {"cpus": 4.0, "gpus": 1.0, "max_concurrent": 2}
    assert differences(plain(study()), new) == {}


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("search_spaces/**/*.yaml")))
def test_every_shipped_space_is_a_study(path: Path) -> None:
    made = parse(Study, read_yaml_text(path.read_text(encoding="utf-8"), path.name))
    assert made.search.num_trials >= len(made.backbones)
    assert parse(Study, read_yaml_text(to_yaml(plain(made)), "study.yaml")) == made
    for backbone in made.backbones:
        for name, dimension in made.space.dimensions.items():
            for value in dimension.examples():
                made.trial_config(backbone.name, {name: value})


SETTINGS = (
    "few-digits",
    "rare-digits",
    "rare-cells",
    "confusions",
    "few-labels",
    "poster",
    "poster-gpu",
)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_the_evidence_says_its_command_its_cuts_and_its_hours(name: str) -> None:
    path = Path(__file__).parents[2] / f"search_spaces/evidence/{name}.yaml"
    text = path.read_text(encoding="utf-8")
    said = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    assert f"distill-tune search --space search_spaces/evidence/{name}.yaml" in said
    assert "Cut:" in said
    assert "Hours:" in said
    made = parse(Study, read_yaml_text(text, path.name))
    assert made.study == f"evidence-{name}"
    assert made.confirm is not None
    # Rivals are tuned as the method is, and each has something to be tuned by.
    assert made.confirm.tune_arms
    assert made.confirm.redraw
    for arm in made.confirm.arms:
        is_tuned = arm == "baseline" or ARMS[arm].dimensions(made.space.dimensions)
        assert is_tuned, arm
    assert made.confirm.seeds >= 10 or name == "poster"
    assert not str(getattr(made.data, "root", "")).startswith("/")


def test_a_range_of_values_that_is_given_is_a_trials_and_an_arms_too() -> None:
    data = "data: {kind: npz, root: a.npz, value_range: [0, 4095]}"
    made = study(("data: {kind: digits, train_per_class: 20, val_per_class: 30}", data))
    config = made.trial_config("resnet18", {"joint.margin": 0.5})
    assert getattr(config.data, "value_range", None) == (0, 4095)
    assert config.data == made.data
    assert ARMS["equal_steps"].config(config).data == made.data
