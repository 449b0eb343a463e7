"""A portrait of a trained trial: features of easy, hard and synthetic images, matched pairs."""

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from distill_tune.distill.augmentation import to_float
from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.monitoring.evaluation import features_and_logits
from distill_tune.distill.trial import Trial

_EACH_KIND = 300
_PER_CLASS = 6
_CANDIDATES = 40


class Portrait(NamedTuple):
    """Images of three kinds and their features in two classifiers; on the CPU.

    Attributes:
        kinds: Kind of every image: ``easy``, ``hard`` or ``synthetic``, in this order.
        labels: ``[n]`` int64.
        first: ``[n, d]`` float32: features in F_ref, the classifier at the end of stage 1.
        final: ``[n, d]`` float32: features in the current classifier.
        hard: ``[classes * k, channels, size, size]`` in [-1, 1]: hard real images, class by class.
        matched: Synthetic images matched one to one to ``hard``, of the same shape.
        per_class: k.
    """

    kinds: tuple[str, ...]
    labels: Tensor
    first: Tensor
    final: Tensor
    hard: Tensor
    matched: Tensor
    per_class: int


@torch.no_grad()
def portray(trial: Trial) -> Portrait:
    """Return the portrait of a trial after stage 3, without changing the trial."""
    sets, data = trial.state.sets, trial.data
    if sets is None:
        raise ValueError("a trial has hard and easy images from stage 2 on")
    latent = trial.trainer.latent("monitor", _EACH_KIND, 4)
    synthetic = trial.trainer.synthesise(latent)
    easy, hard = (_some(mask) for mask in (sets.easy, sets.hard))
    real = torch.cat([easy, hard])
    images = torch.cat([to_float(data.train.images[real]), synthetic])
    first, _ = features_and_logits(trial.state.reference, images)
    final, _ = features_and_logits(trial.state.classifier, images)
    pairs = _matched(trial, sets)
    return Portrait(
        kinds=("easy",) * len(easy) + ("hard",) * len(hard) + ("synthetic",) * len(synthetic),
        labels=torch.cat([data.train.labels[real], latent.labels]).cpu(),
        first=first.cpu(),
        final=final.cpu(),
        hard=pairs[0].cpu(),
        matched=pairs[1].cpu(),
        per_class=_PER_CLASS,
    )


def _some(mask: Tensor) -> Tensor:
    """Return the indices of at most ``_EACH_KIND`` evenly spaced images of the mask."""
    chosen = mask.nonzero().squeeze(1)
    if len(chosen) <= _EACH_KIND:
        return chosen
    return chosen[torch.linspace(0, len(chosen) - 1, _EACH_KIND, device=chosen.device).long()]


def _matched(trial: Trial, sets: HardSets) -> tuple[Tensor, Tensor]:
    """Return hard images and synthetic ones matched to them in F_ref's space, class by class."""
    data, reference = trial.data, trial.state.reference
    hard, synthetic = [], []
    for label in range(data.num_classes):
        latent = trial.trainer.latent("monitor", _CANDIDATES, 5, label)
        candidates = trial.trainer.synthesise(
            latent._replace(labels=torch.full_like(latent.labels, label))
        )
        is_class = data.train.labels == label
        members = (sets.hard & is_class).nonzero().squeeze(1)
        members = members if len(members) else is_class.nonzero().squeeze(1)
        # A class with fewer hard images repeats them.
        members = members[torch.arange(_PER_CLASS, device=members.device) % len(members)]
        images = to_float(data.train.images[members])
        order = _nearest(reference, images, candidates)
        hard.append(images)
        synthetic.append(candidates[order])
    return torch.cat(hard), torch.cat(synthetic)


def _nearest(reference: Classifier, images: Tensor, candidates: Tensor) -> Tensor:
    one, other = (features_and_logits(reference, batch)[0] for batch in (images, candidates))
    distances = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
    _, columns = linear_sum_assignment(distances.cpu().numpy())
    return torch.as_tensor(columns, device=images.device)
