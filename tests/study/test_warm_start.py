"""Warm start: what is taken over from another study, what is refused, and whether it helped."""

from pathlib import Path
from typing import Any

import pytest

from distill_tune.confirmation.tuned_arms import _sampler, arm_study
from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.arms import ARMS
from distill_tune.study.opened_study import WarmStartRequest, warm_started
from distill_tune.study.opening import check_same, read_study, stored_study
from distill_tune.study.space import Choice, Dimension, LogUniform, RandInt, SearchSpace, Uniform
from distill_tune.study.study import Study
from distill_tune.study.validation import to_yaml
from distill_tune.study.warm_start import WarmStart, warm_start, warm_start_outcomes
from distill_tune.tuning.tuner import make_sampler
from tests.refusals import GOOD, search, write

SPACE: dict[str, Dimension] = {
    "joint.margin": Uniform(0.05, 0.9),
    "joint.gan_lr": LogUniform(1e-6, 2e-4),
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def add(
    study: str, number: int, value: float | None, status: str = "complete", **fields: Any
) -> None:
    """Record a trial of ``resnet50``; ``backbone`` and params by their last names as wanted."""
    backbone = fields.pop("backbone", "resnet50")
    head = {"trial": number, "name": f"{backbone}-{number:04d}", "backbone": backbone}
    params = {f"joint.{name}": at for name, at in fields.items()}
    directory = StudyDirectory(study)
    directory.append({"event": "trial_started", **head, "params": params})
    if value is not None:
        metrics = {"objective": value}
        directory.append({"event": "epoch", "trial": number, "epoch": 1, "metrics": metrics})
    directory.append({"event": "trial_ended", "trial": number, "status": status})


def old_study() -> None:
    """Write a study of which trial 3 is the best, then 1, then 2, which was pruned."""
    Path("old").mkdir()
    Path("old/study.yaml").touch()
    add("old", 0, None, "failed", margin=0.1, gan_lr=1e-5)
    add("old", 1, 0.7, margin=0.2, gan_lr=1e-5)
    add("old", 2, 0.9, "pruned", margin=0.3, gan_lr=1e-5)
    add("old", 3, 0.8, margin=0.4, gan_lr=1e-5)


def started(count: int = 3, space: dict[str, Dimension] | None = None, *names: str) -> WarmStart:
    return warm_start(StudyDirectory("old"), names or ("resnet18",), space or SPACE, count)


def margins(found: WarmStart, backbone: str = "resnet18") -> list[Any]:
    return [point["joint.margin"] for point in found.points[backbone]]


def test_the_best_come_first_complete_before_pruned_and_no_failed_one() -> None:
    old_study()
    assert margins(started()) == [0.4, 0.2, 0.3]
    assert margins(started(5)) == [0.4, 0.2, 0.3], "there are no more"
    one = started(1)
    assert one.points == {"resnet18": ({"joint.margin": 0.4, "joint.gan_lr": 1e-5},)}
    assert one.words == "warm start from old: resnet18 tries resnet50-0003 first"


def test_a_backbone_begins_with_its_own_best_any_other_with_all_winners_in_turn() -> None:
    old_study()
    add("old", 4, 0.95, backbone="alexnet", margin=0.5, gan_lr=1e-5)
    add("old", 5, 0.94, backbone="alexnet", margin=0.4, gan_lr=1e-5)
    add("old", 6, 0.93, backbone="alexnet", margin=0.6, gan_lr=1e-5)
    found = started(4, None, "resnet18", "alexnet")
    assert margins(found) == [0.4, 0.5, 0.2, 0.3], "none of them twice"
    assert margins(found, "alexnet") == [0.5, 0.4, 0.6, 0.2], "its own three, then another's"


def test_what_is_missing_is_sampled_and_what_lies_outside_is_left_out() -> None:
    old_study()
    add("old", 4, 0.99, margin=0.95, gan_lr=0.0, refresh=2.0)
    space: dict[str, Dimension] = {
        "joint.margin": Uniform(0.05, 0.9),
        "joint.gan_lr": LogUniform(1e-6, 1, or_zero=0.1),
        "joint.refresh": Choice((1, 2)),
        "gan.steps": RandInt(1, 4),
    }
    found = started(2, space)
    assert found.points["resnet18"] == (
        {"joint.gan_lr": 0.0},
        {"joint.margin": 0.4, "joint.gan_lr": 1e-5},
    )
    assert found.words == (
        "warm start from old: resnet18 tries resnet50-0004, resnet50-0003 first; not searched "
        "there, so sampled: gan.steps; outside the space, so left out: joint.margin=0.95, "
        "joint.refresh=2.0"
    )


def new_study(count: int | None = 2, **more: str) -> Study:
    """Return a warm-started study of resnet18."""
    text = GOOD
    for old, new in more.items():
        text = text.replace(old, new)
    Path("bad.yaml").write_text(text, encoding="utf-8")
    return warm_started(read_study(Path("bad.yaml"), [], {})[0], WarmStartRequest("old", count))[0]


def proposals(study: Study) -> list[Any]:
    sampler = make_sampler(study)
    return [sampler.suggest(f"t{number}") for number in range(4)]


def test_they_are_proposed_first_then_the_studys_own_values_then_others() -> None:
    old_study()
    study = new_study()
    proposed = [one["params"] for one in proposals(study)]
    assert proposed[:2] == [
        {"joint.margin": 0.4, "joint.gan_lr": 1e-5},
        {"joint.margin": 0.2, "joint.gan_lr": 1e-5},
    ]
    own = study.trial.joint
    assert proposed[2] == {"joint.margin": own.margin, "joint.gan_lr": own.gan_lr}
    assert proposed[3] not in proposed[:3]


def test_the_studys_own_values_are_not_tried_twice() -> None:
    old_study()
    own = new_study(1).trial.joint
    add("old", 4, 0.99, margin=own.margin, gan_lr=own.gan_lr)
    proposed = [one["params"]["joint.margin"] for one in proposals(new_study(1))]
    assert proposed.count(own.margin) == 1


def test_an_arms_own_search_begins_with_what_makes_a_difference_to_it() -> None:
    old_study()
    add("old", 4, 0.99, margin=0.6, gan_lr=1e-5, refresh=2)
    study = new_study(1, **{"search:": "  joint.refresh: [1, 2]\nsearch:"})
    arm = arm_study(study, ARMS["hard_oversampling"])
    assert arm is not None
    assert arm.search.first_points == {"resnet18": ({"joint.refresh": 2},)}
    assert kept(arm).exists()
    assert stored_study(StudyDirectory("runs/bad"))[0] == arm


def kept(study: Study) -> StudyDirectory:
    directory = StudyDirectory("runs/bad")
    directory.write_text("study.yaml", to_yaml(plain(study)))
    directory.append({"event": "session_started", "command": "search", "study": plain(study)})
    return directory


def test_a_resume_proposes_the_same_whatever_became_of_the_other_study() -> None:
    old_study()
    study = new_study()
    directory = kept(study)
    add("old", 4, 0.99, margin=0.6, gan_lr=1e-5)
    assert proposals(stored_study(directory)[0]) == proposals(study)
    # The copy for people is a study that can be searched by itself.
    again = read_study(Path("runs/bad/study.yaml"), [], {})[0]
    assert again == study
    assert check_same(directory, again) == []


def test_another_warm_start_is_refused_as_another_space_is() -> None:
    old_study()
    kept(new_study(1))
    expected = [
        "runs/bad: the study was started with other settings:",
        "  search.first_points.resnet18: [{'joint.margin': 0.4, 'joint.gan_lr': 1e-05}] -> None",
        "Undo these changes, or give the new study another --name.",
    ]
    assert search("--resume").splitlines() == expected
    add("old", 4, 0.99, margin=0.6, gan_lr=1e-5)
    more = search("--resume", "--warm-start", "old", "--warm-start-trials", "1").splitlines()
    assert more[1].endswith("-> [{'joint.margin': 0.6, 'joint.gan_lr': 1e-05}]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--warm-start", "odl"],
            "--warm-start: got 'odl', expected the directory of a study. Did you mean 'old'?",
        ),
        (
            ["--warm-start", "empty"],
            (
                "--warm-start: got empty, none of whose 1 trials ended with a value, expected a "
                "study with results"
            ),
        ),
        (
            ["--warm-start", "alien"],
            (
                "--warm-start: got alien, which searched joint.refresh, expected a study that "
                "shares a dimension of this one (joint.margin, joint.gan_lr)"
            ),
        ),
        (
            ["--warm-start", "beyond"],
            (
                "--warm-start: got beyond, whose values all lie outside this study's space, "
                "expected a study with a value inside of it"
            ),
        ),
        (
            ["--warm-start-trials", "2"],
            "--warm-start-trials: got 2, expected --warm-start beside it",
        ),
    ],
)
def test_what_cannot_be_started_from_is_refused(arguments: list[str], message: str) -> None:
    old_study()
    write()
    for name in ("empty", "alien", "beyond"):
        Path(name).mkdir()
        Path(f"{name}/study.yaml").touch()
    add("empty", 0, None, "failed", margin=0.1)
    add("alien", 0, 0.5, refresh=2)
    add("beyond", 0, 0.5, margin=7.0, gan_lr="small")
    assert search(*arguments) == message


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            "{resnet81: [{joint.margin: 0.3}]}",
            (
                "search.first_points: got 'resnet81', expected a backbone of the study. Did you "
                "mean 'resnet18'?"
            ),
        ),
        (
            "{resnet18: [{joint.margni: 0.3}]}",
            (
                "search.first_points.resnet18.0: got 'joint.margni', expected a dimension of the "
                "space. Did you mean 'joint.margin'?"
            ),
        ),
        (
            "{resnet18: [{joint.margin: 0.3}, {joint.margin: true}]}",
            (
                "search.first_points.resnet18.1.joint.margin: got True, expected a value of "
                "uniform(0.05, 0.9)"
            ),
        ),
    ],
)
def test_points_written_by_hand_are_checked(points: str, message: str) -> None:
    write("num_trials: 6", f"num_trials: 6, first_points: {points}")
    said = search()
    assert said.startswith("bad.yaml:11:")
    assert said.endswith(f": {message}")


