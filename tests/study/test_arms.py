"""Arms: each takes a whole configuration to its own, and searches only what matters to it."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from distill_tune.confirmation.plan import planned
from distill_tune.confirmation.tuned_arms import arm_study, tune_arms
from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError
from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.arms import ARMS, COLLAPSED, METHOD, Arm
from distill_tune.study.arms.arm import EXTRA_FIELDS, GAN_FIELDS, HARD_FIELDS, UNLABELLED_FIELDS
from distill_tune.study.dimensions import Choice
from distill_tune.study.space import SearchSpace
from distill_tune.study.study import Study
from distill_tune.study.validation import get_path, parse, read_yaml_text, to_yaml
from distill_tune.terminal.views import ConsoleViews
from distill_tune.tuning.run_options import RunOptions

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
def test_an_arm_changes_what_it_says_and_nothing_else(arm: Arm) -> None:
    before, after = plain(CONFIG), plain(arm.config(CONFIG))
    changed = {
        f"{room}.{name}"
        for room in ("classifier", "gan", "joint")
        for name in before[room]
        if before[room][name] != after[room][name]
    }
    # Fine-tuning takes a tenth of the learning rate of a training from scratch.
    as_before = {
        path for path, value in arm.changes.items() if get_path(before, path.split(".")) == value
    }
    own = {*arm.changes} - as_before
    assert changed == {*own, *(["classifier.lr"] if arm.is_fine_tuned else [])}
    assert as_before <= {"joint.extra_images"}
    assert {k: v for k, v in before.items() if not isinstance(v, dict)} == {
        k: v for k, v in after.items() if not isinstance(v, dict)
    }


@pytest.mark.parametrize("name", ["gan_augmentation", "selected_augmentation"])
@pytest.mark.parametrize("kind", ["none", "hard"])
def test_gan_augmentation_has_a_gan_also_if_the_best_configuration_has_none(
    name: str, kind: str
) -> None:
    joint = CONFIG.joint.model_copy(update={"extra_images": kind})
    assert ARMS[name].config(CONFIG.model_copy(update={"joint": joint})).joint.has_gan
    searched = {"joint.extra_images": Choice(("none", "hard", "synthetic"))}
    assert ARMS[name].dimensions(searched) == {}


def test_what_is_made_to_collapse_is_the_method_in_all_else_and_nothing_ends_it() -> None:
    ending = {"collapse_policy": "stop", "unfit_policy": "stop", "max_discriminator_gap": 0.1}
    joint = CONFIG.joint.model_copy(update=ending | {"selection": "hard"})
    found = COLLAPSED.config(CONFIG.model_copy(update={"joint": joint})).joint
    assert (found.triplet_weight, found.margin) == (joint.triplet_weight, joint.margin)
    assert (found.collapse_policy, found.unfit_policy) == ("continue", "warn")
    assert found.max_discriminator_gap is None


def test_there_is_one_method_and_the_controls_do_without_its_loss() -> None:
    assert [arm.name for arm in ARMS.values() if arm.role == "method"] == [METHOD]
    for arm in ARMS.values():
        joint = arm.config(CONFIG).joint
        if arm.role in {"baseline", "rival"}:
            assert not joint.has_gan or joint.triplet_weight == 0
        else:
            assert joint.has_gan
            assert joint.triplet_weight == 0.9


def test_a_combination_is_the_method_with_what_its_control_has_without_it() -> None:
    combinations = [arm for arm in ARMS.values() if arm.role == "combination"]
    assert len(combinations) == 4
    for arm in combinations:
        control = ARMS[arm.control]
        assert control.role == "rival"
        assert control.changes == {"joint.extra_images": "none", **arm.changes}
    assert all(not arm.control for arm in ARMS.values() if arm not in combinations)


def test_selected_augmentation_selects_whatever_the_method_does() -> None:
    joint = CONFIG.joint.model_copy(update={"selection": "none", "candidates": 6})
    method = CONFIG.model_copy(update={"joint": joint})
    plain_arm, selected = (
        ARMS[name].config(method).joint for name in ("gan_augmentation", "selected_augmentation")
    )
    assert (plain_arm.selection, selected.selection, selected.candidates) == ("none", "hard", 6)
    assert (plain_arm.triplet_weight, selected.triplet_weight) == (0, 0)


SEARCHED = STUDY.space.dimensions
EXTRA_IMAGES = {
    "hard_oversampling",
    "pseudo_labels",
    "gan_augmentation",
    "selected_augmentation",
}
"""Rivals that add images to the real ones."""


def error_of(written: dict[str, object]) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(Study, read_yaml_text(to_yaml(written), "arm.yaml"))
    return caught.value


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_an_arm_searches_what_was_searched_and_concerns_it(arm: Arm) -> None:
    own = arm_study(STUDY, arm)
    if arm.name in {METHOD, "baseline"}:
        assert own is None
        return
    assert own is not None
    # As if it had been written by hand: every dimension fits its field.
    written = plain(own)
    if arm.needs_unlabelled:
        assert "data.unlabelled" in str(error_of(written))
        written["data"]["unlabelled"] = "rest"
    again = parse(Study, read_yaml_text(to_yaml(written), "arm.yaml"))
    assert set(again.space.dimensions) == set(own.space.dimensions)
    assert own.search == STUDY.search.model_copy(update={"controls": ()})
    expected = {"classifier.weight_decay"}
    if arm.role == "combination" or arm.name in EXTRA_IMAGES:
        expected.add("joint.synthetic_ratio")
    if arm.role == "combination":
        expected.add("joint.margin")
    assert set(own.space.dimensions) == expected
    assert all(own.space.dimensions[path] == SEARCHED[path] for path in expected)


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_no_arm_searches_what_the_method_did_not(arm: Arm) -> None:
    four = {"joint.margin": "uniform(0.1, 0.5)", "joint.gan_lr": "loguniform(1e-6, 1e-4)"}
    four |= {"joint.synthetic_ratio": "uniform(0, 1)", "joint.hard_threshold": "uniform(0.1, 0.5)"}
    searched = SearchSpace.parse(four).dimensions
    assert arm.dimensions(searched).items() <= searched.items()
    # Of the poster's four parameters none makes a difference to these.
    is_free = arm.role in {"baseline", "rival"} and arm.name not in EXTRA_IMAGES
    assert bool(arm.dimensions(searched)) != is_free


def test_an_arm_with_nothing_to_tune_is_said_to_have_none(tmp_path: Path) -> None:
    text = to_yaml(plain(STUDY)).replace("classifier.weight_decay", "joint.gan_lr")
    study = parse(Study, read_yaml_text(text.replace("max: 0.1", "max: 0.01"), "space.yaml"))
    console = Console(file=io.StringIO(), width=80)
    images = study.data.load()
    directory = StudyDirectory(str(tmp_path))
    names = ("baseline", "equal_steps", METHOD)
    assert arm_study(study, ARMS["equal_steps"]) is None
    options = RunOptions(command="confirm", views=ConsoleViews(console))
    assert tune_arms(study, directory, images, names, options) == {}
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert said == "".join(
        f"search of {title}: none, because no searched param affects it\n"
        for title in ("Baseline", "Baseline, equal steps")
    )
    assert not list(tmp_path.iterdir())


def test_every_field_of_stage_3_is_known_to_concern_some_arms_or_all() -> None:
    known = GAN_FIELDS + EXTRA_FIELDS + HARD_FIELDS + UNLABELLED_FIELDS
    assert len(set(known)) == len(known)
    concerns_all = {f"joint.{name}" for name in JointTraining.model_fields} - set(known)
    assert concerns_all == {
        "joint.epochs",
        "joint.extra_images",
        "joint.classifier_lr_factor",
        "joint.monitor_images",
        "joint.monitor_every",
    }


def test_a_dimension_that_the_arm_fixes_is_not_searched() -> None:
    space = SearchSpace.parse({"joint.triplet_weight": "uniform(0, 1)", "joint.refresh": [1, 2]})
    dimensions = ARMS["hard_oversampling"].dimensions(space.dimensions)
    assert "joint.triplet_weight" not in dimensions
    assert dimensions["joint.refresh"] == Choice((1, 2))
    assert set(ARMS["gan_augmentation"].dimensions(space.dimensions)) == {"joint.refresh"}


def test_only_pseudo_labels_need_images_without_labels_and_the_study_must_have_them() -> None:
    assert [arm.name for arm in ARMS.values() if arm.needs_unlabelled] == ["pseudo_labels"]
    text = to_yaml(plain(STUDY)).replace("confirm: null\n", "confirm: {arms: [pseudo_labels]}\n")
    expected = r"images without labels for it to learn from \(data\.unlabelled\), or another choice"
    with pytest.raises(
        InputError, match=rf"confirm\.arms: got 'pseudo_labels', expected {expected}"
    ):
        parse(Study, read_yaml_text(text, "space.yaml"))
    with pytest.raises(InputError, match=rf"arms: got 'pseudo_labels', expected {expected}"):
        planned(STUDY, {"arms": "equal_steps,pseudo_labels"})
    assert "pseudo_labels" not in planned(STUDY, {"arms": "all"}).arms
    trained = to_yaml(plain(STUDY)).replace("extra_images: synthetic", "extra_images: pseudo")
    searched = to_yaml(plain(STUDY)).replace(
        "space:", "space:\n  joint.extra_images: [pseudo, none]"
    )
    for given, where in ((trained, "trial"), (searched, "space")):
        with pytest.raises(InputError, match=rf"{where}\.joint\.extra_images: got 'pseudo'"):
            parse(Study, read_yaml_text(given, "space.yaml"))
    having = text.replace("unlabelled: null", "unlabelled: rest")
    study = parse(Study, read_yaml_text(having, "space.yaml"))
    possible = tuple(name for name, arm in ARMS.items() if not arm.is_fine_tuned)
    assert planned(study, {"arms": "all"}).arms == possible


def test_an_arm_that_trains_each_backbone_differently_is_not_searched_for_all() -> None:
    def study_of(backbones: str) -> Study:
        others = read_yaml_text(f"backbones: {backbones}", "backbones.yaml").value
        text = to_yaml({**plain(STUDY), **others})
        return parse(Study, read_yaml_text(text, "space.yaml"))

    mixed = study_of("[resnet50, {name: resnet18, pretrained: true}]")
    with pytest.raises(InputError, match="got fine_tuned of resnet50 and resnet18, whose settings"):
        arm_study(mixed, ARMS["fine_tuned"])
    assert arm_study(mixed, ARMS["affine"]) is not None
    own = arm_study(study_of("[resnet50]"), ARMS["fine_tuned"])
    assert own is not None
    assert own.trial.classifier.lr == pytest.approx(STUDY.trial.classifier.lr / 10)
