"""A trial at the beginning of stage 3, the bare parts of its step, and a clock for both."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill.classifier_stage import real_batches
from distill_tune.distill.compute.batches import Batch
from distill_tune.distill.hardness import label
from distill_tune.distill.joint_stage import JointStage, enter
from distill_tune.distill.losses import discriminator_hinge, generator_hinge, triplet_loss
from distill_tune.distill.monitoring.evaluation import ensure_training, running_statistics_kept
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Trial
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml

SPACE = Path(__file__).parents[2] / "search_spaces" / "resnet.yaml"
RATIO = 0.5
REPEATS = 3


class Shapes(NamedTuple):
    """Ready tensors of the sizes that a step works on.

    Attributes:
        real: A classifier's batch.
        synthetic: The synthetic part of it.
        gan: A GAN batch of real images.
        z: As many latents as there are images in ``gan``.
        synthetic_z: The same of ``synthetic``.
        features: ``[2, n, d]``: features of the hard and easy samples of a GAN batch.
    """

    real: Batch
    synthetic: Batch
    gan: Batch
    z: Tensor
    synthetic_z: Tensor
    features: Tensor


def begin(device: torch.device, **compute: object) -> Trial:
    """Return a trial of the shipped space at the beginning of stage 3, with random weights."""
    study = parse(Study, read_yaml(SPACE))
    changes = {"joint.synthetic_ratio": RATIO, "joint.ramp_epochs": 0}
    config = study.trial_config("resnet50", changes)
    asked = config.compute.model_copy(update={"precision": "float32"} | compute)
    config = config.model_copy(update={"compute": asked})
    trial = Trial(config, study.data.load(), device)
    trial.state.sets = label(trial.state.snapshot, trial.data, config, 0)
    trial.state.gan.step = config.gan.warmup_limit
    enter(trial.state, config)
    return trial


def shapes(trial: Trial) -> Shapes:
    """Return random tensors in the sizes of the trial's own."""
    config, sets = trial.config, trial.state.sets
    assert sets is not None
    real = next(real_batches(trial.data, config.classifier, seed=0, epoch=0))
    count = max(len(real[1]), round(RATIO * len(real[1])))
    gan = trial.trainer.real_batch(0, 0)
    latent = trial.trainer.latent("z", len(gan[1]), 0)
    return Shapes(
        real,
        (real[0][:count].clone(), real[1][:count].clone()),
        gan,
        latent.z,
        latent.z[:count].clone() if count <= len(latent.z) else latent.z.repeat(2, 1)[:count],
        sets.features[: 2 * len(gan[1])].view(2, len(gan[1]), -1),
    )


def discriminator_part(trial: Trial, ready: Shapes, fake: Tensor) -> None:
    """Forward, backward and step of D on real and fake images."""
    gan = trial.state.gan
    images, labels = torch.cat([ready.gan[0], fake]), ready.gan[1].repeat(2)
    loss = discriminator_hinge(*gan.discriminator(images, labels, 1.0).chunk(2))
    gan.discriminator_optimizer.zero_grad()
    loss.backward()
    gan.discriminator_optimizer.step()


def generator_part(trial: Trial, ready: Shapes) -> None:
    """Forward, backward and step of G through D and, for the triplet loss, through Fs."""
    gan = trial.state.gan
    fake = gan.generator(ready.z, ready.gan[1], 1.0)
    gan.discriminator.requires_grad_(requires_grad=False)
    loss = generator_hinge(gan.discriminator(fake, ready.gan[1], 1.0))
    gan.discriminator.requires_grad_(requires_grad=True)
    anchors = trial.state.snapshot.features(fake)
    loss = loss + triplet_loss(anchors, *ready.features, margin=0.3).mean()
    gan.generator_optimizer.zero_grad()
    loss.backward()
    gan.generator_optimizer.step()


def classifier_part(trial: Trial, ready: Shapes) -> Tensor:
    """Forward, backward and step of F on a real and a synthetic batch."""
    state = trial.state
    loss = F.cross_entropy(state.classifier(ready.real[0]), ready.real[1])
    with running_statistics_kept(state.classifier):
        loss = loss + F.cross_entropy(state.classifier(ready.synthetic[0]), ready.synthetic[1])
    state.optimizer.zero_grad()
    loss.backward()
    state.optimizer.step()
    return loss.detach()


@torch.no_grad()
def average_part(trial: Trial, ready: Shapes) -> None:
    """Forward of the averaged generator."""
    trial.state.gan.ema.module(ready.synthetic_z, ready.synthetic[1], 1.0)


class Bench:
    """A trial, its bare parts, and a clock for both."""

    def __init__(self, device: torch.device, **compute: object) -> None:
        self.trial = begin(device, **compute)
        self.stage = JointStage(self.trial.trainer, Reference.measure(self.trial.trainer))
        ready = shapes(self.trial)
        with torch.no_grad():
            fake = self.trial.state.gan.generator(ready.z, ready.gan[1], 1.0)
        self.parts: dict[str, Callable[[], object]] = {
            "discriminator": partial(discriminator_part, self.trial, ready, fake),
            "generator": partial(generator_part, self.trial, ready),
            "averaged generator": partial(average_part, self.trial, ready),
            "classifier": partial(classifier_part, self.trial, ready),
        }
        data, config = self.trial.data, self.trial.config
        self.num_steps = len(data.train.labels) // config.classifier.batch_size
        self.device = device

    def step(self) -> float:
        """Return the seconds of a step within an epoch of the trial's own loop."""
        return self.seconds(lambda: self.stage._train(0)) / self.num_steps

    def bare(self, seen: dict[str, list[float]]) -> float:
        """Return the summed seconds of the parts, each timed alone as often as an epoch does."""
        total = 0.0
        self.train_mode()
        is_gpu = self.device.type == "cuda"
        for name, part in self.parts.items():
            seconds = self.seconds(partial(self._repeat, part)) / self.num_steps
            if name == "discriminator":
                seconds *= self.trial.config.gan.num_discriminator_steps(is_gpu=is_gpu)
            seen.setdefault(name, []).append(seconds)
            total += seconds
        return total

    def train_mode(self) -> None:
        """Put all that is trained into training mode."""
        gan = self.trial.state.gan
        ensure_training(gan.generator, gan.discriminator, self.trial.state.classifier)

    def _repeat(self, part: Callable[[], object]) -> None:
        for _ in range(self.num_steps):
            part()

    def seconds(self, work: Callable[[], object]) -> float:
        """Return the least of some timings: what disturbs a machine only ever adds."""
        times = []
        for _ in range(REPEATS):
            wait(self.device)
            started = time.perf_counter()
            work()
            wait(self.device)
            times.append(time.perf_counter() - started)
        return min(times)


def wait(device: torch.device) -> None:
    """Wait for a GPU to be done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
