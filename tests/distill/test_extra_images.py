"""What an arm's classifier is shown: hard images once more, strong augmentation, mixed images."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill.augmentation import to_float, to_uint8
from distill_tune.distill.compute.batches import Key, augmented_batch, smoothed
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.extra_images import ExtraImages
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import ClassifierTraining
from distill_tune.interfaces import ImageData
from tests.distill.tiny import CPU, config, differences, packed, run_until, trial, unpacked

STRONG = {"augmentation": "affine", "cutmix": 0.5, "label_smoothing": 0.1}
KEY: Key = (0, "augmentation", 1, 2)


def blobs_on_the_right(count: int) -> Tensor:
    """Return black images with a bright square in the right half: ``[count, 1, 16, 16]``."""
    images = -torch.ones(count, 1, 16, 16)
    images[..., 6:10, 11:15] = 1
    return images


def finished(images: ImageData, **changes: Any) -> Trial:
    running = trial(images, **changes)
    list(running.run())
    return running


def test_without_extra_images_it_is_ratio_zero_without_a_gan(digits: ImageData) -> None:
    none = trial(digits, joint={"extra_images": "none"})
    reports = list(none.run())
    zero = finished(digits, joint={"synthetic_ratio": 0.0, "refresh": "never"})
    assert (
        differences(copy_weights(none.state.classifier), copy_weights(zero.state.classifier)) == []
    )
    assert none.state.gan.step == 0
    assert {report.stage for report in reports} == {"classifier", "joint"}
    assert not any(name.startswith(("synthetic/", "gan/")) for name in reports[-1].metrics)
    assert "val/final_accuracy" in reports[-1].metrics


def test_hard_images_are_those_of_now_with_their_own_labels(digits: ImageData) -> None:
    changes = {"joint": {"extra_images": "hard", "refresh": 1}, "classifier": {"shift": 0.0}}
    running = run_until(trial(digits, **changes), "classifier")
    assert list(running.run_stage("warmup")) == list(running.run_stage("triplet")) == []
    stage = JointStage(running.trainer, None)
    batch, again, other = (stage.extra_batch(5, step, 400) for step in (0, 0, 1))
    assert batch is not None
    assert again is not None
    assert other is not None
    assert torch.equal(batch[0], again[0])
    assert not torch.equal(batch[0], other[0])
    assert running.state.sets is not None
    hard = running.state.sets.hard
    real = to_float(running.data.train.images[hard]).flatten(1)
    distances = torch.cdist(batch[0].flatten(1), real)
    nearest = distances.min(dim=1)
    assert nearest.values.max() < 0.01
    assert torch.equal(batch[1], running.data.train.labels[hard][nearest.indices])
    counts = torch.bincount(batch[1], minlength=10)
    assert counts.min() > 0.4 * counts.float().mean()
    list(running.run())
    assert running.state.gan.step == 0
    assert running.state.last_refresh == 1, "hard is what is hard now"


def test_synthetic_images_survive_the_next_run_of_a_cuda_graph(digits: ImageData) -> None:
    """Without any change by the augmentation they are what the generator returned."""
    running = trial(digits, classifier={"shift": 0.0})
    buffer = torch.rand(80, 1, 8, 8)
    expected = buffer.clone()
    graph: Any = lambda *_: buffer  # noqa: E731 - returns the same memory each time
    source = ExtraImages(running.trainer)
    batch = source.batch(80, 1.0, whole_step=0, weight=1.0, execution=graph)
    assert batch is not None
    buffer.zero_()
    assert torch.equal(batch.images, expected)


def test_affine_mirrors_only_where_the_data_allow_it(digits: ImageData) -> None:
    images = to_uint8(blobs_on_the_right(60))
    labels = torch.zeros(60, dtype=torch.int64)
    for flip, least, most in ((False, 0, 0), (True, 15, 45)):
        data = replace(DeviceData.place(digits, CPU), flip=flip)
        training = ClassifierTraining(augmentation="affine")
        changed, _ = augmented_batch(images, labels, data, training, KEY)
        on_the_left = changed[..., :8].sum((1, 2, 3)) > changed[..., 8:].sum((1, 2, 3))
        assert least <= int(on_the_left.sum()) <= most


@pytest.mark.parametrize("kind", ["affine", "randaugment"])
@pytest.mark.parametrize("channels", [1, 3])
def test_strong_augmentation_repeats_by_its_key(
    kind: str, channels: int, digits: ImageData
) -> None:
    data = DeviceData.place(digits, CPU)
    training = ClassifierTraining.model_validate({"augmentation": kind, "shift": 0.0})
    images = torch.randint(0, 256, (40, channels, 12, 12), dtype=torch.uint8)
    labels = torch.arange(40) % 10
    torch.manual_seed(1)
    first = augmented_batch(images, labels, data, training, KEY)
    torch.manual_seed(2)
    again = augmented_batch(images, labels, data, training, KEY)
    other = augmented_batch(images, labels, data, training, (0, "augmentation", 1, 3))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == images.shape
    assert first[0].dtype == torch.float32
    assert first[0].abs().max() <= 1
    assert torch.equal(first[1], labels)
    # Each image has a change of its own: copies of one come out different.
    copies = augmented_batch(images[:1].expand(40, -1, -1, -1), labels, data, training, KEY)
    assert len(copies[0].flatten(1).unique(dim=0)) > 20
    # Images of a generator are floats, and come to the same.
    floats = augmented_batch(to_float(images), labels, data, training, KEY)
    assert torch.allclose(floats[0], first[0], atol=1e-6)


def test_mixed_images_have_the_labels_of_their_parts(digits: ImageData) -> None:
    data = DeviceData.place(digits, CPU)
    training = ClassifierTraining(cutmix=1.0, shift=0.0)
    labels = torch.arange(10)
    # An image of class c is c everywhere: what is shown can be counted.
    images = (labels * 20).to(torch.uint8)[:, None, None, None].expand(10, 1, 16, 16)
    mixed, shares = augmented_batch(images, labels, data, training, KEY)
    assert shares.shape == (10, 10)
    shown = ((mixed + 1) * 127.5 / 20).round().long().flatten(1)
    counted = F.one_hot(shown, 10).float().mean(1)
    assert torch.allclose(counted, shares, atol=1e-5)
    assert (shares.max(1).values < 1).any()


def test_a_share_of_the_batches_is_mixed(digits: ImageData) -> None:
    data = DeviceData.place(digits, CPU)
    training = ClassifierTraining(cutmix=0.3, shift=0.0)
    images, labels = digits.train.images[:8], digits.train.labels[:8]
    keys: list[Key] = [(0, "augmentation", 0, step) for step in range(200)]
    mixed = [augmented_batch(images, labels, data, training, key)[1].ndim == 2 for key in keys]
    assert 0.2 < sum(mixed) / 200 < 0.4


def test_smoothed_labels_are_label_smoothing() -> None:
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    smooth = F.cross_entropy(logits, smoothed(labels, 0.2, 4))
    assert torch.allclose(smooth, F.cross_entropy(logits, labels, label_smoothing=0.2))
    assert smoothed(labels, 0.0, 4) is labels


@pytest.mark.parametrize("extra", ["synthetic", "hard", "none"])
def test_a_strongly_augmented_trial_resumes_bit_for_bit(extra: str, digits: ImageData) -> None:
    changes = {"classifier": STRONG, "joint": {"extra_images": extra, "epochs": 3}}
    whole = finished(digits, **changes)
    stopped = trial(digits, **changes)
    for report in stopped.run():
        if (report.stage, report.step) == ("joint", 1):
            break
    resumed = trial(digits, **changes)
    resumed.load_state_dict(unpacked(packed(stopped.state_dict())))
    torch.manual_seed(99)
    list(resumed.run())
    assert differences(whole.state_dict(), resumed.state_dict()) == []


def test_extra_images_are_checked() -> None:
    with pytest.raises(ValueError, match="extra_images"):
        config(joint={"extra_images": "easy"})
