"""The runs of a confirmation, before any is trained: whose images, which seeds, what they share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import numpy as np
import pytest
import torch

from distill_tune.cluster.shared_images import PlacedImages, StudyImages
from distill_tune.confirmation.plan import Plan, evidence_seeds, planned, shared_by
from distill_tune.confirmation.run import ArmRun
from distill_tune.confirmation.sealed_test import chance
from distill_tune.confirmation.session import _overlap, _require_same_images, confirm_study
from distill_tune.datasets import ImageSource, unsealed
from distill_tune.datasets.digits import Digits
from distill_tune.errors import InputError, SealedTestError, StudyError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import TrialRecord
from distill_tune.study.arms import ARMS as ALL_ARMS
from distill_tune.study.arms import METHOD
from distill_tune.study.sections import Confirm
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training import stages
from distill_tune.training.stages import STAGES, ComputePlace, identity, stage_key
from tests.commands import STUDY

BACKBONES = ("squeezenet1_1", "shufflenet_v2_x0_5")
ARMS = ("baseline", "equal_steps", "gan_augmentation", METHOD)
SEEDS = (1000, 1001, 1002)
TEXT = STUDY.replace("val_per_class: 10", "val_per_class: 10, test_fraction: 0.5")
ONE_CPU = ComputePlace("cpu", 1)


def study_of(text: str = TEXT) -> Study:
    return parse(Study, read_yaml_text(text, "tiny.yaml"))


def trial(backbone: str) -> TrialRecord:
    params = {"joint.margin": 0.4, "joint.synthetic_ratio": 0.7, "joint.gan_lr": 1e-5}
    name = f"{backbone}-0000"
    return TrialRecord(0, name, backbone, params, "complete", "", "", {}, 0.0, 1.0)


CHOSEN = {name: trial(name) for name in BACKBONES}


def plan_of(study: Study, *, is_redrawn: bool = True) -> Plan:
    confirm = Confirm(seeds=3, arms=ARMS)
    return Plan(study, confirm, study.data.load().digest, is_redrawn, {})


def pixels(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_all_arms_of_a_seed_see_the_same_images_and_no_other_seed_does() -> None:
    study = study_of()
    plan = plan_of(study)
    with unsealed():
        test = pixels(study.data.load_test().images)
    sources: dict[int, ImageSource] = {}
    for run in [*plan.evidence(CHOSEN), *plan.figures(CHOSEN)]:
        assert sources.setdefault(run.config.seed, run.config.data) == run.config.data
    assert tuple(sources) == SEEDS
    trained = {frozenset(pixels(study.data.load().train.images))}
    for source in sources.values():
        images = source.load()
        drawn = pixels(images.train.images)
        assert not test & {*drawn, *pixels(images.val.images)}
        trained.add(frozenset(drawn))
        with unsealed():
            assert pixels(source.load_test().images) == test
    assert len(trained) == 1 + len(SEEDS)


def test_the_choice_among_the_best_is_made_on_images_of_its_own() -> None:
    plan = plan_of(study_of())
    evidence = {run.config.data for run in plan.evidence(CHOSEN)}
    selection = [run.config.data for run in plan.selection(BACKBONES[0], CHOSEN[BACKBONES[0]])]
    assert len({*evidence, *selection}) == 6
    assert plan.study.data not in {*evidence, *selection}


@pytest.mark.parametrize("own", [{"seed": 1000}, {"seed": 5, "subset_seed": 1001}])
def test_no_seed_draws_the_images_of_the_search(own: dict[str, int]) -> None:
    data = Digits.model_validate(
        {"kind": "digits", "train_per_class": 6, "val_per_class": 10} | own
    )
    study = study_of().model_copy(update={"data": data})
    plan = plan_of(study)
    digests = {run.config.data.load().digest for run in plan.evidence(CHOSEN)}
    assert len(digests) == 3
    assert plan.digest not in digests


PLANNED = "distill_tune.confirmation.session._ConfirmationSession.run"


@pytest.mark.parametrize(("tuned", "numbers"), [(True, [1]), (False, [1, 2, 0])])
def test_if_each_arm_is_searched_only_its_best_is_confirmed(
    tmp_path: Path, tuned: bool, numbers: list[int]
) -> None:
    study = study_of().model_copy(update={"confirm": Confirm(top=3, seeds=3, tune_arms=tuned)})
    directory, images = StudyDirectory(str(tmp_path)), study.data.load()
    directory.create()
    directory.append({"event": "data", "digest": images.digest})
    for number, value in enumerate((0.6, 0.8, 0.7, 0.5, 0.55)):
        head = {"trial": number, "name": f"t{number}", "backbone": BACKBONES[number > 2]}
        directory.append({"event": "trial_started", **head, "params": {}, "raw": {}})
        epoch = {"epoch": 4, "metrics": {"objective": value}}
        directory.append({"event": "epoch", "trial": number, **epoch})
        directory.append({"event": "trial_ended", "trial": number, "status": "complete"})
    options: Any = MagicMock(is_again=False, command="confirm")
    with patch(PLANNED) as run, patch("distill_tune.confirmation.session.tune_arms") as tune:
        confirm_study(study, directory, images, options)
    (candidates,) = run.call_args.args
    assert [trial.number for trial in candidates[BACKBONES[0]]] == numbers
    assert tune.called == tuned


def test_runs_on_redrawn_images_have_names_and_keys_of_their_own() -> None:
    study = study_of()
    redrawn, fixed = (
        list(plan_of(study, is_redrawn=is_redrawn).evidence(CHOSEN)) for is_redrawn in (True, False)
    )
    assert not {run.name for run in redrawn} & {run.name for run in fixed}
    for runs in (redrawn, fixed):
        keys = {(run.backbone, run.arm.name): set[str]() for run in runs}
        for run in runs:
            keys[run.backbone, run.arm.name].add(run.key)
        # What is one configuration on all seeds is known as one.
        assert all(len(found) == 1 for found in keys.values())
    assert all(run.config.data == study.data for run in fixed)


def test_runs_and_stages_of_older_studies_keep_their_names_and_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written down before ``classifier.sampling`` was added, to be found again ever since."""
    study = study_of()
    search = study.search.model_copy(update={"triplet": "per_trial"})
    older = study.model_copy(update={"search": search})
    plan = Plan(older, Confirm(seeds=3, arms=ARMS), "digest", is_redrawn=True, tuned={})
    runs = list(plan.evidence(CHOSEN))
    keys = ["23ae293c", "23ae293c", "26e00a23", "06fc1a03"]
    keys += ["0cd1ff81", "0cd1ff81", "52ca213b", "94904db6"]
    assert [run.key[:8] for run in runs[:8]] == keys
    assert runs[3].name == "confirm-squeezenet1_1-gan_distillation-06fc1a03-seed1000"
    monkeypatch.setattr(stages, "code_digest", lambda: "code")
    monkeypatch.setattr(torch, "__version__", "torch")
    found = [stage_key(stage, runs[3].config, "digest", ONE_CPU) for stage in STAGES]
    assert found == ["9c9ddb53b21c1d67", "1395343d9c7ab321", "6e6fb172261526fd"]


