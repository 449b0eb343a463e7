"""Class-balanced batches of real images: how often each class and each image is seen."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_tune.distill.classifier_stage import balanced_order, real_batches
from distill_tune.distill.compute.device_data import ClassPools, DeviceData
from distill_tune.distill.compute.random_streams import stream
from distill_tune.distill.trial_config import ClassifierTraining
from distill_tune.interfaces import ImageData, Split
from tests.distill.tiny import CPU, config, differences, packed, trial, unpacked

SIZES = [20, 3, 7]
LABELS = torch.repeat_interleave(torch.arange(3), torch.tensor(SIZES))


def pools(labels: Tensor, num_classes: int) -> ClassPools:
    return ClassPools.of([(labels == label).nonzero().squeeze(1) for label in range(num_classes)])


@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=6).filter(lambda sizes: sum(sizes) > 0),
    st.integers(1, 90),
    st.integers(0, 99),
)
def test_classes_and_images_of_a_class_recur_equally_often(
    sizes: list[int], count: int, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    order = balanced_order(pools(labels, len(sizes)), count, stream(seed, "order", 0))
    assert len(order) == count
    seen = labels[order].bincount(minlength=len(sizes))[torch.tensor(sizes) > 0]
    assert seen.max() - seen.min() <= 1
    for label, size in enumerate(sizes):
        times = order.bincount(minlength=len(labels))[labels == label]
        assert size == 0 or times.max() - times.min() <= 1


def test_every_run_of_as_many_images_as_classes_has_one_of_each() -> None:
    order = balanced_order(pools(LABELS, 3), 30, stream(0, "order", 0))
    for chunk in LABELS[order].split(3):
        assert sorted(chunk.tolist()) == [0, 1, 2]
    again, other = (balanced_order(pools(LABELS, 3), 30, stream(0, "order", n)) for n in (0, 1))
    assert torch.equal(order, again)
    assert not torch.equal(order, other)


def uneven(digits: ImageData) -> ImageData:
    """Return digits with 16 images of the first five classes and 2 of the others."""
    kept = torch.cat(
        [(digits.train.labels == n).nonzero()[: 16 if n < 5 else 2] for n in range(10)]
    )
    train = Split(digits.train.images[kept[:, 0]], digits.train.labels[kept[:, 0]])
    return ImageData(**{**vars(digits), "train": train})


@pytest.mark.parametrize(("sampling", "rare"), [("shuffle", 2), ("balanced", 8)])
def test_an_epoch_shows_as_many_images_either_way(
    sampling: str, rare: int, digits: ImageData
) -> None:
    training = ClassifierTraining.model_validate({"sampling": sampling, "batch_size": 10})
    data = DeviceData.place(uneven(digits), CPU)
    labels = torch.cat([batch[1] for batch in real_batches(data, training, seed=0, epoch=3)])
    assert len(labels) == 90
    shown = labels.bincount(minlength=10)
    assert abs(int(shown[5:].sum()) - 5 * rare) <= 5


def test_balanced_batches_train_other_weights_in_stages_1_and_3(digits: ImageData) -> None:
    data = uneven(digits)
    changes = {"batch_size": 10, "epochs": 1}
    joint = {"extra_images": "none", "epochs": 1}
    plain, balanced = (
        trial(data, classifier={**changes, "sampling": sampling}, joint=joint)
        for sampling in ("shuffle", "balanced")
    )
    for stage in ("classifier", "joint"):
        for running in (plain, balanced):
            list(running.run() if stage == "joint" else running.run_stage("classifier"))
        states = [running.state.classifier.state_dict() for running in (plain, balanced)]
        assert differences(states[0], states[1]) != []


def test_it_resumes_bit_for_bit(digits: ImageData) -> None:
    changes = {"classifier": {"sampling": "balanced"}}
    whole, stopped = trial(digits, **changes), trial(digits, **changes)
    list(whole.run())
    for report in stopped.run():
        if (report.stage, report.step) == ("joint", 1):
            break
    resumed = trial(digits, **changes)
    resumed.load_state_dict(unpacked(packed(stopped.state_dict())))
    list(resumed.run())
    assert differences(whole.state_dict(), resumed.state_dict()) == []


def test_only_two_ways_to_sample_are_known() -> None:
    with pytest.raises(ValueError, match="sampling"):
        config(classifier={"sampling": "fair"})