def test_points_written_by_hand_are_not_replaced_by_those_of_another_study() -> None:
    old_study()
    write("num_trials: 6", "num_trials: 6, first_points: {resnet18: [{joint.margin: 0.3}]}")
    said = search("--warm-start", "old")
    assert said == (
        "bad.yaml:11:39: search.first_points: got points of its own, expected none beside "
        "--warm-start, which sets them"
    )


def test_an_arm_has_as_many_trials_as_the_method_had_and_no_rule_or_budget() -> None:
    limits = "num_trials: 6, time_budget_s: 9, stop: {value: 0}"
    write("num_trials: 6", limits)
    study, _ = read_study(Path("bad.yaml"), [], {})
    for number, expected in ((None, 6), (4, 4)):
        arm = arm_study(study, ARMS["gan_augmentation"], number)
        assert arm is not None
        assert arm.search.num_trials == expected
        assert (arm.search.stop.limits, arm.search.time_budget_s) == ({}, None)


def test_an_arms_search_that_has_begun_keeps_its_sampler() -> None:
    write("search:", "  joint.classifier_lr_factor: [0.3, 1.0]\nsearch:")
    study, _ = read_study(Path("bad.yaml"), [], {})
    first, later = (arm_study(study, ARMS["affine"], None, sampler) for sampler in (None, "tpe"))
    assert first is not None
    assert later is not None
    # Two points, each of which a grid would try once.
    assert (first.search.sampler, first.search.num_trials) == ("grid", 2)
    assert (later.search.sampler, later.search.num_trials) == ("tpe", 6)
    assert _sampler(StudyDirectory("runs/bad")) is None
    assert _sampler(kept(later)) == "tpe"