def test_a_field_that_was_added_enters_a_key_once_it_is_used() -> None:
    config = next(plan_of(study_of()).evidence(CHOSEN)).config
    balanced = ALL_ARMS["balanced_sampling"].config(config)
    assert "sampling" not in identity(config)["classifier"]
    assert identity(balanced)["classifier"]["sampling"] == "balanced"
    one, other = (stage_key("classifier", each, "d", ONE_CPU) for each in (config, balanced))
    assert one != other
    assert stage_key("warmup", config, "d", ONE_CPU) == stage_key("warmup", balanced, "d", ONE_CPU)


def test_what_runs_of_a_seed_share_is_kept_apart_from_that_of_other_images() -> None:
    study = study_of()
    images = StudyImages(study.data, study.data.load())
    redrawn, fixed = (
        list(plan_of(study, is_redrawn=is_redrawn).evidence(CHOSEN)) for is_redrawn in (True, False)
    )
    jobs = shared_by(redrawn, images, ONE_CPU)
    # Of each seed the warm-up of both backbones, and a classifier of each.
    assert [(job.config.seed, job.stage) for job in jobs] == [
        (seed, stage) for seed in SEEDS for stage in ("warmup", "classifier", "classifier")
    ]
    for job in jobs:
        sharing = [run for run in redrawn if run.config.seed == job.config.seed]
        assert job.config.data == sharing[0].config.data
    # With equal seeds and fields, but other images, nothing is taken over.
    both = shared_by([*redrawn, *fixed], images, ONE_CPU)
    assert len(both) == 2 * len(jobs)


@pytest.fixture
def placed() -> Iterator[list[PlacedImages]]:
    """Yield what was put into the object store, without one."""
    there: list[PlacedImages] = []

    def put(images: PlacedImages) -> PlacedImages:
        there.append(images)
        return images

    with patch("distill_tune.cluster.shared_images.ray.put", put):
        yield there


def test_images_of_a_seed_are_placed_once_and_the_files_are_read_once(
    placed: list[PlacedImages],
) -> None:
    study = study_of()
    own = study.data.load()
    images = StudyImages(study.data, own)
    runs = list(plan_of(study).evidence(CHOSEN))
    with patch.object(Digits, "read", autospec=True, side_effect=Digits.read) as read:
        for run in runs:
            there = images.place(run.config.data)
            assert there.images().digest == images.digest(run.config.data)
            assert there.images().digest == run.config.data.load(study.data.read_pools()).digest
    assert len(placed) == len(SEEDS)
    # Once by itself, and once for each comparison here.
    assert read.call_count == 1 + len(runs)
    assert images.place(study.data).images().digest == own.digest


