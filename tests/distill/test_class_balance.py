"""Rare classes: weights in the loss, shares of synthetic images, and results of each class."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from distill_tune.distill.classifier_stage import real_batches
from distill_tune.distill.compute.class_balance import (
    class_shares,
    class_weights,
    drawn_classes,
)
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.extra_images import ExtraImages
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.by_class import class_results
from distill_tune.distill.monitoring.evaluation import evaluate
from distill_tune.distill.trial_config import ClassifierTraining
from distill_tune.interfaces import ImageData, Split
from tests.distill.conftest import Begin
from tests.distill.tiny import CPU, differences, packed, trial, unpacked

COUNTS = torch.tensor([1000, 100, 10])


def training(**fields: Any) -> ClassifierTraining:
    return ClassifierTraining.model_validate(fields)


def test_balanced_weights_let_every_class_count_equally() -> None:
    weights = class_weights(COUNTS, training(class_weights="balanced"))
    assert weights is not None
    assert torch.allclose(weights * COUNTS, torch.full((3,), 370.0))
    assert class_weights(COUNTS, training()) is None


def test_effective_numbers_by_hand() -> None:
    weights = class_weights(COUNTS, training(class_weights="effective_number"))
    assert weights is not None
    # (1 - 0.999^n) / 0.001 is 632.3, 95.2 and 10.0 for 1000, 100 and 10 images.
    assert weights[1] / weights[0] == pytest.approx(632.3 / 95.2, rel=1e-3)
    assert weights[2] / weights[0] == pytest.approx(632.3 / 9.955, rel=1e-3)


@given(
    st.lists(st.integers(0, 2000), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0),
    st.sampled_from(["balanced", "effective_number"]),
    st.sampled_from(["shuffle", "balanced"]),
)
def test_the_mean_weight_of_a_shown_image_is_one(
    counts: list[int], rule: str, sampling: str
) -> None:
    numbers = torch.tensor(counts)
    weights = class_weights(numbers, training(class_weights=rule, sampling=sampling))
    assert weights is not None
    shown = (numbers > 0) if sampling == "balanced" else numbers
    assert (weights * shown).sum() / shown.sum() == pytest.approx(1, rel=1e-4)
    assert bool((weights[numbers == 0] == 0).all())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_weighted_loss_is_that_of_torch(digits: ImageData, smoothing: float) -> None:
    data = DeviceData.place(uneven(digits), CPU)
    fields = {"batch_size": 40, "label_smoothing": smoothing}
    plain = next(real_batches(data, training(**fields), seed=0, epoch=0))
    rule = training(**fields, class_weights="balanced")
    images, labels = next(real_batches(data, rule, seed=0, epoch=0))
    assert torch.equal(images, plain[0])
    logits = torch.randn(len(labels), 10)
    weights = class_weights(data.by_class.counts, rule)
    soft = plain[1] if plain[1].ndim == 2 else F.one_hot(plain[1], 10).float()
    expected = F.cross_entropy(logits, soft, weight=weights)
    assert F.cross_entropy(logits, labels) == pytest.approx(expected.item(), rel=1e-5)


def uneven(digits: ImageData) -> ImageData:
    """Return digits with 16 images of the first five classes and 2 of the others."""
    kept = torch.cat(
        [(digits.train.labels == n).nonzero()[: 16 if n < 5 else 2] for n in range(10)]
    )
    train = Split(digits.train.images[kept[:, 0]], digits.train.labels[kept[:, 0]])
    return ImageData(**{**vars(digits), "train": train})


def test_shares_of_synthetic_images() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    counts = labels.bincount()
    losses = torch.tensor([0.1, 0.1, 0.1, 2.0, 2.0, 0.0])
    assert class_shares("uniform", counts, losses, labels) is None
    inverse = class_shares("inverse", counts, losses, labels)
    by_error = class_shares("by_error", counts, losses, labels)
    assert inverse is not None
    assert by_error is not None
    # 1/3, 1/2 and 1 over their sum, with a tenth in equal parts.
    expected = 0.9 * torch.tensor([2 / 11, 3 / 11, 6 / 11]) + 0.1 / 3
    assert torch.allclose(inverse.float(), expected)
    assert by_error.argmax() == 1
    assert by_error[2] == pytest.approx(0.1 / 3)
    none = class_shares("by_error", counts, torch.zeros(6), labels)
    assert none is not None
    assert torch.allclose(none, torch.full((3,), 1 / 3, dtype=torch.float64))


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6))
def test_classes_are_drawn_with_their_shares(raw: list[float]) -> None:
    shares = torch.tensor(raw, dtype=torch.float64)
    shares /= shares.sum()
    numbers = (torch.arange(5000) + 0.5) / 5000
    drawn = drawn_classes(shares, numbers).bincount(minlength=len(raw)) / 5000
    assert torch.allclose(drawn.double(), shares, atol=1e-3)
    assert int(drawn_classes(shares, torch.tensor([1 - 1e-7]))) == len(raw) - 1


def classes_of_extra_images(begun: Any) -> torch.Tensor:
    batches = [
        ExtraImages(begun.trainer).batch(
            100, 1.0, whole_step=step, weight=1.0, execution=begun.trainer.execution
        )
        for step in range(5)
    ]
    labels = torch.cat([batch.labels for batch in batches if batch is not None])
    return labels.bincount(minlength=10) / len(labels)


def test_a_trial_draws_its_synthetic_images_so(at_joint: Begin, digits: ImageData) -> None:
    uniform, by_error = (at_joint(joint={"class_ratio": rule}) for rule in ("uniform", "by_error"))
    assert classes_of_extra_images(uniform).max() < 0.16
    sets = by_error.state.sets
    assert sets is not None
    sets.scores[:] = (digits.train.labels == 7) * 3.0
    assert classes_of_extra_images(by_error)[7] > 0.85


CHANGES: tuple[dict[str, Any], ...] = (
    {"classifier": {"class_weights": "balanced"}},
    {"classifier": {"class_weights": "effective_number", "cutmix": 0.5}},
    {"joint": {"class_ratio": "inverse"}},
    {"joint": {"class_ratio": "by_error", "selection": "agree"}},
)


@pytest.mark.parametrize("changes", CHANGES)
def test_it_resumes_bit_for_bit_and_differs(digits: ImageData, changes: dict[str, Any]) -> None:
    images = uneven(digits)
    whole, stopped = trial(images, **changes), trial(images, **changes)
    plain = trial(images, **({"joint": {}} | _without_new(changes)))
    list(whole.run())
    list(plain.run())
    with_it, without = (copy_weights(one.state.classifier) for one in (whole, plain))
    assert differences(with_it, without) != []
    for report in stopped.run():
        if (report.stage, report.step) == ("joint", 1):
            break
    resumed = trial(images, **changes)
    resumed.load_state_dict(unpacked(packed(stopped.state_dict())))
    list(resumed.run())
    assert differences(whole.state_dict(), resumed.state_dict()) == []


def _without_new(changes: dict[str, Any]) -> dict[str, Any]:
    new = {"class_weights", "class_ratio"}
    return {
        part: {name: value for name, value in fields.items() if name not in new}
        for part, fields in changes.items()
    }


def test_the_results_of_every_class(at_joint: Begin, digits: ImageData) -> None:
    running = at_joint()
    before = running.state_dict()
    rows = class_results(running.trainer, copy_weights(running.state.reference))
    recalls = [row.recall for row in rows if row.recall is not None]
    accuracy = evaluate(running.state.reference, running.data.val)["balanced_accuracy"]
    assert sum(recalls) / 10 == pytest.approx(accuracy)
    assert recalls == [row.recall_stage_one for row in rows]
    assert [row.num_train for row in rows] == digits.train_counts()
    assert all(row.num_val == 10 for row in rows)
    for row in rows:
        assert row.agreement is not None
        assert 0 <= row.agreement <= 1
        assert row.diversity is not None
        assert row.diversity > 0
    assert differences(before, running.state_dict()) == []
    plain = at_joint(joint={"extra_images": "none"})
    assert class_results(plain.trainer, copy_weights(plain.state.classifier))[0].agreement is None
