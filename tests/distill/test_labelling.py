"""LABEL with a real classifier on real digits: it reads, and what it says is plausible."""

import torch

from distill_tune.distill.hardness import assemble, label, score
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.evaluation import features_and_logits
from tests.distill.conftest import Begin
from tests.distill.tiny import differences


def test_labelling_leaves_the_classifier_as_it_was(at_joint: Begin) -> None:
    trial = at_joint()
    classifier = trial.state.classifier.train()
    before, state = copy_weights(classifier), torch.get_rng_state()
    label(classifier, trial.data, trial.config, 3)
    assert differences(before, copy_weights(classifier)) == []
    assert classifier.training
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert torch.equal(state, torch.get_rng_state())


def test_a_real_classifier_errs_more_on_hard_images_than_on_easy_ones(at_joint: Begin) -> None:
    trial = at_joint()
    sets = label(trial.state.snapshot, trial.data, trial.config, 0)
    _, logits = features_and_logits(trial.state.snapshot, trial.data.train.images)
    is_right = (logits.argmax(1) == trial.data.train.labels).float()
    assert is_right[sets.hard].mean().item() < is_right[sets.easy].mean().item() - 0.1
    assert sets.scores[sets.hard].min().item() > 0
    assert sets.hard_pools.counts.tolist() == [8] * 10


def test_scores_are_means_over_draws_that_the_moment_keys(at_joint: Begin) -> None:
    trial = at_joint()
    inputs = trial.state.snapshot, trial.data, trial.config
    first, probabilities = score(*inputs, 1)
    assert torch.equal(first, score(*inputs, 1)[0])
    assert not torch.equal(first, score(*inputs, 2)[0])
    assert torch.allclose(probabilities.sum(1), torch.ones(len(first)), atol=1e-5)


def test_features_are_on_the_sphere_only_where_the_loss_wants_them_there(at_joint: Begin) -> None:
    sets = {}
    for norm in ("scale", "l2"):
        trial = at_joint(joint={"feature_norm": norm})
        sets[norm] = label(trial.state.snapshot, trial.data, trial.config, 0)
    norms = sets["l2"].features.norm(dim=1)
    assert torch.allclose(norms, torch.ones(len(norms)), atol=1e-5)
    assert 0 < sets["l2"].scale < 2
    assert torch.equal(sets["scale"].hard, sets["l2"].hard)
    assert sets["scale"].features.dtype == torch.float32


def test_sets_put_together_again_from_a_checkpoint_are_the_same(at_joint: Begin) -> None:
    trial = at_joint()
    inputs = trial.state.snapshot, trial.data, trial.config
    sets = label(*inputs, 0)
    again = assemble(*inputs, sets.state_dict(), sets.num_clamped)
    assert differences(vars(sets), vars(again)) == []


def test_a_class_without_hard_images_adds_nothing_to_the_triplet_loss(at_joint: Begin) -> None:
    trial = at_joint(joint={"pairing": "class", "margin": 5.0})
    sets = trial.state.sets
    assert sets is not None
    sets.hard_pools.counts[3] = 0
    latent = trial.trainer.latent("z", 80, 0)
    images = trial.trainer.synthesise(latent).requires_grad_()
    hinge = trial.trainer.triplet_hinge(images, latent.labels, 0)
    assert torch.equal(hinge == 0, latent.labels == 3)
    hinge.sum().backward()
    assert images.grad is not None
    assert torch.equal((images.grad == 0).flatten(1).all(1), latent.labels == 3)
