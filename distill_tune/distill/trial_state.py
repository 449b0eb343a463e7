"""The mutable state of a trial, and its conversion to and from a checkpoint."""

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.classifier_stage import make_optimizer
from distill_tune.distill.compute.averaging import MovingAverage
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.kept_networks import KeptNetworks
from distill_tune.distill.compute.optimizers import load_adam, load_adamw, make_adam
from distill_tune.distill.compute.random_streams import seed_global
from distill_tune.distill.hardness import HardSets, assemble
from distill_tune.distill.metrics.best_weights import Best, StateDict
from distill_tune.distill.monitoring.evaluation import Assessed, assess, evaluate
from distill_tune.distill.monitoring.fidelity import Fidelity, Judge, build_judge
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, Stage
from distill_tune.records.words.metric_names import ACCURACY, without_split


@dataclass
class GanState:
    """The generator, its moving average, the discriminator, their optimisers and the judge.

    Attributes:
        generator: G.
        ema: Moving average of G, including buffers; its images train the classifier.
        average: Updates ``ema``.
        discriminator: D.
        generator_optimizer: Adam, betas (0, 0.9).
        discriminator_optimizer: Adam, betas (0, 0.9).
        logit_averages: ``[2]``: moving averages of D's mean logit on real and on fake (LeCam).
        judge: Measures how many images agree with their labels; trained at the start of the
            warm-up.
        step: Generator steps taken, over all stages.
        warmup_steps: Generator steps of the warm-up, None before its end.
        fidelity: All measurements so far, in order.
    """

    generator: nn.Module
    ema: AveragedModel
    average: MovingAverage
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    logit_averages: Tensor
    judge: Judge
    step: int = 0
    warmup_steps: int | None = None
    fidelity: list[Fidelity] = field(default_factory=list)

    @property
    def newest(self) -> Fidelity | None:
        """The latest measurement; None before the first."""
        return self.fidelity[-1] if self.fidelity else None

    @property
    def warmed(self) -> Fidelity | None:
        """The measurement at the end of the warm-up; None before it, or if it has no steps."""
        return next((one for one in self.fidelity if one.step == self.warmup_steps), None)

    def state_dict(self) -> StateDict:
        """Return tensors and plain data."""
        return {
            "generator": self.generator.state_dict(),
            "ema": self.ema.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "logit_averages": self.logit_averages,
            "judge": self.judge.state_dict(),
            "step": self.step,
            "warmup_steps": self.warmup_steps,
            "fidelity": [list(fidelity) for fidelity in self.fidelity],
        }

    def load_state_dict(self, saved: StateDict) -> None:
        """Restore a saved state."""
        self.generator.load_state_dict(saved["generator"])
        self.ema.load_state_dict(saved["ema"])
        self.discriminator.load_state_dict(saved["discriminator"])
        load_adam(self.generator_optimizer, saved["generator_optimizer"])
        load_adam(self.discriminator_optimizer, saved["discriminator_optimizer"])
        self.logit_averages.copy_(saved["logit_averages"])
        self.judge.load_state_dict(saved["judge"])
        self.step, self.warmup_steps = int(saved["step"]), saved["warmup_steps"]
        self.fidelity = [Fidelity(*values) for values in saved["fidelity"]]


