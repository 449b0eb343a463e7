"""Training steps of the GAN: stage 2 (warm-up, then triplet loss) and its part of stage 3."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from distill_tune.distill.augmentation import GanAugmentation, to_float
from distill_tune.distill.classifier_stage import set_lr
from distill_tune.distill.compute.batches import Key
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.execution import Execution
from distill_tune.distill.compute.random_streams import Purpose, integers, normal, stream, uniform
from distill_tune.distill.gan_loss_terms import (
    GanLosses,
    in_pairs,
    other_labels,
    sameness,
    weighted_hinge,
)
from distill_tune.distill.losses import (
    discriminator_hinge,
    generator_hinge,
    lecam_penalty,
    mismatch_hinge,
)
from distill_tune.distill.monitoring.diversity import class_spreads
from distill_tune.distill.monitoring.evaluation import EVALUATION_BATCH, ensure_training
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.distill.trial_state import GanState, TrialState
from distill_tune.distill.unlabelled import (
    SnapshotNames,
    averaged,
    beside,
    mixed_hinge,
    unlabelled_batch,
)

_LECAM_DECAY = 0.99


class Latent(NamedTuple):
    """Input of the generator: ``z [n, latent_dim]`` and classes ``labels [n]``."""

    z: Tensor
    labels: Tensor


@dataclass(frozen=True)
class GanTrainer:
    """The training steps of a trial's GAN; draws depend only on the trial's seed and the step."""

    config: TrialConfig
    data: DeviceData
    state: TrialState
    execution: Execution

    @property
    def augmentation(self) -> GanAugmentation:
        """The GAN's augmentation T."""
        gan = self.config.gan
        return GanAugmentation(gan.shift, gan.cutout, gan.color)

    @cached_property
    def _spreads(self) -> Tensor:
        return class_spreads(self.data.train.images, self.data.by_class)

    @cached_property
    def _names(self) -> SnapshotNames:
        return SnapshotNames(self.state, self.data, self.config.joint.name_threshold)

    @property
    def _unlabelled_weight(self) -> float:
        return 0.0 if self.data.unlabelled is None else self.config.gan.unlabelled_weight

    def class_signal(self) -> float:
        """Return the current strength of the class input, in [0, 1]."""
        ramp = self.config.gan.class_ramp_steps
        return 1.0 if ramp == 0 else min(1.0, self.state.gan.step / ramp)

    def run(self, network: nn.Module, *inputs: Tensor) -> Tensor:
        """Call one of the GAN's networks with the class signal and the configured execution."""
        signal = self.class_signal()
        execution = self.execution if signal == 1 else self.execution.uncompiled
        return execution(network, *inputs, signal)

    def step(
        self, *, lr: float, triplet_weight: float, ema_decay: float | None = None
    ) -> GanLosses:
        """Train D, then G once, and update the moving average.

        Args:
            lr: Learning rate of both.
            triplet_weight: Current lambda; 0 skips the triplet loss.
            ema_decay: Decay of the moving average; None: as configured.
        """
        gan = self.state.gan
        set_lr(gan.generator_optimizer, lr)
        set_lr(gan.discriminator_optimizer, lr)
        ensure_training(gan.generator, gan.discriminator)
        is_gpu = self.data.device.type == "cuda"
        loss = torch.zeros((), device=self.data.device)
        for repeat in range(self.config.gan.num_discriminator_steps(is_gpu=is_gpu)):
            loss = self._discriminator_step(repeat)
        losses = self._generator_step(triplet_weight)
        gan.average.move(ema_decay)
        gan.step += 1
        return losses._replace(discriminator=loss)

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

    def _augment(self, images: Tensor, *counters: int | str) -> Tensor:
        generator = stream(self.config.seed, "diffaugment", *counters, device=self.data.device)
        return self.augmentation(images, generator)

    def _discriminator_step(self, repeat: int) -> Tensor:
        gan = self.state.gan
        real, labels = self.real_batch(gan.step, repeat)
        latent = self.latent("z", self.config.gan.batch_size, gan.step, repeat)
        with torch.no_grad():
            fake = self.run(gan.generator, *latent)
        images = torch.cat(
            [
                self._augment(real, gan.step, repeat, "real"),
                self._augment(fake, gan.step, repeat, "fake"),
            ]
        )
        asked = torch.cat([labels, latent.labels])
        mismatch = self.config.gan.mismatch
        if mismatch > 0:
            draw = stream(self.config.seed, "mismatch", gan.step, repeat, device=asked.device)
            wrong = other_labels(asked, self.data.num_classes, draw)
            asked = torch.stack([asked, wrong], dim=1)
        weight = self._unlabelled_weight
        if weight > 0:
            key: Key = (self.config.seed, "unlabelled", gan.step, repeat)
            others, names = unlabelled_batch(self.data, self._names.newest(), len(real), key)
            images = torch.cat([images, self._augment(others, gan.step, repeat, "unlabelled")])
            asked = beside(asked, names)
        logits = self.run(gan.discriminator, images, asked).view(len(asked), -1)
        real_logits, fake_logits = logits[: 2 * len(real), 0].chunk(2)
        loss = discriminator_hinge(real_logits, fake_logits)
        if weight > 0:
            loss = mixed_hinge(loss, logits, len(real), weight)
        loss = loss + self._lecam(gan, real_logits, fake_logits)
        if mismatch > 0:
            loss = loss + mismatch * self.class_signal() * mismatch_hinge(logits[: len(real), 1])
        gan.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gan.discriminator_optimizer.step()
        return loss.detach()

    def _lecam(self, gan: GanState, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        means = torch.stack([real_logits.mean(), fake_logits.mean()]).detach()
        gan.logit_averages.lerp_(means, 1.0 if gan.step == 0 else 1 - _LECAM_DECAY)
        if self.config.gan.lecam == 0 or gan.step < self.config.gan.lecam_start:
            return torch.zeros((), device=real_logits.device)
        averages = gan.logit_averages.clone()
        return self.config.gan.lecam * lecam_penalty(
            real_logits, fake_logits, averages[0], averages[1]
        )

    def _generator_step(self, triplet_weight: float) -> GanLosses:
        gan = self.state.gan
        latent = self.latent("z", self.config.gan.batch_size, gan.step, -1)
        mode_seeking = self.config.gan.mode_seeking
        if mode_seeking > 0:
            latent = latent._replace(labels=in_pairs(latent.labels))
        fake = self.run(gan.generator, *latent)
        gan.discriminator.requires_grad_(requires_grad=False)
        augmented = self._augment(fake, gan.step, "generator")
        weight, asked = self._unlabelled_weight, latent.labels
        logits = self.run(gan.discriminator, augmented, beside(asked) if weight > 0 else asked)
        gan.discriminator.requires_grad_(requires_grad=True)
        adversarial = generator_hinge(logits if weight == 0 else logits[:, 0])
        if weight > 0:
            adversarial = averaged(adversarial, generator_hinge(logits[:, 1]), weight)
        loss = adversarial
        triplet = active = torch.zeros((), device=fake.device)
        if triplet_weight > 0:
            hinge = self.triplet_hinge(fake, latent.labels, gan.step)
            triplet, active = hinge.mean(), (hinge.detach() > 0).float().mean()
            loss = loss + triplet_weight * triplet
        if mode_seeking > 0:
            loss = loss + mode_seeking * sameness(fake, latent.labels, self._spreads)
        gan.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gan.generator_optimizer.step()
        return GanLosses(adversarial.detach(), adversarial.detach(), triplet.detach(), active)

    def triplet_hinge(self, fake: Tensor, labels: Tensor, step: int) -> Tensor:
        """Return the hinge of every synthetic image; gradients flow only to ``fake``.

        Fs is in eval mode and its parameters require no gradient, but it does not run under
        ``no_grad``. The computation is in float32 even under autocast.

        Args:
            fake: ``[n, channels, size, size]`` in [-1, 1].
            labels: ``[n]``.
            step: Seeds the draw of pairs.
        """
        sets, joint = self.state.sets, self.config.joint
        assert sets is not None, "the triplet loss needs labelled images"  # noqa: S101
        draw = stream(self.config.seed, "pairing", step, device=fake.device)
        return weighted_hinge(self.state.snapshot, sets, joint, (fake, labels), draw)

    @torch.no_grad()
    def synthesise(self, latent: Latent) -> Tensor:
        """Return images of the averaged generator, float32 in [-1, 1], without gradient.

        They are made in batches of 250: a thousand at once would be a trial's peak of memory.
        """
        z, labels = (part.split(EVALUATION_BATCH) for part in latent)
        ema, signal = self.state.gan.ema, self.class_signal()
        return torch.cat([ema(*batch, signal) for batch in zip(z, labels, strict=True)])
