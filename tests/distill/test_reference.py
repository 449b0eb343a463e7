"""The real sides of the monitors: measured once; KID by hand; what is measured now and then."""

import dataclasses

import pytest
import torch
from torch import Tensor

from distill_tune.distill.augmentation import to_float
from distill_tune.distill.monitoring import diversity
from distill_tune.distill.monitoring.diversity import FeatureSet, kernel_distance
from distill_tune.distill.monitoring.epoch_metrics import measure
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Trial
from tests.distill.conftest import Begin
from tests.distill.tiny import differences


def distance(one: Tensor, other: Tensor) -> float:
    """Return the kernel distance of two sets of features, whatever their labels."""
    sets = (FeatureSet(each, torch.zeros(len(each)).long()) for each in (one, other))
    return kernel_distance(*sets)


def test_the_kernel_distance_is_about_zero_for_equal_distributions_and_grows() -> None:
    generator = torch.Generator().manual_seed(0)
    one, same, other = torch.randn(3, 400, 8, generator=generator)
    assert abs(distance(one, same)) < 0.05
    near, far = distance(one, other + 0.5), distance(one, other + 2)
    assert 0.1 < near < far
    assert distance(one, same) == pytest.approx(distance(same, one), abs=1e-9)
    assert distance(one[:1], same) == 0


def test_the_kernel_distance_by_hand() -> None:
    one, other = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])
    within = (0 * 1 + 1) ** 3 + (0 * 2 + 1) ** 3
    across = (1 + 1 + 1 + (2 + 1) ** 3) / 4
    assert distance(one, other) == pytest.approx(within - 2 * across)


def test_real_images_in_place_of_synthetic_ones_are_as_diverse_however_few(at_joint: Begin) -> None:
    running = at_joint()
    sets, trainer = running.state.sets, running.trainer
    assert sets is not None
    every = dataclasses.replace(sets, hard=torch.ones_like(sets.hard))
    for count in (20, 40, len(every.hard)):
        joint = trainer.config.joint.model_copy(update={"monitor_images": count})
        config = trainer.config.model_copy(update={"joint": joint})
        reference = Reference.measure(dataclasses.replace(trainer, config=config))
        places = torch.linspace(0, len(every.hard) - 1, count).long()
        images = to_float(trainer.data.train.images[places])
        found = measure(trainer, reference, images, every)["rank_ratio"]
        assert found == pytest.approx(1, abs=0.02), count


def test_real_sides_are_measured_once_for_each_hard_set(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = at_joint()
    sets, trainer = running.state.sets, running.trainer
    assert sets is not None
    reference = Reference.measure(trainer)
    images = trainer.synthesise(reference.latent)
    rank = diversity.effective_rank
    measured: list[int] = []

    def counting(features: Tensor) -> float:
        measured.append(len(features))
        return rank(features)

    monkeypatch.setattr(diversity, "effective_rank", counting)
    first = measure(trainer, reference, images, sets)
    assert len(measured) == 2
    assert measure(trainer, reference, images, sets) == first
    assert len(measured) == 3
    others = dataclasses.replace(sets, hard=sets.easy)
    changed = measure(trainer, reference, images, others)
    assert len(measured) == 5
    assert changed == measure(trainer, Reference.measure(trainer), images, others) != first


def test_what_nothing_is_decided_by_is_measured_now_and_then(at_joint: Begin) -> None:
    def run(every: int) -> tuple[Trial, list[dict[str, float]]]:
        running = at_joint(joint={"epochs": 5, "monitor_every": every})
        return running, [dict(report.metrics) for report in running.run()]

    (often, all_metrics), (seldom, some_metrics) = run(1), run(3)
    rare = {f"synthetic/{name}" for name in ("vendi", "kid_hard", "kid_all", "nearest_ratio")}
    rare |= {"gan/gradient_adversarial", "gan/gradient_triplet"}
    left_out = [a.keys() - b.keys() for a, b in zip(all_metrics, some_metrics, strict=True)]
    assert left_out == [set(), rare, set(), rare, set()]
    for every_time, now_and_then in zip(all_metrics, some_metrics, strict=True):
        assert now_and_then.items() <= every_time.items()
    assert differences(often.state_dict(), seldom.state_dict()) == []
