"""A trial: the three stages in order, as a generator of reports.

It does not use Ray, files or TensorBoard: callers handle the reports.
"""

import dataclasses
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill_tune.distill.classifier_stage import real_batches, scheduled_lr, set_lr, train_epoch
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.kept_networks import KeptNetworks
from distill_tune.distill.gan_stage import GanStage
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.hardness import Scores, assemble, label, score
from distill_tune.distill.joint_stage import JointStage, enter
from distill_tune.distill.metrics.best_weights import Best, StateDict
from distill_tune.distill.monitoring.evaluation import Assessed, validate
from distill_tune.distill.monitoring.gan_policies import refuse_unfit
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.distill.trial_state import TrialState
from distill_tune.interfaces import ImageData, Metrics, Stage
from distill_tune.records.words.metric_names import ACCURACY, best_so_far


class Report(NamedTuple):
    """A trial's report at a point from which the trial can be resumed.

    Attributes:
        stage: Stage of the metrics.
        step: Epochs (``classifier``, ``joint``) or generator steps (``warmup``, ``triplet``)
            done in this stage, from 1.
        num_steps: Total number of steps; the maximum until a warm-up of length ``auto`` ends.
        metrics: Metrics since the last report.
        seconds: Wall time since the last report.
        metric: Name of the metric by which the trial keeps its best weights.
    """

    stage: Stage
    step: int
    num_steps: int
    metrics: Metrics
    seconds: float
    metric: str = ACCURACY


class Reusable(NamedTuple):
    """Objects that a process passes on from one trial to the next.

    Attributes:
        data: The images on their device.
        networks: Networks whose weights the next trial overwrites.
        products: The newest product that was read of each shared stage, by its key; never changed.
    """

    data: DeviceData
    networks: KeptNetworks
    products: dict[str, tuple[str, Any]]


