"""A trained trial from inside: which images, in which order, and that looking changes nothing."""

import torch

from distill_tune.distill.monitoring.evaluation import features_and_logits
from distill_tune.distill.monitoring.trial_portrait import portray
from tests.distill.conftest import Begin
from tests.distill.tiny import packed


def test_hard_images_stand_beside_synthetic_ones_class_by_class(at_joint: Begin) -> None:
    running = at_joint(joint={"epochs": 1, "min_hard": 3})
    list(running.run())
    found = portray(running)
    data, sets = running.data, running.state.sets
    assert sets is not None
    assert found.hard.shape == found.matched.shape
    assert len(found.hard) == data.num_classes * found.per_class
    pixels = data.train.images.float() / 127.5 - 1
    for place, image in enumerate(found.hard):
        same = [torch.allclose(image, other, atol=1e-6) for other in pixels]
        number = same.index(True)
        assert sets.hard[number]
        assert data.train.labels[number] == place // found.per_class


def test_every_image_is_seen_by_both_classifiers(at_joint: Begin) -> None:
    running = at_joint(joint={"epochs": 1})
    list(running.run())
    found = portray(running)
    sets = running.state.sets
    assert sets is not None
    assert found.kinds.count("easy") == int(sets.easy.sum())
    assert found.kinds.count("hard") == int(sets.hard.sum())
    assert len(found.kinds) == len(found.labels) == len(found.first) == len(found.final)
    easy = running.data.train.images[sets.easy].float() / 127.5 - 1
    expected, _ = features_and_logits(running.state.reference, easy)
    assert torch.allclose(found.first[: len(easy)], expected, atol=1e-4)
    assert not torch.allclose(found.first, found.final)


def test_a_portrait_changes_nothing_of_its_trial(at_joint: Begin) -> None:
    running = at_joint(joint={"epochs": 1})
    list(running.run())
    before = packed(running.state_dict())
    one, other = portray(running), portray(running)
    assert packed(running.state_dict()) == before
    assert torch.equal(one.matched, other.matched)
