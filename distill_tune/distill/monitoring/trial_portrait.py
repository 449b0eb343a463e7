"""A portrait of a trained trial: features of easy, hard and synthetic images, matched pairs."""

from typing import NamedTuple

import torch
from torch import Tensor

from distill_tune.distill.augmentation import to_float
from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.extra_images import select
from distill_tune.distill.hardness import HardSets, label
from distill_tune.distill.losses import normalise
from distill_tune.distill.monitoring.evaluation import features_and_logits
from distill_tune.distill.trial import Trial

_EACH_KIND = 300
_PER_CLASS = 6
_CANDIDATES = 40


class Space(NamedTuple):
    """Images and their features in a classifier that labelled them; on the CPU.

    Attributes:
        epoch: Epochs of stage 3 behind the classifier; 0: the one at the end of stage 1.
        kinds: Kind of every image: ``easy``, ``hard``, ``synthetic``, or ``selected``: a synthetic
            image that ``joint.selection`` would keep. Easy and hard are those of this classifier.
        labels: ``[n]`` int64.
        features: ``[n, d]`` float32, as the triplet loss uses them.
    """

    epoch: int
    kinds: tuple[str, ...]
    labels: Tensor
    features: Tensor


class Portrait(NamedTuple):
    """Feature spaces of a trial and matched images; on the CPU.

    Attributes:
        spaces: That of F_ref, the classifier at the end of stage 1, then that of the snapshot, in
            which the triplet loss acted last, if images were labelled again in stage 3.
        hard: Hard real images of each class, ``[k, channels, size, size]`` in [-1, 1]; k is at most
            6, less if a class has fewer.
        matched: Synthetic images matched one to one to ``hard`` by the snapshot's features.
    """

    spaces: tuple[Space, ...]
    hard: tuple[Tensor, ...]
    matched: tuple[Tensor, ...]


class _Synthetic(NamedTuple):
    """Synthetic images ``[n, channels, size, size]``, their labels, and which are selected."""

    images: Tensor
    labels: Tensor
    is_selected: Tensor


@torch.no_grad()
def portray(trial: Trial) -> Portrait:
    """Return the portrait of a trial after stage 3, without changing the trial."""
    state, sets = trial.state, trial.state.sets
    if sets is None:
        raise ValueError("a trial has hard and easy images from stage 2 on")
    synthetic = _synthetic(trial)
    spaces = []
    if state.last_refresh > 0:
        first = label(state.reference, trial.data, trial.config, 0)
        spaces.append(_space(trial, state.reference, first, synthetic, 0))
    spaces.append(_space(trial, state.snapshot, sets, synthetic, state.last_refresh))
    return Portrait(tuple(spaces), *_matched(trial, sets))


def _synthetic(trial: Trial) -> _Synthetic:
    """Return images of the averaged generator; whole runs of candidates if some are selected."""
    joint, latent = trial.config.joint, trial.trainer.latent("monitor", _EACH_KIND, 4)
    each = 1 if joint.selection == "none" else joint.candidates
    labels = latent.labels[: len(latent.labels) // each].repeat_interleave(each)
    images = trial.trainer.synthesise(latent._replace(z=latent.z[: len(labels)], labels=labels))
    is_selected = torch.zeros_like(labels, dtype=torch.bool)
    if joint.selection != "none":
        kept = select(trial.state.snapshot, images, labels, each, joint.selection)
        is_selected[kept] = True
    return _Synthetic(images, labels, is_selected)


def _space(
    trial: Trial, classifier: Classifier, sets: HardSets, synthetic: _Synthetic, epoch: int
) -> Space:
    easy, hard = (_some(mask) for mask in (sets.easy, sets.hard))
    real = torch.cat([easy, hard])
    made, _ = features_and_logits(classifier, synthetic.images)
    made = normalise(made, trial.config.joint.feature_norm)
    kinds = ("easy",) * len(easy) + ("hard",) * len(hard)
    return Space(
        epoch=epoch,
        kinds=kinds
        + tuple("selected" if one else "synthetic" for one in synthetic.is_selected.tolist()),
        labels=torch.cat([trial.data.train.labels[real], synthetic.labels]).cpu(),
        features=torch.cat([sets.features[real], made]).cpu(),
    )


def _some(mask: Tensor) -> Tensor:
    """Return the indices of at most ``_EACH_KIND`` evenly spaced images of the mask."""
    chosen = mask.nonzero().squeeze(1)
    if len(chosen) <= _EACH_KIND:
        return chosen
    return chosen[torch.linspace(0, len(chosen) - 1, _EACH_KIND, device=chosen.device).long()]


def _matched(trial: Trial, sets: HardSets) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return hard images and the synthetic ones matched to them, class by class."""
    data, snapshot = trial.data, trial.state.snapshot
    hard, synthetic = [], []
    for number in range(data.num_classes):
        latent = trial.trainer.latent("monitor", _CANDIDATES, 5, number)
        candidates = trial.trainer.synthesise(
            latent._replace(labels=torch.full_like(latent.labels, number))
        )
        members = (sets.hard & (data.train.labels == number)).nonzero().squeeze(1)[:_PER_CLASS]
        images = to_float(data.train.images[members])
        if len(members):
            candidates = candidates[_nearest(snapshot, images, candidates)]
        hard.append(images.cpu())
        synthetic.append(candidates[: len(members)].cpu())
    return tuple(hard), tuple(synthetic)


def _nearest(classifier: Classifier, images: Tensor, candidates: Tensor) -> Tensor:
    from scipy.optimize import linear_sum_assignment

    one, other = (features_and_logits(classifier, batch)[0] for batch in (images, candidates))
    distances = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
    _, columns = linear_sum_assignment(distances.cpu().numpy())
    return torch.as_tensor(columns, device=images.device)