class Trial:
    """One run of a configuration through the stages.

    Args:
        config: The same configuration gives the same results (bit for bit on a CPU with the same
            number of threads).
        images: Training and validation images; never the test split.
        device: Device of the computation.
        reusable: What an earlier trial of this process has left on ``device``.

    Attributes:
        reusable: What this trial leaves to the next one, which must not begin before its end.
    """

    def __init__(
        self,
        config: TrialConfig,
        images: ImageData,
        device: torch.device,
        reusable: Reusable | None = None,
    ) -> None:
        self.config = config
        self.data = DeviceData.place(images, device) if reusable is None else reusable.data
        self._scored: Scores | None = None
        kept = None if reusable is None else reusable.networks
        if kept is None or not kept.admit(config, images, device):
            kept = KeptNetworks(config, images, device)
        self.reusable = Reusable(self.data, kept, {} if reusable is None else reusable.products)
        self.state = TrialState.fresh(config, images, device, kept)
        self.trainer = GanTrainer(config, self.data, self.state, kept.execution)

    def run(self) -> Iterator[Report]:
        """Run from the current state to the end, reporting after every epoch.

        The state can be saved at each report; a trial that loads it continues exactly like this
        one.

        Raises:
            DivergedError: The trial cannot continue; the error names the reason.
        """
        while self.state.stage != "done":
            if self.state.stage in {"triplet", "joint"} and self.state.joint_epoch == 0:
                # Before stage 3 too: a trial may have adopted both earlier stages.
                policy = self.config.joint.unfit_policy
                refuse_unfit(policy, self.state.gan.warmed, "when the warm-up ended")
            yield from self.run_stage(self.state.stage)

    def _timed(self, reports: Iterator[Report]) -> Iterator[Report]:
        started = time.perf_counter()
        for report in reports:
            seconds = time.perf_counter() - started
            yield report._replace(seconds=seconds, metric=self.config.metric)
            started = time.perf_counter()

    def state_dict(self) -> StateDict:
        """Return tensors and plain data only."""
        return self.state.state_dict()

    def load_state_dict(self, saved: StateDict) -> None:
        """Continue from a saved state of the same configuration and data."""
        if saved["stage"] in {"joint", "done"}:
            enter(self.state, self.config)
        self.state.load_state_dict(saved, self.config, self.data)

    def run_stage(self, stage: Stage) -> Iterator[Report]:
        """Run a single stage; all except ``warmup`` depend on earlier stages."""
        stages = {
            "classifier": self._classifier_stage,
            "warmup": self._warmup_stage,
            "triplet": self._triplet_stage,
            "joint": self._joint_stage,
        }
        yield from self._timed(stages[stage]())

    def product(self, stage: Stage) -> dict[str, Any]:
        """Return the product of a stage, as tensors and plain data.

        For ``classifier``: F_ref, every image's hardness scores, and what the validation images
        say of it; for ``warmup``: the GAN; for ``triplet``: the GAN and the hard and easy images.
        """
        if stage == "classifier":
            scored = score(self.state.reference, self.data, self.config, 0)
            weights, epoch = self.state.reference.state_dict(), self.state.epoch
            assessed = list(self.state.assess_stage_one(self.data, self.config.metric))
            return {
                "weights": weights,
                "epoch": epoch,
                "scored": list(scored),
                "assessed": assessed,
            }
        product = {"gan": self.state.gan.state_dict()}
        if stage == "triplet" and self.state.sets is not None:
            product["sets"] = self.state.sets.state_dict()
        return product

    def adopt(self, stage: Stage, product: dict[str, Any]) -> None:
        """Adopt a stage's product of another trial instead of computing it.

        Args:
            stage: The stage; ``triplet`` must come after the two others.
            product: Product of a trial with the same values in all fields that this stage uses.
        """
        if stage == "classifier":
            self.state.classifier.load_state_dict(product["weights"])
            self.state.epoch = int(product["epoch"])
            self._scored = Scores(*product["scored"])
            self._end_classifier_stage()
            self.state.assessed = Assessed(*product["assessed"])
            return
        self.state.gan.load_state_dict(product["gan"])
        if stage == "triplet":
            sets = product["sets"]
            self.state.sets = assemble(
                self.state.snapshot, self.data, self.config, sets, sets["num_clamped"]
            )
            enter(self.state, self.config)

    def sample_images(self, per_class: int) -> Tensor:
        """Return ``per_class`` images of every class from the averaged generator, class by class.

        ``[num_classes * per_class, channels, size, size]`` in [-1, 1], with the same ``z`` in
        every call.
        """
        latent = self.trainer.latent("monitor", self.data.num_classes * per_class, 2)
        classes = torch.arange(self.data.num_classes, device=self.data.device)
        return self.trainer.synthesise(latent._replace(labels=classes.repeat_interleave(per_class)))

    def _classifier_stage(self) -> Iterator[Report]:
        training, state = self.config.classifier, self.state
        while state.epoch < training.epochs:
            set_lr(
                state.optimizer, scheduled_lr(training, training.lr, state.epoch, training.epochs)
            )
            loss = train_epoch(
                state.classifier,
                state.optimizer,
                real_batches(self.data, training, seed=self.config.seed, epoch=state.epoch),
                seed=self.config.seed,
                epoch=state.epoch,
                execution=self.trainer.execution,
            )
            result = validate(state.classifier, self.data, self.config.metric)
            state.epoch += 1
            state.best.offer(result[self.config.metric], state.epoch, state.classifier)
            metrics = {"loss/classifier": loss} | result
            is_last = state.epoch == training.epochs
            if is_last:
                metrics[best_so_far(self.config.metric)] = state.best.value
                state.classifier.load_state_dict(state.best.weights)
                self._end_classifier_stage()
            yield Report("classifier", state.epoch, training.epochs, metrics, 0.0)

    def _end_classifier_stage(self) -> None:
        state = self.state
        state.reference.load_state_dict(state.classifier.state_dict())
        state.snapshot.load_state_dict(state.classifier.state_dict())
        state.assessed = None
        state.best = Best()
        state.stage = "warmup"

    def _warmup_stage(self) -> Iterator[Report]:
        if self.config.joint.has_gan:
            for step, total, metrics in GanStage(self.trainer).warmup():
                yield Report("warmup", step, total, metrics, 0.0)
        self.state.stage = "triplet"

    def _triplet_stage(self) -> Iterator[Report]:
        state, config = self.state, self.config.in_triplet_stage
        if state.sets is None:
            state.sets = label(state.snapshot, self.data, config, 0, self._scored)
        if self.config.joint.has_gan:
            trainer = dataclasses.replace(self.trainer, config=config)
            for step, total, metrics in GanStage(trainer).triplet():
                yield Report("triplet", step, total, metrics, 0.0)
        enter(state, self.config)

    def _joint_stage(self) -> Iterator[Report]:
        state, config = self.state, self.config
        before = config.in_triplet_stage.joint.hard_threshold
        if state.joint_epoch == 0 and before != config.joint.hard_threshold:
            state.sets = label(state.snapshot, self.data, config, 0, self._scored)
        has_gan = self.config.joint.has_gan
        stage = JointStage(self.trainer, Reference.measure(self.trainer) if has_gan else None)
        for metrics in stage.epochs():
            yield Report("joint", self.state.joint_epoch, self.config.joint.epochs, metrics, 0.0)
