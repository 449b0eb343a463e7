"""All that is random in a step of the GAN, drawn before the step computes anything."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from distill_tune.distill.augmentation import Changes, GanAugmentation, to_float
from distill_tune.distill.compute.batches import Key
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.random_streams import Purpose, integers, normal, stream, uniform
from distill_tune.distill.gan_loss_terms import in_pairs, other_labels
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.pairing import Pairs, draw_pairs
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.distill.trial_state import TrialState
from distill_tune.distill.unlabelled import SnapshotNames, beside, unlabelled_batch


class Latent(NamedTuple):
    """Input of the generator: ``z [n, latent_dim]`` and classes ``labels [n]``."""

    z: Tensor
    labels: Tensor


class DiscriminatorInput(NamedTuple):
    """Input of a discriminator step.

    Attributes:
        real: ``[n, channels, size, size]`` in [-1, 1].
        latent: Of as many synthetic images.
        asked: Labels that D is asked about, for real, synthetic and unlabelled images.
        changes: Of the real and of the synthetic images.
        others: Images without labels and their changes; None: there are none.
    """

    real: Tensor
    latent: Latent
    asked: Tensor
    changes: tuple[Changes, Changes]
    others: tuple[Tensor, Changes] | None


class GeneratorInput(NamedTuple):
    """Input of a generator step.

    Attributes:
        latent: Of the synthetic images.
        asked: Labels that D is asked about.
        changes: Of the images before D sees them.
        pairs: Hard and easy images of the triplet loss, not matched yet; None without it.
    """

    latent: Latent
    asked: Tensor
    changes: Changes
    pairs: Pairs | None


@dataclass(frozen=True)
class GanDraws:
    """The random numbers of a trial's GAN; they depend only on the trial's seed and the step."""

    config: TrialConfig
    data: DeviceData
    state: TrialState

    @property
    def augmentation(self) -> GanAugmentation:
        """The GAN's augmentation T."""
        gan = self.config.gan
        return GanAugmentation(gan.shift, gan.cutout, gan.color)

    @property
    def unlabelled_weight(self) -> float:
        """Weight of the images without labels; 0 if there are none."""
        return 0.0 if self.data.unlabelled is None else self.config.gan.unlabelled_weight

    @property
    def mode_seeking(self) -> float:
        """Weight of the mode-seeking term in the current stage."""
        own = self.config.joint.mode_seeking if self.state.stage == "joint" else None
        return self.config.gan.mode_seeking if own is None else own

    @cached_property
    def _names(self) -> SnapshotNames:
        return SnapshotNames(self.state, self.data, self.config.joint.name_threshold)

    def latent(self, purpose: Purpose, count: int, *counters: int) -> Latent:
        """Draw ``z`` and uniform classes."""
        generator = stream(self.config.seed, purpose, *counters, device=self.data.device)
        z = normal((count, self.config.gan.latent_dim), generator)
        return Latent(z, integers(self.data.num_classes, (count,), generator))

    def real_batch(self, step: int, repeat: int) -> tuple[Tensor, Tensor]:
        """Return real images in [-1, 1] and labels, all classes equally likely."""
        generator = stream(self.config.seed, "real", step, repeat, device=self.data.device)
        count = self.config.gan.batch_size
        labels = integers(self.data.num_classes, (count,), generator)
        chosen = self.data.by_class.draw(labels, uniform((count,), generator))
        images = to_float(self.data.train.images[chosen])
        if self.data.flip:
            is_mirrored = uniform((count, 1, 1, 1), generator) < 0.5
            images = torch.where(is_mirrored, images.flip(3), images)
        return images, labels

    def pairs(self, labels: Tensor, sets: HardSets, step: int) -> Pairs:
        """Draw a hard and an easy image for every label ``[n]``."""
        draw = stream(self.config.seed, "pairing", step, device=labels.device)
        return draw_pairs(labels, sets, self.config.joint.pairing, draw)

    def for_discriminator(self, repeat: int) -> DiscriminatorInput:
        """Draw the input of one of the discriminator steps before a generator step."""
        step, gan = self.state.gan.step, self.config.gan
        real, labels = self.real_batch(step, repeat)
        latent = self.latent("z", gan.batch_size, step, repeat)
        asked = torch.cat([labels, latent.labels])
        if gan.mismatch > 0:
            draw = stream(self.config.seed, "mismatch", step, repeat, device=asked.device)
            wrong = other_labels(asked, self.data.num_classes, draw)
            asked = torch.stack([asked, wrong], dim=1)
        others = None
        if self.unlabelled_weight > 0:
            key: Key = (self.config.seed, "unlabelled", step, repeat)
            images, names = unlabelled_batch(self.data, self._names.newest(), len(real), key)
            asked = beside(asked, names)
            others = images, self._changes(step, repeat, "unlabelled")
        changes = self._changes(step, repeat, "real"), self._changes(step, repeat, "fake")
        return DiscriminatorInput(real, latent, asked, changes, others)

    def for_generator(self, sets: HardSets | None) -> GeneratorInput:
        """Draw the input of a generator step.

        Args:
            sets: Images of the triplet loss; None without it.
        """
        step, gan = self.state.gan.step, self.config.gan
        latent = self.latent("z", gan.batch_size, step, -1)
        if self.mode_seeking != 0:
            latent = latent._replace(labels=in_pairs(latent.labels))
        labels = latent.labels
        asked = beside(labels) if self.unlabelled_weight > 0 else labels
        pairs = None if sets is None else self.pairs(labels, sets, step)
        return GeneratorInput(latent, asked, self._changes(step, "generator"), pairs)

    def _changes(self, *counters: int | str) -> Changes:
        generator = stream(self.config.seed, "diffaugment", *counters, device=self.data.device)
        shape = (self.config.gan.batch_size, *self.data.train.images.shape[1:])
        return self.augmentation.draw(shape, generator)
