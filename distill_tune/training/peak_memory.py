"""Peak memory of a trial on a GPU: its largest steps, run in advance."""

from collections.abc import Mapping

import torch

from distill_tune.distill.classifier_stage import real_batches, train_step
from distill_tune.distill.joint_stage import JointStage, enter
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Reusable, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from distill_tune.study.dimensions import Dimension
from distill_tune.study.study import Study
from distill_tune.training.memory import is_out_of_memory

MILD = {"collapse_policy": "continue", "unfit_policy": "warn", "max_discriminator_gap": None}
"""Fields of ``joint`` with which an untrained GAN does not end a rehearsal."""

_SIZES = (
    "classifier.batch_size",
    "gan.batch_size",
    "gan.discriminator_width",
    "gan.generator_width",
    "joint.candidates",
    "joint.monitor_images",
    "joint.synthetic_ratio",
)
"""Fields whose largest value needs the most memory."""
_NUM_STEPS = 2
"""An optimiser's state exists from its second step on."""


def largest_config(study: Study, backbone: str, params: Mapping[str, object]) -> TrialConfig:
    """Return a trial's configuration with the sizes of the largest trial of the space.

    Args:
        study: The study.
        backbone: Name of one of its backbones.
        params: The trial's, by dotted path.
    """
    largest = {path: _largest(study.space.dimensions[path]) for path in _SIZES if path in params}
    return study.trial_config(backbone, {**params, **largest})


def _largest(dimension: Dimension) -> float:
    return max(value for value in dimension.examples() if isinstance(value, int | float))


def busiest_epoch(config: TrialConfig) -> int:
    """Return the first epoch of stage 3 (0-based) with the most synthetic images."""
    return max(range(config.joint.epochs), key=config.joint.ratio)


def run_largest_steps(
    config: TrialConfig,
    images: ImageData,
    device: torch.device,
    reusable: Reusable | None = None,
) -> None:
    """Run steps of each kind with a trial that is dropped afterwards, so that the peak is known.

    Networks are not compiled. A lack of memory is no error: then the peak is all there is.

    Args:
        config: From :func:`largest_config`.
        images: The study's.
        device: Of the trials.
        reusable: What an earlier trial of this process has left on ``device``.
    """
    joint = config.joint.model_copy(update=MILD)
    compute = config.compute.model_copy(update={"compile": False})
    changes = {"joint": joint, "compute": compute}
    try:
        _run(Trial(config.model_copy(update=changes), images, device, reusable))
    except Exception as error:
        if not is_out_of_memory(error):
            raise


def _run(trial: Trial) -> None:
    config, state, trainer = trial.config, trial.state, trial.trainer
    batches = real_batches(trial.data, config.classifier, seed=config.seed, epoch=0)
    # The first is a whole one.
    batch = next(batches)
    for _ in range(_NUM_STEPS):
        train_step(state.classifier, state.optimizer, batch, execution=trainer.execution)
    reference = Reference.measure(trainer) if config.joint.has_gan else None
    stage, epoch = JointStage(trainer, reference), busiest_epoch(config)
    stage.refresh(0)
    state.gan.step = config.warmup_limit
    enter(state, config)
    for step in range(_NUM_STEPS):
        stage.step(epoch, step, batch)
    stage.monitor()
    stage.validate(epoch)
