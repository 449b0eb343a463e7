"""Stage 2: the GAN's warm-up, then its training with the triplet loss."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from distill_tune.distill.compute.averaging import stage_decay
from distill_tune.distill.gan_loss_terms import GanLosses, gan_metrics
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.monitoring.fidelity import (
    CHECK_STEPS,
    FidelityTest,
    agreement,
    is_settled,
    metrics_of,
    train_judge,
)
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.distill.trial_state import GanState
from distill_tune.interfaces import Metrics

_REPORTS = 20

Progress = tuple[int, int, Metrics]
"""Generator steps done in a stage, their maximum, metrics since the last progress."""


@dataclass(frozen=True)
class GanStage:
    """The two parts of stage 2 for a trial's GAN; each resumes from the current state."""

    trainer: GanTrainer

    @property
    def _gan(self) -> GanState:
        return self.trainer.state.gan

    @property
    def _config(self) -> TrialConfig:
        return self.trainer.config

    def warmup(self) -> Iterator[Progress]:
        """Train the GAN without the triplet loss.

        Yields:
            At every measurement: losses, agreement and diversity; at the first one also the
            judge's accuracy on validation images; at the last one also the pixel rank ratio, with
            the steps done as the total.
        """
        gan, limit = self._gan, self._config.warmup_limit
        # A shared warm-up without steps has trained the judge all the same.
        if gan.step == 0 and gan.warmup_steps is None:
            steps = self._config.gan.judge_steps
            train_judge(gan.judge, self.trainer.data, self._config.seed, steps)
        test = FidelityTest.of(gan.judge, self.trainer.data)
        is_auto = self._config.gan.warmup_steps == "auto"
        every = CHECK_STEPS if is_auto else max(1, limit // _REPORTS)
        losses: list[GanLosses] = []
        while gan.warmup_steps is None and gan.step < limit:
            losses.append(self.trainer.step(lr=self._config.gan.lr, triplet_weight=0.0))
            if gan.step % every and gan.step != limit:
                continue
            metrics = gan_metrics(losses, f"warmup step {gan.step}")
            if not gan.fidelity:
                val = self.trainer.data.val
                metrics["judge/val_accuracy"] = agreement(gan.judge, *val)
            metrics |= self._measure(test)
            if gan.step == limit or (is_auto and is_settled(gan.fidelity)):
                gan.warmup_steps = gan.step
                metrics |= self._rank_ratio(test)
            yield gan.step, gan.warmup_steps or limit, metrics
            losses = []
        gan.warmup_steps = gan.step if gan.warmup_steps is None else gan.warmup_steps

    def triplet(self) -> Iterator[Progress]:
        """Train the GAN with the triplet loss, whose weight grows from 0 to lambda.

        Yields:
            The losses, about twenty times; at the end also agreement, diversity and the pixel
            rank ratio.
        """
        gan, total = self._gan, self._config.triplet_steps
        every, start = max(1, total // _REPORTS), gan.warmup_steps or 0
        decay = stage_decay(self._config.gan.ema_decay, total)
        losses: list[GanLosses] = []
        while gan.step < start + total:
            weight = self._config.joint.triplet_weight * (gan.step - start + 1) / total
            lr = self._config.gan.lr
            losses.append(self.trainer.step(lr=lr, triplet_weight=weight, ema_decay=decay))
            done = gan.step - start
            if done % every == 0 or done == total:
                metrics = gan_metrics(losses, f"triplet step {done}")
                if done == total:
                    test = FidelityTest.of(gan.judge, self.trainer.data)
                    metrics |= self._measure(test) | self._rank_ratio(test)
                yield done, total, metrics
                losses = []

    def _measure(self, test: FidelityTest) -> Metrics:
        """Measure agreement and diversity, append them to the GAN's state and return them."""
        fidelity = test.of_images(self._images(test), self._gan.step)
        self._gan.fidelity.append(fidelity)
        return metrics_of(fidelity)

    def _rank_ratio(self, test: FidelityTest) -> Metrics:
        return {"synthetic/pixel_rank_ratio": test.rank_ratio(self._images(test))}

    def _images(self, test: FidelityTest) -> Tensor:
        latent = self.trainer.latent("monitor", len(test.labels), 3)
        return self.trainer.synthesise(latent._replace(labels=test.labels))
