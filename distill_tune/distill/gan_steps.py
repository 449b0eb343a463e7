"""Training steps of the GAN: stage 2 (warm-up, then triplet loss) and its part of stage 3."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from distill_tune.distill.classifier_stage import set_lr
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.execution import Execution
from distill_tune.distill.compute.fixed_buffers import FixedBuffers, Ramps
from distill_tune.distill.compute.large_images import joined
from distill_tune.distill.compute.random_streams import Purpose, seed_global
from distill_tune.distill.gan_draws import DiscriminatorInput, GanDraws, GeneratorInput, Latent
from distill_tune.distill.gan_loss_terms import (
    GanLosses,
    Made,
    Targets,
    anchors_of,
    sameness,
    targets_of,
    weighted_hinge,
)
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.losses import (
    discriminator_hinge,
    generator_hinge,
    lecam_penalty,
    margin_and_unit,
    mismatch_hinge,
)
from distill_tune.distill.monitoring.diversity import class_spreads
from distill_tune.distill.monitoring.evaluation import batch_size, ensure_training
from distill_tune.distill.pairing import Pairs
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.distill.trial_state import GanState, TrialState
from distill_tune.distill.unlabelled import averaged, mixed_hinge

_LECAM_DECAY = 0.99


@dataclass(frozen=True)
class GanTrainer:
    """The training steps of a trial's GAN; draws depend only on the trial's seed and the step.

    A step draws, computes, and may match pairs on the host in between. What computes
    (``_train_discriminator``, ``_make``, ``_train_generator``) depends on nothing but tensors at
    fixed addresses, so that on a GPU each can be captured as a CUDA graph. A capture is valid for
    as long as the same terms take part: until LeCam regularisation or the triplet loss begins.
    """

    config: TrialConfig
    data: DeviceData
    state: TrialState
    execution: Execution

    @cached_property
    def _spreads(self) -> Tensor:
        return class_spreads(self.data.train.images, self.data.by_class)

    @cached_property
    def _draws(self) -> GanDraws:
        return GanDraws(self.config, self.data, self.state)

    @cached_property
    def _buffers(self) -> FixedBuffers:
        return FixedBuffers(is_active=self.data.device.type == "cuda")

    @cached_property
    def _ramps(self) -> Ramps:
        return Ramps(self.data.device)

    def latent(self, purpose: Purpose, count: int, *counters: int) -> Latent:
        """Draw ``z`` and uniform classes."""
        return self._draws.latent(purpose, count, *counters)

    def real_batch(self, step: int, repeat: int) -> tuple[Tensor, Tensor]:
        """Return real images in [-1, 1] and labels, all classes equally likely."""
        return self._draws.real_batch(step, repeat)

    def class_signal(self) -> float:
        """Return the current strength of the class input, in [0, 1]."""
        ramp = self.config.gan.class_ramp_steps
        return 1.0 if ramp == 0 else min(1.0, self.state.gan.step / ramp)

    def run(self, network: nn.Module, *inputs: Tensor) -> Tensor:
        """Call one of the GAN's networks with the class signal and the configured execution.

        The signal is a tensor, so that a captured call stays valid while it grows.
        """
        signal = self.class_signal()
        execution = self.execution if signal == 1 else self.execution.uncompiled
        return execution(network, *inputs, self._ramps.tensor("class_signal", signal))

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
        self._write_ramps(triplet_weight)
        # Networks of a plugin may have dropout; a resumed step must draw the same.
        seed_global(self.config.seed, "gan-dropout", gan.step)
        loss = torch.zeros((), device=self.data.device)
        for repeat in range(self.config.gan.num_discriminator_steps(is_gpu=is_gpu)):
            drawn = self._draws.for_discriminator(repeat)
            loss = self._train_discriminator(self._buffers.hold("discriminator", drawn))
        losses = self._generator_step(triplet_weight)
        gan.average.move(ema_decay)
        gan.step += 1
        return losses._replace(discriminator=loss)

    def _write_ramps(self, triplet_weight: float) -> None:
        """Write all that grows from step to step, before anything is computed with it."""
        signal = self.class_signal()
        self._ramps.tensor("class_signal", signal)
        self._ramps.tensor("mismatch", self.config.gan.mismatch * signal)
        if triplet_weight > 0:
            self._ramps.tensor("triplet_weight", triplet_weight)
            self._limits()

    def _train_discriminator(self, given: DiscriminatorInput) -> Tensor:
        gan, draws = self.state.gan, self._draws
        with torch.no_grad():
            fake = self.run(gan.generator, *given.latent)
        apply = draws.augmentation.apply
        parts = zip((given.real, fake), given.changes, strict=True)
        images = torch.cat([apply(*part) for part in parts])
        weight, mismatch = draws.unlabelled_weight, self.config.gan.mismatch
        if given.others is not None:
            images = torch.cat([images, apply(*given.others)])
        logits = self.run(gan.discriminator, images, given.asked).view(len(given.asked), -1)
        real_logits, fake_logits = logits[: 2 * len(given.real), 0].chunk(2)
        loss = discriminator_hinge(real_logits, fake_logits)
        if weight > 0:
            loss = mixed_hinge(loss, logits, len(given.real), weight)
        loss = loss + self._lecam(gan, real_logits, fake_logits)
        if mismatch > 0:
            share = self._ramps.tensor("mismatch", mismatch * self.class_signal())
            loss = loss + share * mismatch_hinge(logits[: len(given.real), 1])
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
        sets = self._sets if triplet_weight > 0 else None
        drawn = self._draws.for_generator(sets)
        given = self._buffers.hold("generator" if sets is None else "triplet", drawn)
        made, targets = self._make(given), None
        if made.anchors is not None and given.pairs is not None:
            found = self._targets(made.anchors, given.latent.labels, given.pairs)
            targets = self._buffers.hold("targets", found)
        return self._train_generator(made, given, targets, triplet_weight)

    def _make(self, given: GeneratorInput) -> Made:
        gan, draws = self.state.gan, self._draws
        fake = self.run(gan.generator, *given.latent)
        gan.discriminator.requires_grad_(requires_grad=False)
        augmented = draws.augmentation.apply(fake, given.changes)
        logits = self.run(gan.discriminator, augmented, given.asked)
        gan.discriminator.requires_grad_(requires_grad=True)
        weight = draws.unlabelled_weight
        adversarial = generator_hinge(logits if weight == 0 else logits[:, 0])
        if weight > 0:
            adversarial = averaged(adversarial, generator_hinge(logits[:, 1]), weight)
        if given.pairs is None:
            return Made(fake, adversarial, None)
        features = self.execution.exact(self.state.snapshot.features)
        return Made(fake, adversarial, anchors_of(features, fake, self.config.joint.feature_norm))

    def _targets(self, anchors: Tensor, labels: Tensor, drawn: Pairs) -> Targets:
        return targets_of(anchors, labels, self._sets, self.config.joint.pairing, drawn)

    def _train_generator(
        self, made: Made, given: GeneratorInput, targets: Targets | None, triplet_weight: float
    ) -> GanLosses:
        gan, (fake, adversarial, anchors) = self.state.gan, made
        loss = adversarial
        triplet = active = torch.zeros((), device=fake.device)
        if anchors is not None and targets is not None:
            hinge = weighted_hinge(anchors, targets, self._limits())
            triplet, active = hinge.mean(), (hinge.detach() > 0).float().mean()
            loss = loss + self._ramps.tensor("triplet_weight", triplet_weight) * triplet
        mode_seeking, labels = self._draws.mode_seeking, given.latent.labels
        if mode_seeking != 0:
            loss = loss + mode_seeking * sameness(fake, labels, self._spreads)
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
        features, joint = self.state.snapshot.features, self.config.joint
        anchors = anchors_of(features, fake, joint.feature_norm)
        pairs = self._draws.pairs(labels, self._sets, step)
        return weighted_hinge(anchors, self._targets(anchors, labels, pairs), self._limits())

    @property
    def _sets(self) -> HardSets:
        sets = self.state.sets
        assert sets is not None, "the triplet loss needs labelled images"  # noqa: S101
        return sets

    def _limits(self) -> tuple[Tensor, Tensor]:
        """Return margin and unit of the triplet loss, scalars."""
        joint = self.config.joint
        margin, unit = margin_and_unit(
            joint.margin,
            scale=self._sets.scale,
            feature_norm=joint.feature_norm,
            margin_unit=joint.margin_unit,
        )
        return self._ramps.tensor("margin", margin), self._ramps.tensor("unit", unit)

    @torch.no_grad()
    def synthesise(self, latent: Latent) -> Tensor:
        """Return images of the averaged generator, float32 in [-1, 1], without gradient.

        They are made in batches: a thousand at once would be a trial's peak of memory.
        """
        z, labels = (part.split(batch_size(self.data.train.images)) for part in latent)
        ema, signal = self.state.gan.ema, self.class_signal()
        batches = (ema(*batch, signal) for batch in zip(z, labels, strict=True))
        return joined(batches, len(latent.labels))
