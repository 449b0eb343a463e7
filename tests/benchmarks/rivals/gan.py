"""Stage 2: a conditional GAN with hinge loss, LeCam, an averaged generator, a triplet loss."""

from collections.abc import Callable, Iterator

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from distill_tune.distill.augmentation import GanAugmentation
from distill_tune.distill.losses import (
    discriminator_hinge,
    generator_hinge,
    lecam_penalty,
    mismatch_hinge,
    mode_seeking_loss,
    triplet_loss,
)
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from tests.benchmarks.rivals.classifier import HardSamples
from tests.benchmarks.rivals.images import gan_batches

Tensors = tuple[Tensor, ...] | list[Tensor]


class PlainGan:
    """The networks, their optimisers and the real batches of a whole trial."""

    def __init__(self, config: TrialConfig, images: ImageData, num_steps: int) -> None:
        self.config, self.num_classes = config.gan, images.num_classes
        self.num_repeats = config.gan.num_discriminator_steps(is_gpu=False)
        shape = {
            "num_classes": images.num_classes,
            "channels": images.channels,
            "image_size": images.image_size,
        }
        self.generator = config.gan.build_generator(**shape)
        self.discriminator = config.gan.build_discriminator(**shape)
        self.average = AveragedModel(
            self.generator, multi_avg_fn=_warmed(config.gan.ema_decay), use_buffers=True
        ).eval()
        self.generator_optimizer = _adam(self.generator, config.gan.lr)
        self.discriminator_optimizer = _adam(self.discriminator, config.gan.lr)
        self.augment = GanAugmentation(config.gan.shift, config.gan.cutout, config.gan.color)
        self.draws = torch.Generator().manual_seed(config.seed)
        self.real: Iterator[tuple[Tensor, Tensor]] = iter(
            gan_batches(config, images, num_steps * self.num_repeats)
        )
        self.real_average = self.fake_average = torch.zeros(())
        self.spreads = _spreads(images)
        self.num_done = 0

    def step(self, *, lr: float, hard: HardSamples | None, margin: float, weight: float) -> None:
        """Train the discriminator, then the generator once.

        Args:
            lr: Learning rate of both.
            hard: What the triplet loss compares with; None = without it.
            margin: In units of the hard samples' scale.
            weight: Of the triplet loss.
        """
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = lr
        for _ in range(self.num_repeats):
            self._train_discriminator()
        z, labels = self._latent(self.config.batch_size)
        half, seeking = len(labels) // 2, self.config.mode_seeking
        if seeking:
            labels[half : 2 * half] = labels[:half]
        fake = self.generator(z, labels, self._class_signal())
        logits = self.discriminator(self.augment(fake, self.draws), labels, self._class_signal())
        loss = generator_hinge(logits)
        if seeking:
            pairs = fake[:half], fake[half : 2 * half]
            loss = loss + seeking * mode_seeking_loss(*pairs, self.spreads[labels[:half]])
        if hard is not None:
            loss = loss + weight * triplet(fake, labels, hard, margin)
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()
        self.average.update_parameters(self.generator)
        self.num_done += 1

    @torch.no_grad()
    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Return images of the averaged generator and their labels, classes uniform."""
        z, labels = self._latent(count)
        return self.average(z, labels, self._class_signal()), labels

    def _train_discriminator(self) -> None:
        real, real_labels = next(self.real)
        z, fake_labels = self._latent(self.config.batch_size)
        with torch.no_grad():
            fake = self.generator(z, fake_labels, self._class_signal())
        images = torch.cat([self.augment(real, self.draws), self.augment(fake, self.draws)])
        labels = torch.cat([real_labels, fake_labels])
        signal, mismatch = self._class_signal(), self.config.mismatch
        logits = self.discriminator(images, self._asked(labels), signal).view(len(labels), -1)
        real_logits, fake_logits = logits[:, 0].chunk(2)
        loss = discriminator_hinge(real_logits, fake_logits)
        if mismatch:
            loss = loss + mismatch * signal * mismatch_hinge(logits[: len(real), 1])
        if self.num_done >= self.config.lecam_start:
            loss = loss + self.config.lecam * lecam_penalty(
                real_logits, fake_logits, self.real_average, self.fake_average
            )
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        share = 1.0 if self.num_done == 0 else 0.01
        self.real_average = self.real_average.lerp(real_logits.detach().mean(), share)
        self.fake_average = self.fake_average.lerp(fake_logits.detach().mean(), share)

    def _asked(self, labels: Tensor) -> Tensor:
        """Return labels, with a wrong one beside each where the discriminator learns of them."""
        if self.config.mismatch == 0:
            return labels
        others = labels + torch.randint(1, self.num_classes, labels.shape)
        return torch.stack([labels, others % self.num_classes], dim=1)

    def _latent(self, count: int) -> tuple[Tensor, Tensor]:
        return torch.randn(count, self.config.latent_dim), torch.randint(self.num_classes, (count,))

    def _class_signal(self) -> float:
        ramp = self.config.class_ramp_steps
        return min(1.0, self.num_done / ramp) if ramp else 1.0


def _spreads(images: ImageData) -> Tensor:
    train, labels = images.train
    found = []
    for number in range(images.num_classes):
        members = train[labels == number][:100].flatten(1).float() / 127.5
        found.append(torch.nn.functional.pdist(members, p=1).mean() / members.shape[1])
    return torch.stack(found)


def triplet(fake: Tensor, labels: Tensor, samples: HardSamples, margin: float) -> Tensor:
    """Return the mean triplet loss; hard samples matched one to one within each class."""
    anchors = samples.classifier.features(fake)
    hard, easy = torch.empty_like(labels), torch.empty_like(labels)
    for number in labels.unique().tolist():
        members = (labels == number).nonzero().squeeze(1)
        drawn = _draw(samples.hard[number], len(members))
        distances = torch.cdist(anchors[members].detach(), samples.features[drawn])
        _, columns = linear_sum_assignment(distances.numpy())
        hard[members] = drawn[torch.as_tensor(columns)]
        easy[members] = _draw(samples.easy[number], len(members))
    features = samples.features
    return triplet_loss(
        anchors, features[hard], features[easy], margin=margin, unit=samples.scale
    ).mean()


def _draw(pool: Tensor, count: int) -> Tensor:
    return pool[torch.randint(len(pool), (count,))]


def _adam(network: nn.Module, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=lr, betas=(0.0, 0.9), fused=True)


def _warmed(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return torch's moving average with less decay in the first steps, which are few."""

    def update(averaged: Tensors, current: Tensors, num_averaged: Tensor | int) -> None:
        count = float(num_averaged)
        now = min(decay, (1 + count) / (10 + count))
        get_ema_multi_avg_fn(now)(averaged, current, num_averaged)

    return update