@dataclass
class TrialState:
    """The mutable state; all other values follow from the configuration and the data.

    Attributes:
        classifier: F.
        optimizer: F's optimiser in the current stage.
        reference: F_ref, the classifier at the end of stage 1: a fixed baseline of diagnostics.
        snapshot: Fs, the classifier of the triplet loss; updated at each refresh.
        gan: G, D and their training state.
        stage: Current stage.
        epoch: Epochs finished in stage 1.
        joint_epoch: Epochs finished in stage 3.
        best: Best classifier weights of the current stage.
        sets: Hard and easy images, None before the second part of stage 2.
        last_refresh: Stage-3 epoch of the last labelling.
        healthy: EMA weights of the last epoch without collapse (policy ``rollback``).
        is_frozen: Whether a policy stopped the GAN's training.
        assessed: F_ref on the validation images, once that was asked; no part of a checkpoint.
    """

    classifier: Classifier
    optimizer: torch.optim.Optimizer
    reference: Classifier
    snapshot: Classifier
    gan: GanState
    stage: Stage = "classifier"
    epoch: int = 0
    joint_epoch: int = 0
    best: Best = field(default_factory=Best)
    sets: HardSets | None = None
    last_refresh: int = 0
    healthy: StateDict = field(default_factory=dict)
    is_frozen: bool = False
    assessed: Assessed | None = None

    @classmethod
    def fresh(
        cls,
        config: TrialConfig,
        data: ImageData,
        device: torch.device,
        kept: KeptNetworks | None = None,
    ) -> "TrialState":
        """Return the state before stage 1, which is the same for the same configuration.

        The initial weights are loaded into ``kept``, the networks of earlier trials.
        """
        kept = kept or KeptNetworks(config, data, device)
        classifier = kept.initial(config.seed, partial(_build_classifier, config, data)).to(device)
        reference, snapshot = (kept.frozen(name, classifier) for name in ("reference", "snapshot"))
        classifier = kept.take("classifier", classifier)
        optimizer = make_optimizer(classifier, config.classifier, config.classifier.lr)
        gan = _build_gan(config, data, device, kept)
        return cls(classifier, optimizer, reference, snapshot, gan)

    def state_dict(self) -> StateDict:
        """Return tensors and plain data only, loadable with ``weights_only=True``.

        Equal weights are one shared object, so that a checkpoint stores them once.
        """
        classifier, reference = self.classifier.state_dict(), self.reference.state_dict()
        is_best_now = self.best.epoch > 0 and self.best.epoch == self._classifier_epoch()
        is_snapshot_first = self.stage != "classifier" and self.last_refresh == 0
        return {
            "classifier": classifier,
            "optimizer": self.optimizer.state_dict(),
            "reference": reference,
            "snapshot": reference if is_snapshot_first else self.snapshot.state_dict(),
            "gan": self.gan.state_dict(),
            "stage": self.stage,
            "epoch": self.epoch,
            "joint_epoch": self.joint_epoch,
            "best": {
                "value": self.best.value,
                "epoch": self.best.epoch,
                "weights": classifier if is_best_now else self.best.weights,
            },
            "sets": self.sets.state_dict() if self.sets else None,
            "last_refresh": self.last_refresh,
            "healthy": self.healthy,
            "is_frozen": self.is_frozen,
        }

    def assess_stage_one(self, data: DeviceData, metric: str) -> Assessed:
        """Return what the validation images say of F_ref; measured once.

        Args:
            data: The trial's.
            metric: The metric that trials are compared by.
        """
        if self.assessed is None:
            self.assessed = assess(self.reference, data.val, metric)
        return self.assessed

    def _classifier_epoch(self) -> int:
        """Return the finished epochs of the stage that ``best`` refers to."""
        return self.epoch if self.stage == "classifier" else self.joint_epoch

    def load_state_dict(self, saved: StateDict, config: TrialConfig, data: DeviceData) -> None:
        """Restore a saved state of the same configuration and data."""
        self.best = self._best(saved["best"], config, data)
        self.classifier.load_state_dict(saved["classifier"])
        load_adamw(self.optimizer, saved["optimizer"])
        self.reference.load_state_dict(saved["reference"])
        self.assessed = None
        self.snapshot.load_state_dict(saved["snapshot"])
        self.gan.load_state_dict(saved["gan"])
        self.stage, self.epoch = saved["stage"], saved["epoch"]
        self.joint_epoch, self.last_refresh = saved["joint_epoch"], saved["last_refresh"]
        self.healthy, self.is_frozen = saved["healthy"], saved["is_frozen"]
        sets = saved["sets"]
        self.sets = (
            assemble(self.snapshot, data, config, sets, sets["num_clamped"]) if sets else None
        )

    def _best(self, saved: StateDict, config: TrialConfig, data: DeviceData) -> Best:
        """Return the saved best weights; earlier versions kept their accuracy, not the metric."""
        weights = {name: tensor.clone() for name, tensor in saved["weights"].items()}
        if not weights:
            return Best()
        if "value" in saved:
            return Best(saved["value"], saved["epoch"], weights)
        value = saved["accuracy"]
        if config.metric != ACCURACY:
            self.classifier.load_state_dict(weights)
            value = evaluate(self.classifier, data.val, config.metric)[without_split(config.metric)]
        return Best(value, saved["epoch"], weights)


def _build_classifier(config: TrialConfig, data: ImageData) -> Classifier:
    seed_global(config.seed, "init", "classifier")
    return config.backbone.build(
        num_classes=data.num_classes, channels=data.channels, image_size=data.image_size
    )


def _build_gan(
    config: TrialConfig, data: ImageData, device: torch.device, kept: KeptNetworks
) -> GanState:
    shape = {
        "num_classes": data.num_classes,
        "channels": data.channels,
        "image_size": data.image_size,
    }
    seed_global(config.seed, "init", "gan")
    generator, discriminator = (
        kept.take(name, build(**shape).to(device).to(memory_format=torch.channels_last))
        for name, build in (
            ("generator", config.gan.build_generator),
            ("discriminator", config.gan.build_discriminator),
        )
    )
    ema = kept.take("average", AveragedModel(generator, use_buffers=True))
    ema.requires_grad_(requires_grad=False).eval()
    return GanState(
        generator,
        ema,
        MovingAverage(ema, generator, config.gan.ema_decay),
        discriminator,
        make_adam(generator, config.gan.lr, device),
        make_adam(discriminator, config.gan.lr, device),
        torch.zeros(2, device=device),
        build_judge(config.seed, **shape).to(device),
    )
