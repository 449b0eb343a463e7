"""Shared stages: what each depends on, and which of them a study's trials have in common."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.gans import Sngan
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import ClassifierTraining
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training import stages
from distill_tune.training.stages import (
    PREDECESSORS,
    STAGES,
    ComputePlace,
    SharedStage,
    enters,
    shared_jobs,
    stage_key,
)
from tests.commands import STUDY

CPU = ComputePlace("cpu", 1)
ROOMS = {ClassifierTraining: "classifier", Sngan: "gan", JointTraining: "joint"}


def searching(space: str, num_trials: int = 6) -> Study:
    before, _, after = STUDY.partition("space:\n")
    _, _, search = after.partition("search:")
    text = f"{before}space:\n{space}\nsearch:{search}"
    text = text.replace("num_trials: 6", f"num_trials: {num_trials}")
    return parse(Study, read_yaml_text(text, "tiny.yaml"))


@pytest.fixture(scope="module")
def study() -> Study:
    return parse(Study, read_yaml_text(STUDY, "tiny.yaml"))


class Reads:
    """Notes the fields of a trial's configuration that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: set[str] = set()
        for config, room in ROOMS.items():
            monkeypatch.setattr(config, "__getattribute__", self._reader(config, room))

    def _reader(self, config: type, room: str) -> Any:
        fields = set(config.model_fields)  # type: ignore[attr-defined]

        def read(this: object, name: str) -> Any:
            if name in fields:
                self.paths.add(f"{room}.{name}")
            return object.__getattribute__(this, name)

        return read