def test_fixed_splits_are_not_redrawn(tmp_path: Any) -> None:
    pool = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    labels = np.arange(40) % 2
    parts: dict[str, Any] = {
        f"{axis}_{part}": array
        for part in ("train", "val", "test")
        for axis, array in (("x", pool), ("y", labels))
    }
    np.savez(tmp_path / "images.npz", **parts)
    whole = f"data: {{kind: npz, root: {tmp_path}/images.npz}}"
    some = whole.replace("kind: npz", "kind: npz, train_per_class: 6")
    line = next(line for line in TEXT.splitlines() if line.startswith("data:"))
    # A draw of 6 of 20 images has 30 % of them in common with another, one of 6 of 90 about 7 %.
    for data, expected in ((whole, None), (some, 0.3), (line, 0.07)):
        study = study_of(TEXT.replace(line, data))
        images = StudyImages(study.data, study.data.load())
        found = _overlap(study, Confirm(seeds=8), images)
        assert found == (None if expected is None else pytest.approx(expected, abs=0.1))
        assert _overlap(study, Confirm(seeds=3, redraw=False), images) is None


class Directory(StudyDirectory):
    """A study with nothing but the digests of some images."""

    def __init__(self, *events: dict[str, Any]) -> None:
        super().__init__("runs/tiny")
        self._events = list(events)

    def events(self) -> list[dict[str, Any]]:
        return self._events


def recorded(run: ArmRun, images: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": run.name, "phase": "evidence", "backbone": run.backbone}
    fields |= {"arm": run.arm.name, "title": "", "role": "", "trial": 0, "key": run.key, "order": 0}
    fields |= {"seed": run.config.seed, "is_tuned": False, "status": "complete", "reason": ""}
    fields |= {"detail": "", "value": 0.5, "test": {}, "seconds": {}, "gpus": 0, "reading": 1}
    fields |= {"curves": {}, "images": images, "subset_seed": run.config.data.subset_seed}
    return {"event": "confirm_run", **fields}


def test_a_confirmation_does_not_go_on_with_other_images() -> None:
    study = study_of()
    own = study.data.load()
    images = StudyImages(study.data, own)
    run = next(plan_of(study).evidence(CHOSEN))
    data = {"event": "data", "digest": own.digest}
    right = recorded(run, run.config.data.load().digest)
    _require_same_images(Directory(data, right), study.data, images)
    with pytest.raises(StudyError, match=rf"expected those of {run.name} \(digest other\)"):
        _require_same_images(Directory(data, recorded(run, "other")), study.data, images)
    with pytest.raises(StudyError, match=r"expected those of the search \(digest other\)"):
        _require_same_images(Directory(data | {"digest": "other"}), study.data, images)


def test_seeds_and_redraws_are_those_of_the_plan() -> None:
    study = study_of(TEXT.replace("joint: {epochs: 4", "seed: 7\n  joint: {epochs: 4"))
    assert evidence_seeds(study, Confirm(seeds=2)) == [1007, 1008]
    assert planned(study, {}).redraw
    assert not planned(study, {"redraw": False}).redraw
    extra = TEXT + "confirm: {redraw: false, rival: gan_augmentation}\n"
    said = planned(study_of(extra), {"redraw": None, "rival": None})
    assert (said.redraw, said.rival) == (False, "gan_augmentation")


@pytest.mark.parametrize("rival", ["gan_augmentatoin", "baseline", METHOD, "hard_oversampling"])
def test_a_rival_is_an_arm_that_is_compared_and_no_baseline(rival: str) -> None:
    with pytest.raises(InputError, match=f"rival: got '{rival}', expected a rival among the arms"):
        planned(study_of(), {"rival": rival, "arms": "equal_steps,gan_augmentation"})
    extra = f"confirm: {{arms: [equal_steps, gan_augmentation], rival: {rival}}}\n"
    with pytest.raises(InputError, match=f"confirm.rival: got '{rival}', expected a rival among"):
        study_of(TEXT + extra)


def test_chance_is_the_largest_class_of_the_images_that_are_there() -> None:
    labels = torch.tensor([0, 0, 0, 2, 2, 3])
    found = chance(labels, "val/auroc")
    assert (found["accuracy"], found["auroc"]) == (0.5, 0.5)
    assert found["balanced_accuracy"] == pytest.approx(1 / 3)
    assert chance(labels, "val/worst_recall")["worst_recall"] == 0
    # The entropy of the shares 1/2, 1/3 and 1/6, in nats.
    assert chance(labels, "-val/loss")["-loss"] == pytest.approx(-1.0114, abs=1e-4)


def test_a_test_part_that_one_may_not_look_at_stays_shut_for_a_redraw() -> None:
    data: ImageSource = Digits(kind="digits").redrawn(1000)
    with pytest.raises(SealedTestError):
        data.load_test()
