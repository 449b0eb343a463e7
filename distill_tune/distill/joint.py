"""Stage 3: the GAN follows the changing hard samples while the classifier learns from both."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_tune.distill.batches import Batch, Key, augmented_batch
from distill_tune.distill.classifier import (
    make_optimizer,
    mean_loss,
    num_steps,
    real_batches,
    scheduled_lr,
    set_lr,
    train_step,
)
from distill_tune.distill.evaluation import validate
from distill_tune.distill.execution import Execution
from distill_tune.distill.gan_training import GanLosses, GanTrainer, Latent, gan_metrics
from distill_tune.distill.hardness import HardSets, label, turnover
from distill_tune.distill.monitors import (
    Reference,
    discriminator_gap,
    gradient_norms,
    is_collapsed,
    is_warning,
    measure,
)
from distill_tune.distill.policies import apply_policy, refuse_overfit
from distill_tune.distill.state import Best, TrialState
from distill_tune.distill.streams import integers, seed_global, stream, uniform
from distill_tune.distill.trial_config import JointTraining, TrialConfig
from distill_tune.interfaces import Metrics

_PLATEAU = 2


def enter(state: TrialState, config: TrialConfig) -> None:
    """Begin stage 3: a fresh optimiser for the classifier, and no best weights yet."""
    lr = config.classifier.lr * config.joint.classifier_lr_factor
    state.optimizer = make_optimizer(state.classifier, config.classifier, lr)
    state.best = Best()
    state.stage = "joint"


@dataclass(frozen=True)
class JointStage:
    """The epochs of stage 3 over a state that has been through stages 1 and 2.

    Attributes:
        trainer: Trains the GAN; without one it holds the state all the same.
        reference: What the monitors compare with; None where there is no GAN to watch.
    """

    trainer: GanTrainer
    reference: Reference | None

    @property
    def state(self) -> TrialState:
        """The trial's state."""
        return self.trainer.state

    @property
    def _joint(self) -> JointTraining:
        return self.trainer.config.joint

    def epochs(self) -> Iterator[Metrics]:
        """Run the epochs that are left.

        Yields:
            After each epoch: ``val/accuracy``, ``val/loss``, losses, and the monitors' numbers;
            after the last one also ``val/final_accuracy``.

        Raises:
            DivergedError: A loss is not finite, the generator collapsed under policy ``stop``, or
                the discriminator learns the training images by heart.
        """
        while self.state.joint_epoch < self.trainer.config.joint.epochs:
            epoch = self.state.joint_epoch
            metrics = self._refresh_if_due(epoch)
            metrics |= self._train(epoch)
            metrics |= self.monitor()
            metrics |= self.validate(epoch)
            self.state.joint_epoch = epoch + 1
            if self.state.joint_epoch == self.trainer.config.joint.epochs:
                metrics |= self._finish()
            yield metrics

    def ratio(self, epoch: int) -> float:
        """Return synthetic images per real image in an epoch (0-based)."""
        joint = self.trainer.config.joint
        share = 1.0 if joint.ramp_epochs == 0 else min(1.0, (epoch + 1) / joint.ramp_epochs)
        return joint.synthetic_ratio * share

    def execution(self, epoch: int) -> Execution:
        """Return how the classifier is called in an epoch: compiled once its batches have a size.

        It depends on the epoch alone, so that a resumed trial computes as the uninterrupted one.
        """
        execution = self.trainer.execution
        is_fixed = self.ratio(epoch) == self.trainer.config.joint.synthetic_ratio
        return execution if is_fixed else execution.uncompiled

    def _refresh_if_due(self, epoch: int) -> Metrics:
        return self.refresh(epoch) if self._is_refresh_due(epoch) else {}

    def refresh(self, epoch: int) -> Metrics:
        """Label the training images anew, by the classifier as it is before an epoch (0-based)."""
        state = self.state
        state.snapshot.load_state_dict(state.classifier.state_dict())
        before = state.sets
        state.sets = label(state.snapshot, self.trainer.data, self.trainer.config, epoch)
        state.last_refresh = epoch
        if before is None:
            return {}
        return {"hard/turnover": turnover(before, state.sets), "hard/scale": state.sets.scale}

    def _is_refresh_due(self, epoch: int) -> bool:
        refresh = self.trainer.config.joint.refresh
        if epoch == 0 or refresh == "never" or self._joint.extra_images == "none":
            return False
        if refresh == "plateau":
            last_change = max(self.state.best.epoch, self.state.last_refresh)
            return epoch - last_change >= _PLATEAU
        return epoch % refresh == 0

    def _train(self, epoch: int) -> Metrics:
        config, state = self.trainer.config, self.state
        training = config.classifier
        lr = scheduled_lr(
            training, training.lr * config.joint.classifier_lr_factor, epoch, config.joint.epochs
        )
        set_lr(state.optimizer, lr)
        whole_epoch = training.epochs + epoch
        losses: list[Tensor] = []
        gan_losses: list[GanLosses] = []
        batches = real_batches(self.trainer.data, training, seed=config.seed, epoch=whole_epoch)
        for step, real in enumerate(batches):
            loss, of_gan = self.step(epoch, step, real)
            losses.append(loss)
            gan_losses += of_gan
        what = f"the classifier's loss in joint epoch {epoch + 1}"
        return {
            "loss/classifier": mean_loss(losses, what),
            "lr/classifier": lr,
            "synthetic_ratio": self.ratio(epoch),
            **gan_metrics(gan_losses, f"joint epoch {epoch + 1}"),
        }

    def step(self, epoch: int, step: int, real: Batch) -> tuple[Tensor, list[GanLosses]]:
        """Train the GAN, where it is trained, then the classifier; return the losses of both."""
        config, state = self.trainer.config, self.state
        of_gan = []
        if self._joint.has_gan and self._joint.gan_lr > 0 and not state.is_frozen:
            lr, weight = self._joint.gan_lr, self._joint.triplet_weight
            of_gan.append(self.trainer.step(lr=lr, triplet_weight=weight))
        extra = self.extra_batch(epoch, step, len(real[1]))
        seed_global(config.seed, "dropout", config.classifier.epochs + epoch, step)
        loss = train_step(
            state.classifier,
            state.optimizer,
            real,
            extra,
            joint=self._joint,
            execution=self.execution(epoch),
        )
        return loss, of_gan

    def extra_batch(self, epoch: int, step: int, num_real: int) -> Batch | None:
        """Return fresh augmented extra images for one step, or None where there are none.

        From the averaged generator or from the hard training images, classes uniform, through the
        augmentation of real images: else the classifier learns that what is not augmented is
        synthetic.
        """
        config, data = self.trainer.config, self.trainer.data
        count = round(self.ratio(epoch) * num_real)
        if count == 0 or self._joint.extra_images == "none":
            return None
        whole_step = epoch * num_steps(data, config.classifier) + step
        if self._joint.has_gan:
            latent = self.trainer.latent("synthetic", max(2, count), whole_step)
            images, labels = self._synthesise(latent, epoch), latent.labels
        else:
            images, labels = self._hard_images(max(2, count), whole_step)
        key: Key = (config.seed, "synthetic-augmentation", whole_step)
        return augmented_batch(images, labels, data, config.classifier, key)

    def _hard_images(self, count: int, whole_step: int) -> Batch:
        data = self.trainer.data
        generator = stream(self.trainer.config.seed, "synthetic", whole_step, device=data.device)
        classes = integers(data.num_classes, (count,), generator)
        chosen = self._sets.hard_pools.draw(classes, uniform((count,), generator))
        # A class that is too small for hard images of its own draws those of others.
        return data.train.images[chosen], data.train.labels[chosen]

    @torch.no_grad()
    def _synthesise(self, latent: Latent, epoch: int) -> Tensor:
        gan = self.state.gan
        return self.execution(epoch)(gan.ema.module, *latent, self.trainer.class_signal())

    @property
    def _sets(self) -> HardSets:
        sets = self.state.sets
        assert sets is not None, "stage 3 begins with labelled images"  # noqa: S101
        return sets

    def monitor(self) -> Metrics:
        """Return the hard sets' numbers and, where there is a GAN, its health."""
        sets = self._sets
        hard = {
            "hard/share": sets.hard.float().mean().item(),
            "hard/num_clamped": float(sets.num_clamped),
        }
        return hard if self.reference is None else hard | self._watch_gan(self.reference)

    def _watch_gan(self, reference: Reference) -> Metrics:
        images = self.trainer.synthesise(reference.latent)
        health = measure(self.trainer, reference, images, self._sets)
        apply_policy(self._joint.collapse_policy, self.state, is_healthy=not is_collapsed(health))
        gap = discriminator_gap(self.trainer)
        refuse_overfit(gap, self._joint.max_discriminator_gap, self.state.joint_epoch)
        return {
            **{f"synthetic/{name}": value for name, value in health.items()},
            **{f"gan/{name}": value for name, value in gradient_norms(self.trainer).items()},
            "gan/discriminator_gap": gap,
            "synthetic/warning": float(is_warning(health)),
            "synthetic/collapsed": float(is_collapsed(health)),
        }

    def validate(self, epoch: int) -> Metrics:
        """Return how good the classifier is after an epoch (0-based); keep it if it is the best."""
        result = validate(self.state.classifier, self.trainer.data)
        self.state.best.offer(result["accuracy"], epoch + 1, self.state.classifier)
        return {
            **{f"val/{name}": value for name, value in result.items()},
            "val/best_accuracy": self.state.best.accuracy,
        }

    def _finish(self) -> Metrics:
        """Leave the best weights in the classifier, with batch-norm statistics of real images."""
        state = self.state
        state.classifier.load_state_dict(state.best.weights)
        state.stage = "done"
        final = validate(state.classifier, self.trainer.data)
        return {"val/final_accuracy": final["accuracy"]}
