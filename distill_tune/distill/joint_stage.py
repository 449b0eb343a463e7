"""Stage 3: the GAN adapts to changing hard samples as the classifier trains on extra images."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

from torch import Tensor

from distill_tune.distill.classifier_stage import (
    make_optimizer,
    mean_loss,
    num_steps,
    real_batches,
    scheduled_lr,
    set_lr,
    train_step,
)
from distill_tune.distill.compute.averaging import stage_decay
from distill_tune.distill.compute.batches import Batch, ExtraBatch
from distill_tune.distill.compute.execution import Execution
from distill_tune.distill.compute.random_streams import seed_global
from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.extra_images import ExtraImages
from distill_tune.distill.gan_loss_terms import GanLosses, gan_metrics
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.hardness import HardSets, label, turnover
from distill_tune.distill.metrics.best_weights import Best
from distill_tune.distill.monitoring.evaluation import validate
from distill_tune.distill.monitoring.gan_policies import ratio_factor, refuse_unfit, watch_gan
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.distill.trial_state import TrialState
from distill_tune.interfaces import Metrics
from distill_tune.records.words.metric_names import best_so_far, final, without_split


def enter(state: TrialState, config: TrialConfig) -> None:
    """Start stage 3 with a new optimiser for the classifier and no best weights."""
    lr = config.classifier.lr * config.joint.classifier_lr_factor
    state.optimizer = make_optimizer(state.classifier, config.classifier, lr)
    state.best = Best()
    state.stage = "joint"


class Step(NamedTuple):
    """One step of stage 3.

    Attributes:
        loss: The classifier's loss, a scalar on the device.
        of_gan: The GAN's losses; empty if it is not trained.
        kept_share: Share of the requested extra images that count; 0 without any.
    """

    loss: Tensor
    of_gan: list[GanLosses]
    kept_share: float | Tensor


@dataclass(frozen=True)
class JointStage:
    """The epochs of stage 3 for a state that has completed stages 1 and 2.

    Attributes:
        trainer: Trains the GAN; holds the state even without a GAN.
        reference: Baseline of the monitors; None without a GAN.
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

    @property
    def _metric(self) -> str:
        return self.trainer.config.metric

    def epochs(self) -> Iterator[Metrics]:
        """Run the remaining epochs.

        Yields:
            After each epoch: validation metrics, losses, and the monitors' metrics; after the last
            one also the final metric, such as ``val/final_accuracy``.

        Raises:
            DivergedError: A loss is not finite, the generator collapsed under policy ``stop``, or
                the discriminator memorises the training images.
        """
        while self.state.joint_epoch < self.trainer.config.joint.epochs:
            epoch = self.state.joint_epoch
            self._begin(epoch)
            metrics = self.refresh(epoch) if self._is_refresh_due(epoch) else {}
            metrics |= self._train(epoch)
            metrics |= self.monitor()
            metrics |= self.validate(epoch)
            self.state.joint_epoch = epoch + 1
            if self.state.joint_epoch == self.trainer.config.joint.epochs:
                metrics |= self._finish()
            yield metrics

    def _begin(self, epoch: int) -> None:
        if not self.state.best.weights:
            # The classifier of stage 1 is a candidate too: stage 3 may only make it worse.
            found = self.state.assess_stage_one(self.trainer.data, self._metric).metrics
            self.state.best.offer(found[without_split(self._metric)], 0, self.state.classifier)
        if self._joint.has_gan:
            when = f"before joint epoch {epoch + 1}"
            refuse_unfit(self._joint.unfit_policy, self.state.gan.newest, when)

    def weight(self, epoch: int) -> float:
        """Return the extra images' weight in an epoch (0-based): the ratio, scaled if unfit."""
        return self._joint.ratio(epoch) * ratio_factor(self._joint.unfit_policy, self.state.gan)

    def execution(self, epoch: int) -> Execution:
        """Return the classifier's execution in an epoch: compiled once the batch size is fixed.

        It depends only on the epoch, so that a resumed trial computes the same as one without
        interruption.
        """
        execution = self.trainer.execution
        # Ratios below 1 draw as many images as there are real ones and reduce their weight.
        now, at_last = (
            max(1.0, ratio) for ratio in (self._joint.ratio(epoch), self._joint.synthetic_ratio)
        )
        is_fixed = now == at_last and self._joint.selection == "none"
        return execution if is_fixed else execution.uncompiled

    def refresh(self, epoch: int) -> Metrics:
        """Relabel the training images with the classifier before an epoch (0-based)."""
        state = self.state
        state.snapshot.load_state_dict(state.classifier.state_dict())
        before = state.sets
        state.sets = label(state.snapshot, self.trainer.data, self.trainer.config, epoch)
        state.last_refresh = epoch
        if before is None:
            return {}
        return {"hard/turnover": turnover(before, state.sets), "hard/scale": state.sets.scale}

    def _is_refresh_due(self, epoch: int) -> bool:
        last_change = max(self.state.best.epoch, self.state.last_refresh)
        return self._joint.is_refresh_due(epoch, last_change)

    def _train(self, epoch: int) -> Metrics:
        config, state = self.trainer.config, self.state
        training = config.classifier
        lr = scheduled_lr(
            training, training.lr * config.joint.classifier_lr_factor, epoch, config.joint.epochs
        )
        set_lr(state.optimizer, lr)
        whole_epoch = training.epochs + epoch
        batches = real_batches(self.trainer.data, training, seed=config.seed, epoch=whole_epoch)
        steps = [self.step(epoch, step, real) for step, real in enumerate(batches)]
        gan_losses = [losses for step in steps for losses in step.of_gan]
        what = f"the classifier's loss in joint epoch {epoch + 1}"
        kept = {}
        if name := self._joint.kept_name:
            kept[name] = mean(float(step.kept_share) for step in steps)
        return {
            "loss/classifier": mean_loss([step.loss for step in steps], what),
            "lr/classifier": lr,
            "synthetic_ratio": self.weight(epoch),
            **kept,
            **gan_metrics(gan_losses, f"joint epoch {epoch + 1}"),
        }

    def step(self, epoch: int, step: int, real: Batch) -> Step:
        """Train the GAN, unless it is frozen or absent, then the classifier."""
        config, state = self.trainer.config, self.state
        of_gan = []
        if self._joint.has_gan and self._joint.gan_lr > 0 and not state.is_frozen:
            of_gan.append(
                self.trainer.step(
                    lr=self._joint.gan_lr,
                    triplet_weight=self._joint.triplet_weight,
                    ema_decay=self._ema_decay,
                )
            )
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
        return Step(loss, of_gan, extra.kept_share if extra else 0.0)

    @property
    def _ema_decay(self) -> float:
        config = self.trainer.config
        steps = config.joint.epochs * num_steps(self.trainer.data, config.classifier)
        return stage_decay(config.gan.ema_decay, steps)

    def extra_batch(self, epoch: int, step: int, num_real: int) -> ExtraBatch | None:
        """Return the extra images of one step; see :meth:`ExtraImages.batch`."""
        ratio, weight = self._joint.ratio(epoch), self.weight(epoch)
        return ExtraImages(self.trainer).batch(
            num_real,
            ratio,
            whole_step=epoch * num_steps(self.trainer.data, self.trainer.config.classifier) + step,
            weight=weight,
            execution=self.execution(epoch),
        )

    @property
    def _sets(self) -> HardSets:
        sets = self.state.sets
        assert sets is not None, "stage 3 begins with labelled images"  # noqa: S101
        return sets

    def monitor(self) -> Metrics:
        """Return metrics of the hard sets and, if there is a GAN, of its health."""
        sets = self._sets
        hard = {
            "hard/share": sets.hard.float().mean().item(),
            "hard/num_clamped": float(sets.num_clamped),
        }
        return (
            hard if self.reference is None else hard | watch_gan(self.trainer, self.reference, sets)
        )

    def validate(self, epoch: int) -> Metrics:
        """Validate the classifier after an epoch (0-based) and keep its weights if best."""
        result = validate(self.state.classifier, self.trainer.data, self._metric)
        self.state.best.offer(result[self._metric], epoch + 1, self.state.classifier)
        return result | {best_so_far(self._metric): self.state.best.value}

    def _finish(self) -> Metrics:
        """Load the best weights: with their batch-norm statistics, so that their value is known."""
        state = self.state
        state.classifier.load_state_dict(state.best.weights)
        state.stage = "done"
        return {final(self._metric): state.best.value}