def outcome(*values: float | None, num_points: int = 2, backbones: tuple[str, ...] = ("a",)) -> Any:
    """Return the sentences on a study whose trials ended with these values, None for failed."""
    for number, value in enumerate(values):
        status = "failed" if value is None else "complete"
        add("new", number, value, status, backbone=backbones[number % len(backbones)])
    terms = {
        "backbones": [{"name": name} for name in backbones],
        "search": {"first_points": {"a": [{}] * num_points}},
    }
    found = warm_start_outcomes(terms, StudyDirectory("new").state())
    return [one.sentence for one in found]


CHANCE = "(validation values of one search, subject to chance)"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            (0.5, 0.8, 0.7),
            (
                "the best of 2 warm-started trials has 0.8000 (trial 1), the best of 1 other "
                f"0.7000 (trial 2); it gave the study's best {CHANCE}"
            ),
        ),
        (
            (0.5, None, 0.7, 0.6),
            (
                "the best of 2 warm-started trials has 0.5000 (trial 0), the best of 2 others "
                f"0.7000 (trial 2); it did not give the study's best {CHANCE}"
            ),
        ),
        (
            (0.5, 0.5, 0.5),
            (
                "the best of 2 warm-started trials has 0.5000 (trial 0), the best of 1 other "
                f"0.5000 (trial 2); it was as good as the others {CHANCE}"
            ),
        ),
        ((0.5,), "nothing to compare, as no other trial ended with a value"),
        ((None, None, 0.5), "nothing to compare, as no warm-started trial ended with a value"),
    ],
)
def test_whether_it_helped_is_said_in_a_sentence(
    values: tuple[float | None, ...], words: str
) -> None:
    assert outcome(*values) == [f"warm start of a: {words}"]


def test_only_the_backbones_that_were_started_warm_are_told_of() -> None:
    (said,) = outcome(0.1, 0.9, 0.2, 0.9, 0.3, 0.9, backbones=("a", "b"))
    assert "best of 2 warm-started trials has 0.2000 (trial 2), the best of 1 other" in said
    state = StudyDirectory("new").state()
    for strange in ({}, {"search": {"first_points": 3}, "backbones": []}, {"search": None}):
        assert warm_start_outcomes(strange, state) == ()


def test_a_dimension_holds_what_it_can_propose_and_nothing_else() -> None:
    space = SearchSpace.parse(
        {
            "a": {"type": "loguniform", "min": 1e-6, "max": 2e-4, "or_zero": 0.1},
            "b": "randint(1, 4)",
        }
        | {"c": [1, "x", None]}
    ).dimensions
    inside: dict[str, list[Any]] = {"a": [0, 0.0, 1e-6, 2e-4], "b": [1, 4], "c": [1, "x", None]}
    outside: dict[str, list[Any]] = {
        "a": [1e-7, 1, -1e-5, "0", None, False, float("nan")],
        "b": [0, 5, 2.0, True],
        "c": [True, 1.0, "y", []],
    }
    for name, dimension in space.items():
        assert all(map(dimension.holds, inside[name]))
        assert not any(map(dimension.holds, outside[name]))