def test_what_a_stage_reads_is_what_enters_it(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a field forgotten, trials that differ in it would share what they must not."""
    base = study.trial_config("shufflenet_v2_x0_5", {"joint.triplet_weight": 1.0})
    images = study.data.load()
    read: dict[SharedStage, set[str]] = defaultdict(set)
    for rule in ("quantile", "confidence"):
        joint = base.joint.model_copy(update={"hard_rule": rule})
        config = base.model_copy(update={"joint": joint})
        trial = Trial(config, images, torch.device("cpu"))
        with monkeypatch.context() as patch:
            reads = Reads(patch)
            for stage in STAGES:
                reads.paths.clear()
                list(trial.run_stage(stage))
                read[stage] |= reads.paths
    # The learning rate with which a trial enters stage 3 is set by the trial itself.
    read["triplet"].discard("joint.classifier_lr_factor")
    for stage in STAGES:
        assert {path for path in read[stage] if not enters(stage, path)} == set()
    assert {"joint.margin", "joint.hard_threshold", "joint.pairing"} <= read["triplet"]
    assert "classifier.lr" in read["classifier"]
    assert "gan.lr" in read["warmup"]


@pytest.mark.parametrize(
    ("path", "entered"),
    [
        ("classifier.lr", {"classifier", "triplet"}),
        ("gan.lr", {"warmup", "triplet"}),
        ("gan.triplet_steps", {"triplet"}),
        ("gan.triplet_margin", {"triplet"}),
        ("joint.margin", {"triplet"}),
        ("joint.hard_threshold", {"triplet"}),
        ("joint.synthetic_ratio", set()),
        ("joint.extra_images", {"warmup", "triplet"}),
        ("joint.gan_lr", set()),
        ("joint.refresh", set()),
    ],
)
def test_a_field_enters_at_a_stage_and_all_that_follow(path: str, entered: set[str]) -> None:
    assert {stage for stage in STAGES if enters(stage, path)} == entered


def key(study: Study, stage: SharedStage, backbone: str, **params: object) -> str:
    named = {name.replace("__", "."): value for name, value in params.items()}
    return stage_key(stage, study.trial_config(backbone, named), "digest", CPU)


def test_the_keys_depend_on_what_the_products_depend_on(study: Study) -> None:
    one, other = (backbone.name for backbone in study.backbones)
    for stage in STAGES:
        assert key(study, stage, one) == key(study, stage, one, joint__gan_lr=0.1)
        assert key(study, stage, one) != key(study, stage, one, seed=1)
        assert key(study, stage, one) == key(study, stage, one, joint__classifier_lr_factor=0.1)
    assert key(study, "classifier", one) != key(study, "classifier", other)
    assert key(study, "warmup", one) == key(study, "warmup", other)
    assert key(study, "triplet", one) != key(study, "triplet", other)
    assert key(study, "classifier", one) != key(study, "classifier", one, classifier__lr=0.5)
    assert key(study, "warmup", one) == key(study, "warmup", one, classifier__lr=0.5)
    assert key(study, "warmup", one) != key(study, "warmup", one, gan__lr=0.5)
    assert key(study, "warmup", one) == key(study, "warmup", one, gan__triplet_steps=9)
    for path in ("gan__lr", "classifier__lr", "joint__triplet_weight"):
        assert key(study, "triplet", one) != key(study, "triplet", one, **{path: 0.25})


def test_without_a_gan_there_is_only_the_classifier_to_share(study: Study) -> None:
    joint = study.trial.joint.model_copy(update={"extra_images": "hard"})
    trial = study.trial.model_copy(update={"joint": joint})
    jobs = shared_jobs(study.model_copy(update={"trial": trial}))
    assert [job.stage for job in jobs] == ["classifier", "classifier"]


def test_the_keys_depend_on_data_code_and_place(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = study.trial_config("squeezenet1_1", {})
    keys = [
        stage_key("warmup", config, "digest", CPU),
        stage_key("warmup", config, "other", CPU),
        stage_key("warmup", config, "digest", ComputePlace("cpu", 2)),
        stage_key("warmup", config, "digest", ComputePlace("cuda", 0)),
    ]
    # The digest is one of images: whether they are mirrored stands in the configuration.
    mirrored = config.data.model_copy(update={"flip": not config.data.flip})
    keys.append(stage_key("warmup", config.model_copy(update={"data": mirrored}), "digest", CPU))
    monkeypatch.setattr(stages, "code_digest", lambda: "changed")
    keys.append(stage_key("warmup", config, "digest", CPU))
    assert len(set(keys)) == 6


@pytest.mark.parametrize(
    ("bundle", "place"),
    [
        ({"CPU": 1}, ComputePlace("cpu", 1)),
        ({"CPU": 2.5, "GPU": 0}, ComputePlace("cpu", 2)),
        ({"CPU": 0.5}, ComputePlace("cpu", 1)),
        ({"CPU": 4, "GPU": 0.25}, ComputePlace("cuda", 0)),
    ],
)
def test_threads_matter_on_a_cpu_only(bundle: dict[str, float], place: ComputePlace) -> None:
    assert ComputePlace.of(bundle) == place


BOTH = ["classifier/squeezenet1_1", "classifier/shufflenet_v2_x0_5"]
TRIPLETS = ["triplet/squeezenet1_1", "triplet/shufflenet_v2_x0_5"]
RATE = "  joint.gan_lr: loguniform(1e-6, 1e-4)"


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (RATE, ["warmup", *BOTH, *TRIPLETS]),
        ("  joint.margin: uniform(0, 1)", ["warmup", *BOTH, *TRIPLETS]),
        ("  joint.triplet_weight: uniform(1, 9)", ["warmup", *BOTH]),
        ("  classifier.lr: loguniform(1e-4, 1e-2)", ["warmup"]),
        ("  gan.lr: loguniform(1e-4, 1e-2)", BOTH),
        ("  gan.triplet_steps: randint(10, 500)", ["warmup", *BOTH]),
        ("  gan.lr: loguniform(1e-4, 1e-2)\n  classifier.shift: uniform(0, 0.2)", []),
    ],
)
def test_what_trials_share_follows_from_what_is_searched(space: str, names: list[str]) -> None:
    assert [job.name for job in shared_jobs(searching(space))] == names


def jobs_named(space: str, num_trials: int) -> Iterator[str]:
    return (job.name for job in shared_jobs(searching(space, num_trials)))


def test_a_searched_stage_with_few_values_is_computed_for_each_of_them() -> None:
    space = f"  classifier.lr: [1e-3, 3e-3]\n{RATE}"
    names = list(jobs_named(space, 8))
    assert names[:3] == [
        "warmup",
        "classifier/squeezenet1_1 lr=0.001",
        "classifier/squeezenet1_1 lr=0.003",
    ]
    assert len(names) == 9
    # Each backbone has three trials: some value would be for one of them alone.
    assert list(jobs_named(space, 6)) == ["warmup"]
    many = f"  classifier.batch_size: randint(10, 40)\n{RATE}"
    assert list(jobs_named(many, 40)) == ["warmup"]
    keys = {
        stage_key(job.stage, job.config, "digest", CPU) for job in shared_jobs(searching(space, 8))
    }
    assert len(keys) == 9


def test_what_a_stage_begins_with_is_computed_before_it() -> None:
    done: set[SharedStage] = set()
    for job in shared_jobs(searching(RATE)):
        assert done.issuperset(PREDECESSORS[job.stage])
        done.add(job.stage)


def test_a_shared_triplet_stage_has_the_margin_and_threshold_of_the_study() -> None:
    space = "  joint.margin: uniform(0.05, 0.9)\n  joint.hard_threshold: uniform(0.1, 0.5)"
    together = searching(space)
    search = together.search.model_copy(update={"triplet": "per_trial"})
    apart = together.model_copy(update={"search": search})
    assert [job.stage for job in shared_jobs(apart)] == ["warmup", *["classifier"] * 2]
    jobs = shared_jobs(together)
    assert [job.stage for job in jobs] == ["warmup", *["classifier"] * 2, *["triplet"] * 2]
    assert jobs[-1].name == f"triplet/{together.backbones[1].name}"
    backbone, params = jobs[-1].config.backbone.name, {"joint.margin": 0.6}
    of_study, usual = (key(one, "triplet", backbone) for one in (together, apart))
    assert of_study == usual == key(together, "triplet", backbone, joint__margin=0.6)
    assert of_study != key(apart, "triplet", backbone, joint__margin=0.6)
    config = together.trial_config(backbone, params)
    assert (config.joint.margin, config.gan.triplet_margin) == (0.6, together.trial.joint.margin)
    assert apart.trial_config(backbone, params).gan.triplet_margin is None


def test_a_triplet_stage_with_a_margin_of_its_own_is_shared_too() -> None:
    study = searching("  joint.margin: uniform(0.05, 0.9)")
    gan = study.trial.gan.model_copy(update={"triplet_margin": 0.2})
    given = study.model_copy(update={"trial": study.trial.model_copy(update={"gan": gan})})
    assert [job.stage for job in shared_jobs(given)][-2:] == ["triplet", "triplet"]
    backbone = study.backbones[0].name
    assert given.trial_config(backbone, {"joint.margin": 0.5}).gan.triplet_margin == 0.2
