"""Images without labels: the GAN learns shapes from them, FixMatch's rule names them."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill import unlabelled as module
from distill_tune.distill.augmentation import to_float
from distill_tune.distill.classifier_stage import train_step
from distill_tune.distill.compute.batches import ExtraBatch
from distill_tune.distill.configuration.probe import probe
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.trial import Trial
from distill_tune.distill.unlabelled import (
    NO_CLASS,
    beside,
    confident_names,
    mixed_hinge,
    pseudo_labelled,
    unlabelled_batch,
)
from distill_tune.errors import InputError
from distill_tune.interfaces import ImageData, Stage
from tests.distill.test_host_sync import steps_of_an_epoch
from tests.distill.test_selection import images_of, reader
from tests.distill.tiny import config, differences, networks, packed, run_until, trial, unpacked

PSEUDO: dict[str, Any] = {"extra_images": "pseudo", "name_threshold": 0.2, "ramp_epochs": 0}


def without(images: ImageData) -> ImageData:
    return ImageData(**{**vars(images), "unlabelled": None})


def all_states(running: Trial, *stages: Any) -> Iterator[dict[str, Any]]:
    for stage in stages:
        list(running.run_stage(stage))
        yield unpacked(packed(running.state_dict()))


def test_they_change_the_gan_and_only_through_its_weight(partly_labelled: ImageData) -> None:
    plain, given, ignored = (
        run_until(trial(images, gan={"unlabelled_weight": weight}), "warmup")
        for images, weight in (
            (without(partly_labelled), 1.0),
            (partly_labelled, 1.0),
            (partly_labelled, 0.0),
        )
    )
    assert differences(networks(plain), networks(ignored)) == []
    for name in ("generator", "discriminator"):
        assert differences(networks(plain)[name], networks(given)[name]) != [], name
    # The classifier and the judge learn from labelled images alone.
    assert (
        differences(plain.state.classifier.state_dict(), given.state.classifier.state_dict()) == []
    )
    assert differences(networks(plain)["judge"], networks(given)["judge"]) == []


def test_every_image_is_asked_about_without_its_class_too() -> None:
    asked, names = torch.tensor([[3, 4], [5, 6]]), torch.tensor([7, NO_CLASS])
    expected = [[3, 4, -1], [5, 6, -1], [7, 7, -1], [-1, -1, -1]]
    assert beside(asked, names).tolist() == expected
    assert beside(torch.tensor([3, 5])).tolist() == [[3, -1], [5, -1]]


def test_the_loss_is_a_mean_of_two_hinges() -> None:
    # Two labelled, two synthetic and two unlabelled images; their class, and no class.
    logits = torch.tensor([[0.1, 9], [0.2, 9], [0.3, -0.5], [0.4, 0.5], [0.6, 9], [2.0, 9]])
    labelled = torch.tensor(4.0)
    real = (0.4 + 0.0) / 2
    fake = (0.5 + 1.5) / 2
    for weight in (1.0, 3.0):
        found = mixed_hinge(labelled, logits, 2, weight)
        assert found.item() == pytest.approx((4 + weight * (real + fake)) / (1 + weight))


LOGITS = [[9.0, 0, 0], [0.2, 0.1, 0], [0, 3.0, 0], [0, 0, 9.0]]


def test_names_are_those_that_the_classifier_is_sure_of() -> None:
    images = images_of(LOGITS)
    assert confident_names(reader(), images, 0.95).tolist() == [0, -1, -1, 2]
    assert confident_names(reader(), images, 0.6).tolist() == [0, -1, 1, 2]
    assert confident_names(reader(), images, 1.0).tolist() == [-1] * 4


def test_names_are_renewed_with_the_hard_sets(
    partly_labelled: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def watched(data: Any, names: Tensor, count: int, key: Any) -> Any:
        seen.append(names)
        return unlabelled_batch(data, names, count, key)

    monkeypatch.setattr("distill_tune.distill.gan_draws.unlabelled_batch", watched)
    joint = {"name_threshold": 0.2, "refresh": 2, "epochs": 4}
    running = trial(partly_labelled, joint=joint)
    run_until(running, "warmup")
    # Of the warm-up, which depends on no classifier.
    assert all((names == NO_CLASS).all() for names in seen)
    seen.clear()
    run_until(running, "triplet")
    assert (seen[0] != NO_CLASS).any()
    names = confident_names(running.state.snapshot, running.data.unlabelled, 0.2)  # type: ignore[arg-type]
    assert all(torch.equal(one, names) for one in seen)
    seen.clear()
    list(running.run_stage("joint"))
    changes = [one is not other for one, other in pairwise(seen)]
    # Two steps an epoch; labelled anew before the third epoch.
    assert [number for number, changed in enumerate(changes, 1) if changed] == [len(seen) // 2]


def test_a_threshold_of_one_gives_no_names(partly_labelled: ImageData) -> None:
    running = run_until(trial(partly_labelled, joint={"name_threshold": 1.0}), "triplet")
    assert (running.trainer._draws._names.newest() == NO_CLASS).all()


@pytest.mark.parametrize("joint", [{"name_threshold": 0.2, "refresh": 1}, PSEUDO])
@pytest.mark.parametrize("stop", [("triplet", 3), ("joint", 1)])
def test_a_trial_resumes_bit_for_bit(
    joint: dict[str, Any], stop: tuple[str, int], partly_labelled: ImageData
) -> None:
    if stop[0] == "triplet" and joint is PSEUDO:
        pytest.skip("it has no such stage")
    changes = {"joint": {**joint, "epochs": 3}}
    whole, stopped = trial(partly_labelled, **changes), trial(partly_labelled, **changes)
    list(whole.run())
    for report in stopped.run():
        if (report.stage, report.step) == stop:
            break
    resumed = trial(partly_labelled, **changes)
    resumed.load_state_dict(unpacked(packed(stopped.state_dict())))
    list(resumed.run())
    assert differences(whole.state_dict(), resumed.state_dict()) == []


def named(running: Trial, step: int = 0, count: int = 40) -> ExtraBatch:
    return pseudo_labelled(running.state.classifier, running.data, running.config, count, step)


def test_fixmatch_learns_sure_names_of_weak_changes_on_strong_ones(
    partly_labelled: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run_until(trial(partly_labelled, joint=PSEUDO), "classifier")
    classifier, before = running.state.classifier, packed(running.state_dict())
    asked: list[Tensor] = []
    forward = type(classifier).forward

    def watched(this: Any, images: Tensor) -> Tensor:
        logits = forward(this, images)
        asked.append(logits.softmax(1))
        return logits

    monkeypatch.setattr(type(classifier), "forward", watched)
    batch, again, other = (named(running, step) for step in (0, 0, 1))
    sure, names = asked[0].max(1)
    is_sure = sure > 0.2
    assert 0 < int(is_sure.sum()) < 40
    assert torch.equal(batch.labels, F.one_hot(names, 10) * is_sure[:, None])
    assert float(batch.kept_share) == pytest.approx(is_sure.float().mean().item())
    assert torch.equal(batch.images, again.images)
    assert not torch.equal(batch.images, other.images)
    # Nothing of the classifier changed, nor did its mode, and nothing carries a gradient.
    assert differences(unpacked(before), unpacked(packed(running.state_dict()))) == []
    assert not batch.labels.requires_grad


def test_an_unsure_name_weighs_nothing(partly_labelled: ImageData) -> None:
    running = run_until(trial(partly_labelled, joint=PSEUDO), "classifier")
    batch = named(running)
    is_sure = batch.labels.sum(1) > 0
    logits = torch.randn(40, 10, generator=torch.Generator().manual_seed(0))
    whole = F.cross_entropy(logits, batch.labels)
    alone = F.cross_entropy(logits[is_sure], batch.labels[is_sure].argmax(1), reduction="sum")
    assert whole.item() == pytest.approx(alone.item() / 40, rel=1e-5)


def test_strong_changes_are_stronger_and_repeat_no_image(partly_labelled: ImageData) -> None:
    running = run_until(trial(partly_labelled, joint=PSEUDO), "classifier")
    batch = named(running)
    originals = to_float(running.data.unlabelled).flatten(1)  # type: ignore[arg-type]
    nearest = torch.cdist(batch.images.flatten(1), originals).min(1).values
    assert (nearest > 0.1).float().mean() > 0.9
    assert batch.images.abs().max() <= 1


@pytest.mark.parametrize("batch_norm", ["split", "mixed"])
def test_names_are_not_smoothed(batch_norm: str, partly_labelled: ImageData) -> None:
    changes = {**PSEUDO, "batch_norm": batch_norm}
    states = []
    for smoothing in (0.0, 0.5):
        joint = {**changes, "label_smoothing": smoothing}
        running = run_until(trial(partly_labelled, joint=joint), "classifier")
        extra = named(running)._replace(weight=1.0)
        real = to_float(partly_labelled.train.images[:20]), partly_labelled.train.labels[:20]
        torch.manual_seed(0)
        train_step(
            running.state.classifier,
            running.state.optimizer,
            real,
            extra,
            joint=running.config.joint,
        )
        states.append(running.state.classifier.state_dict())
    assert differences(states[0], states[1]) == []


def test_a_trial_of_pseudo_labels_trains_no_gan_and_tells_how_many_names_were_sure(
    partly_labelled: ImageData,
) -> None:
    running = trial(partly_labelled, joint=PSEUDO)
    reports = list(running.run())
    assert {report.stage for report in reports} == {"classifier", "joint"}
    assert running.state.gan.step == 0
    shares = [report.metrics.get("pseudo/confident_share") for report in reports[-2:]]
    assert all(share is not None and 0 < share < 1 for share in shares)
    assert running.state.last_refresh == 0


def test_the_host_never_waits_for_the_names(
    partly_labelled: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    for joint in ({"pairing": "any", "name_threshold": 0.2, "refresh": 1}, PSEUDO):
        running = trial(partly_labelled, joint=joint, classifier={"batch_size": 40})
        run_until(running, "classifier")
        stages: tuple[Stage, ...] = ("warmup", "triplet")
        for stage in stages:
            list(running.run_stage(stage))
        steps = steps_of_an_epoch(running, monkeypatch)
        assert len(steps) > 1
        assert not any(waits or journeys for waits, journeys in steps[1:])


def test_a_joint_stage_asks_for_as_many_images_as_the_ratio_says(
    partly_labelled: ImageData,
) -> None:
    joint = {**PSEUDO, "synthetic_ratio": 2.0}
    running = run_until(trial(partly_labelled, joint=joint), "classifier")
    stage = JointStage(running.trainer, None)
    batch = stage.extra_batch(0, 0, 30)
    assert batch is not None
    assert (len(batch.images), batch.weight) == (60, 2.0)
    assert module.NO_CLASS < 0


def test_without_such_images_there_is_nothing_to_name(digits: ImageData) -> None:
    expected = "images without labels to learn from: set data.unlabelled"
    with pytest.raises(InputError, match=f"joint.extra_images: got 'pseudo', expected {expected}"):
        probe(config(joint=PSEUDO), digits)
