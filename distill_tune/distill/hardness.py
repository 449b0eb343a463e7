"""Hard and easy training images for the current state of a classifier (LABEL)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill.augmentation import WeakChanges
from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.compute.device_data import ClassPools, DeviceData
from distill_tune.distill.compute.large_images import parts_of
from distill_tune.distill.compute.random_streams import stream
from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.losses import normalise
from distill_tune.distill.monitoring.evaluation import (
    features_and_logits,
    image_batches,
    of_batches,
)
from distill_tune.distill.trial_config import TrialConfig

_DRAWS = 4
_TRIM = 0.02
_LEAST_SHARE, _GREATEST_SHARE = 0.05, 0.6


@dataclass(frozen=True)
class HardSets:
    """The training images by difficulty, and their features under the same classifier.

    Attributes:
        scores: ``[n]`` mean cross-entropy over augmented draws; higher is harder.
        hard: ``[n]`` bool.
        easy: ``[n]`` bool, disjoint from ``hard``.
        hard_pools: Per class, the pool from which a triplet's hard sample is drawn: its own hard
            images; those of all classes only if the class has no images.
        easy_pools: The same for easy samples; a class with a single image, which is hard, uses
            those of all classes.
        any_hard: One pool of the hard images of all classes.
        any_easy: One pool of the easy images of all classes.
        features: ``[n, d]`` float32, normalised as the loss requires.
        scale: s, the median over classes of the distance between a hard and an easy image.
        num_clamped: Number of classes whose hard set the size limits enlarged or reduced.
    """

    scores: Tensor
    hard: Tensor
    easy: Tensor
    hard_pools: ClassPools
    easy_pools: ClassPools
    any_hard: ClassPools
    any_easy: ClassPools
    features: Tensor
    scale: float
    num_clamped: int

    def state_dict(self) -> dict[str, Any]:
        """Return the content of a checkpoint; features are recomputed from the snapshot."""
        return {
            "scores": self.scores,
            "hard": self.hard,
            "easy": self.easy,
            "scale": self.scale,
            "num_clamped": self.num_clamped,
        }


class Scores(NamedTuple):
    """The difficulty of every training image for a classifier: means over augmented draws.

    Attributes:
        losses: ``[n]`` cross-entropies.
        probabilities: ``[n, num_classes]``.
    """

    losses: Tensor
    probabilities: Tensor


def label(
    classifier: Classifier,
    data: DeviceData,
    config: TrialConfig,
    moment: int,
    scored: Scores | None = None,
) -> HardSets:
    """Return the training images that are hard and easy for ``classifier`` (METHOD: LABEL(F)).

    Args:
        classifier: F, not changed.
        data: Training images.
        config: Rule, threshold and seed.
        moment: Identifies this labelling within the trial; seeds the augmentation.
        scored: Result of :func:`score` for the same ``moment``, if already computed.
    """
    scores, probabilities = scored or score(classifier, data, config, moment)
    hard, easy = _apply_rule(scores, probabilities, data, config.joint)
    num_clamped = 0
    for members in _members(data):
        num_clamped += _guard(members, hard, easy, scores, config.joint)
    easy &= ~hard
    for members in _members(data):
        _fill_easy(members, hard, easy, scores)
    return assemble(
        classifier, data, config, {"scores": scores, "hard": hard, "easy": easy}, num_clamped
    )


def assemble(
    classifier: Classifier,
    data: DeviceData,
    config: TrialConfig,
    sets: dict[str, Any],
    num_clamped: int,
) -> HardSets:
    """Return the sets with pools and with features from the classifier that defined them."""
    features, _ = features_and_logits(classifier, data.train.images)
    features = normalise(features, config.joint.feature_norm)
    hard, easy = sets["hard"], sets["easy"]
    return HardSets(
        scores=sets["scores"],
        hard=hard,
        easy=easy,
        hard_pools=_pools(hard, data),
        easy_pools=_pools(easy, data),
        any_hard=ClassPools.of([hard.nonzero().squeeze(1)]),
        any_easy=ClassPools.of([easy.nonzero().squeeze(1)]),
        features=features,
        scale=sets.get("scale") or median_distance(features, hard, easy, data.train.labels),
        num_clamped=num_clamped,
    )


def score(classifier: Classifier, data: DeviceData, config: TrialConfig, moment: int) -> Scores:
    """Return scores under augmentation.

    They are less saturated than one pass without augmentation, in which most training images have
    a loss of 0. The draws are always shifts, regardless of ``classifier.augmentation``: with four
    draws of a stronger augmentation, ranks would depend on the draws rather than on the images.
    """
    labels, shift = data.train.labels, config.classifier.shift
    losses, probabilities = [], []
    for draw in range(_DRAWS):
        own = stream(config.seed, "score", moment, draw, device=data.device)
        changed = (
            _changed(classifier, part, shift, data, own) for part in parts_of(data.train.images)
        )
        logits = torch.cat([of_batches(classifier, batches)[1] for batches in changed])
        losses.append(F.cross_entropy(logits, labels, reduction="none"))
        probabilities.append(logits.softmax(1))
    return Scores(torch.stack(losses).mean(0), torch.stack(probabilities).mean(0))


def _changed(
    classifier: Classifier, part: Tensor, shift: float, data: DeviceData, own: torch.Generator
) -> Iterator[Tensor]:
    """Yield shifted and mirrored images in batches; only one is in memory as float32."""
    changes = WeakChanges.draw(part.shape, max_shift=shift, flip=data.flip, generator=own)
    start = 0
    for batch in image_batches(part, classifier):
        yield changes.apply(batch, start)
        start += len(batch)


def median_distance(features: Tensor, hard: Tensor, easy: Tensor, labels: Tensor) -> float:
    """Return s, the median over classes of the median distance |phi_h - phi_e| within a class."""
    medians = []
    for number in labels.unique():
        is_class = labels == number
        pair = features[is_class & hard], features[is_class & easy]
        if len(pair[0]) and len(pair[1]):
            distances = torch.cdist(*pair, compute_mode="donot_use_mm_for_euclid_dist")
            medians.append(distances.median())
    if not medians:
        return 1.0
    return max(torch.stack(medians).median().item(), 1e-8)


def turnover(before: HardSets, now: HardSets) -> float:
    """Return 1 - Jaccard index of two hard sets: 0 = identical, 1 = disjoint."""
    both = (before.hard & now.hard).sum().item()
    either = (before.hard | now.hard).sum().item()
    return 1 - both / either if either else 0.0


def _apply_rule(
    scores: Tensor, probabilities: Tensor, data: DeviceData, joint: JointTraining
) -> tuple[Tensor, Tensor]:
    labels = data.train.labels
    if joint.hard_rule == "quantile":
        hard, easy = torch.zeros_like(labels, dtype=torch.bool), torch.zeros_like(labels).bool()
        for members in _members(data):
            ranked = _hardest_first(members, scores)
            trim = int(_TRIM * len(ranked))
            count = round(joint.hard_threshold * len(ranked))
            hard[ranked[trim : trim + count]] = True
            easy[ranked[len(ranked) - len(ranked) // 2 :]] = True
        return hard, easy
    if joint.hard_rule == "confidence":
        true_class = probabilities.gather(1, labels[:, None]).squeeze(1)
        hard = true_class < joint.hard_threshold
    else:
        hard = probabilities.argmax(1) != labels
    return hard, ~hard


def _members(data: DeviceData) -> list[Tensor]:
    rows = zip(data.by_class.indices, data.by_class.counts.tolist(), strict=True)
    return [row[:count] for row, count in rows]


def _hardest_first(members: Tensor, scores: Tensor) -> Tensor:
    return members[scores[members].argsort(descending=True, stable=True)]


def _limits(size: int, joint: JointTraining) -> tuple[int, int]:
    """Return the smallest and largest number of hard images in a class of ``size`` images.

    In a class too small for ``min_hard``, both equal the largest allowed share, but at least one
    image if the class has any.
    """
    greatest = max(int(_GREATEST_SHARE * size), min(size, 1))
    return min(max(joint.min_hard, round(_LEAST_SHARE * size)), greatest), greatest


def _guard(
    members: Tensor, hard: Tensor, easy: Tensor, scores: Tensor, joint: JointTraining
) -> int:
    """Clamp one class's hard set by rank, in place; return 1 if it changed.

    If the set is enlarged, the trimmed images ranked above it are not easy either.
    """
    least, greatest = _limits(len(members), joint)
    count = int(hard[members].sum())
    if least <= count <= greatest:
        return 0
    ranked = _hardest_first(members, scores)
    if count > greatest:
        ranked = ranked[hard[ranked]]
        hard[ranked[greatest:]] = False
    else:
        trim = min(int(_TRIM * len(ranked)), len(ranked) - least)
        hard[members] = False
        hard[ranked[trim : trim + least]] = True
        easy[ranked[:trim]] = False
    return 1


def _fill_easy(members: Tensor, hard: Tensor, easy: Tensor, scores: Tensor) -> None:
    """Mark the easier half of non-hard images as easy if the class has no easy images."""
    if not easy[members].any():
        ranked = _hardest_first(members, scores)
        rest = ranked[~hard[ranked]]
        easy[rest[len(rest) // 2 :]] = True


def _pools(chosen: Tensor, data: DeviceData) -> ClassPools:
    """Return the chosen images by class; a class without any gets those of all classes."""
    everyone = chosen.nonzero().squeeze(1)
    own = [members[chosen[members]] for members in _members(data)]
    return ClassPools.of([pool if len(pool) else everyone for pool in own])
