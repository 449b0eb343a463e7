"""The written text: a study with a reason for each field."""

import pytest

from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.draft.case import Case, Machine, Wish
from distill_tune.tuning.draft.lengths import LADDER, USUAL, Lengths
from distill_tune.tuning.draft.study_text import study_text
from tests.tuning.draft.cases import GPUS, LAPTOP, SERVER, case, facts

CASES = [
    case(facts(174, 182), size=8),
    case(facts(*[1200] * 10, has_test=True), GPUS),
    case(facts(*[60] * 1000, side=512), GPUS, size=64),
    case(facts(*[60] * 1000), SERVER),
    case(facts(3, 4, side=200), LAPTOP),
    case(facts(9, 4000, is_grey=True, colour_share=0.5), LAPTOP),
    case(facts(90, 90, val_counts=(30, 40), has_test=True), LAPTOP),
]


def written(one: Case, lengths: Lengths = USUAL) -> str:
    return study_text("my", one, lengths)


def study_of(text: str) -> Study:
    return parse(Study, read_yaml_text(text, "my.yaml"))


def line_of(text: str, field: str) -> str:
    """Return the last line with a field, its spaces reduced."""
    lines = [line for line in text.splitlines() if line.strip().startswith(f"{field}:")]
    return " ".join(lines[-1].split()) if lines else ""


@pytest.mark.parametrize("one", CASES)
@pytest.mark.parametrize("lengths", LADDER)
def test_every_text_is_a_study_of_the_decided_values(one: Case, lengths: Lengths) -> None:
    study = study_of(written(one, lengths))
    assert study.study == "my"
    assert study.data.image_size == one.size
    assert study.data.train_per_class == one.splits(lengths).train_per_class
    assert study.trial.joint.epochs == lengths.joint_epochs
    assert study.trial.gan.warmup_limit == lengths.warmup_steps
    assert study.search.num_trials == lengths.num_trials
    assert study.trial.classifier.batch_size <= sum(one.splits(lengths).train)
    assert list(study.space.dimensions) == [
        "joint.margin",
        "joint.synthetic_ratio",
        "joint.hard_threshold",
        "joint.gan_lr",
    ]


def test_nearly_every_field_has_a_reason() -> None:
    text = written(CASES[0])
    silent = [line for line in text.splitlines() if "#" not in line]
    expected = ["root", "trial", "search", "resources"]
    assert [line.split(":")[0].strip() for line in silent] == expected
    assert max(map(len, text.splitlines())) <= 140


def test_the_metric_follows_the_classes_and_the_user() -> None:
    assert "metric: val/accuracy #" in line_of(written(case(facts(90, 100))), "metric")
    uneven = line_of(written(case(facts(60, 100))), "metric")
    decide = "# DECIDE: every class counts equally (60 to 100 images); or val/accuracy"
    assert uneven == f"metric: val/balanced_accuracy {decide}"
    for is_balanced, name in ((False, "val/accuracy"), (True, "val/balanced_accuracy")):
        said = case(facts(60, 100), wish=Wish(is_balanced=is_balanced))
        assert line_of(written(said), "metric") == f"metric: {name} # as you said"


def test_a_mirrored_image_is_for_the_user_to_judge() -> None:
    assert line_of(written(case(facts(60, 60))), "flip").startswith(
        "flip: true # DECIDE: whether a mirrored image"
    )
    said = written(case(facts(60, 60), wish=Wish(flips=False)))
    assert line_of(said, "flip") == "flip: false # whether a mirrored image keeps its meaning"
    assert "DECIDE" not in said
    known = written(case(facts(60, 60, fields={"kind": "digits"}, flips=False)))
    assert line_of(known, "flip") == ""
    assert study_of(known).data.flip is False


def test_fields_that_the_user_gives_are_kept() -> None:
    fields = {"kind": "npz", "root": "/x/a.npz", "value_range": [0.0, 1.7], "image_size": 20}
    text = written(case(facts(60, 60, fields=fields), size=20))
    assert text.count("image_size") == 1
    assert line_of(text, "value_range") == "value_range: [0.0, 1.7] # as you said"
    data = study_of(text).data
    assert (getattr(data, "value_range", None), data.image_size) == ((0.0, 1.7), 20)


def test_colour_that_tells_classes_apart_is_not_augmented() -> None:
    plain, telling = (written(case(facts(60, 60, colour_share=share))) for share in (0.05, 0.4))
    assert line_of(plain, "color") == ""
    assert study_of(telling).trial.gan.color is False


def test_networks_follow_the_machine() -> None:
    small, large = (study_of(written(one)) for one in CASES[:2])
    assert (small.trial.gan.generator_width, large.trial.gan.generator_width) == (32, 256)
    assert (small.resources.cpus, large.resources.cpus) == (1, 4)
    assert small.resources.max_concurrent is None
    short_of_memory = Machine(cores=8, gpus=0, memory=3 * 10**9)
    assert study_of(written(case(facts(60, 60), short_of_memory))).resources.max_concurrent == 3


@pytest.mark.parametrize(
    "root", ["/a b/c: d", "/x/#1", "/x  # y", "/é/ü", '/"q"', "/x/- y", "/no", "/a\tb\nc", "/{x}"]
)
def test_any_path_is_read_back(root: str) -> None:
    images = facts(60, 60, fields={"kind": "folder", "root": root})
    study = study_of(study_text("2024", case(images), USUAL))
    assert getattr(study.data, "root", None) == root
    assert study.study == "2024"
