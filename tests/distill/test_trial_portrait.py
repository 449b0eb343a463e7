"""A trained trial from inside: which images, in which order, and that looking changes nothing."""

import torch
from torch import Tensor

from distill_tune.distill.hardness import label
from distill_tune.distill.monitoring.evaluation import features_and_logits
from distill_tune.distill.monitoring.trial_portrait import portray
from distill_tune.distill.trial import Trial
from tests.distill.conftest import Begin
from tests.distill.tiny import packed


def trained(at_joint: Begin, **joint: object) -> Trial:
    """Return a trial after its last epoch."""
    running = at_joint(joint=joint)
    list(running.run())
    return running


def scaled(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def test_hard_images_stand_beside_synthetic_ones_class_by_class(at_joint: Begin) -> None:
    running = trained(at_joint, epochs=1, min_hard=3)
    found = portray(running)
    data, sets = running.data, running.state.sets
    assert sets is not None
    assert len(found.hard) == len(found.matched) == data.num_classes
    pixels = scaled(data.train.images)
    for number, (images, matched) in enumerate(zip(found.hard, found.matched, strict=True)):
        is_hard = sets.hard & (data.train.labels == number)
        assert len(images) == min(6, int(is_hard.sum()))
        assert images.shape == matched.shape
        assert torch.allclose(images, pixels[is_hard][: len(images)], atol=1e-6)


def test_a_class_with_few_hard_images_shows_each_of_them_once(at_joint: Begin) -> None:
    running = trained(at_joint, epochs=1)
    sets = running.state.sets
    assert sets is not None
    members = (sets.hard & (running.data.train.labels == 4)).nonzero()[:, 0]
    sets.hard[members[2:]] = False
    found = portray(running)
    assert len(found.hard[4]) == len(found.matched[4]) == 2
    sets.hard[members] = False
    assert len(portray(running).hard[4]) == 0


def test_the_spaces_are_those_of_the_classifiers_that_labelled_the_images(at_joint: Begin) -> None:
    running = trained(at_joint, epochs=2, refresh=1, feature_norm="l2")
    first, last = portray(running).spaces
    state, data = running.state, running.data
    sets = (label(state.reference, data, running.config, 0), state.sets)
    assert [first.epoch, last.epoch] == [0, 1]
    for space, labelled, by in zip(
        (first, last), sets, (state.reference, state.snapshot), strict=True
    ):
        assert labelled is not None
        assert space.kinds.count("easy") == int(labelled.easy.sum())
        assert space.kinds.count("hard") == int(labelled.hard.sum())
        assert len(space.kinds) == len(space.labels) == len(space.features)
        expected, _ = features_and_logits(by, scaled(data.train.images[labelled.easy]))
        expected = torch.nn.functional.normalize(expected, dim=1)
        assert torch.allclose(space.features[: len(expected)], expected, atol=1e-4)


def test_images_that_were_labelled_once_have_a_single_space(at_joint: Begin) -> None:
    (only,) = portray(trained(at_joint, epochs=2, refresh="never")).spaces
    assert only.epoch == 0
    assert only.kinds.count("synthetic") == 300


def test_synthetic_images_that_the_selection_keeps_are_marked(at_joint: Begin) -> None:
    running = trained(at_joint, epochs=1, selection="agree", candidates=4)
    (space,) = portray(running).spaces
    made = space.kinds[-300:]
    assert set(made) == {"synthetic", "selected"}
    labels = space.labels[-300:]
    logits = running.state.snapshot.head(space.features[-300:])
    for run in range(0, 300, 4):
        assert made[run : run + 4].count("selected") <= 1
        assert len(labels[run : run + 4].unique()) == 1
    chosen = torch.tensor([kind == "selected" for kind in made])
    assert torch.equal(logits.argmax(1)[chosen], labels[chosen])


def test_a_portrait_changes_nothing_of_its_trial(at_joint: Begin) -> None:
    running = trained(at_joint, epochs=2, refresh=1)
    before = packed(running.state_dict())
    one, other = portray(running), portray(running)
    assert packed(running.state_dict()) == before
    assert all(map(torch.equal, one.matched, other.matched))
