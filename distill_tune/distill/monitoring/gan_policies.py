"""Policies for a GAN that collapses, ignores its classes or memorises training images."""

from typing import TypeGuard

from torch import Tensor

from distill_tune.distill.configuration.joint_training import CollapsePolicy, UnfitPolicy
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.diversity import within_class_distance
from distill_tune.distill.monitoring.epoch_metrics import (
    discriminator_gap,
    gradient_norms,
    is_collapsed,
    is_warning,
    measure,
)
from distill_tune.distill.monitoring.fidelity import Fidelity, agreement
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial_state import GanState, TrialState
from distill_tune.errors import DivergedError
from distill_tune.interfaces import Metrics
from distill_tune.records.trials import UNFIT_AGREEMENT


def watch_gan(trainer: GanTrainer, reference: Reference, sets: HardSets) -> Metrics:
    """Measure the GAN at the end of a joint epoch and apply the policies.

    Args:
        trainer: The trial's trainer; its state may change.
        reference: Baseline of the monitors.
        sets: Current hard and easy training images.

    Raises:
        DivergedError: A policy ends the trial.
    """
    state, joint = trainer.state, trainer.config.joint
    images = trainer.synthesise(reference.latent)
    is_full = joint.is_fully_monitored(state.joint_epoch)
    health = measure(trainer, reference, images, sets, is_full=is_full)
    state.gan.fidelity.append(_fidelity(trainer, reference, images))
    health["agreement"] = state.gan.fidelity[-1].agreement
    if apply_policy(joint.collapse_policy, state, is_healthy=not is_collapsed(health)):
        # The generator was rolled back: later checks must use its fidelity.
        images = trainer.synthesise(reference.latent)
        state.gan.fidelity.append(_fidelity(trainer, reference, images))
    gap = discriminator_gap(trainer)
    refuse_overfit(gap, joint.max_discriminator_gap, state.joint_epoch)
    norms = gradient_norms(trainer) if is_full else {}
    return {
        **{f"synthetic/{name}": value for name, value in health.items()},
        **{f"gan/{name}": value for name, value in norms.items()},
        "gan/discriminator_gap": gap,
        "synthetic/warning": float(is_warning(health)),
        "synthetic/collapsed": float(is_collapsed(health)),
    }


def _fidelity(trainer: GanTrainer, reference: Reference, images: Tensor) -> Fidelity:
    labels, gan = reference.latent.labels, trainer.state.gan
    spread = within_class_distance(images, labels)
    diversity = spread / reference.real_spread if reference.real_spread > 0 else 0.0
    return Fidelity(gan.step, agreement(gan.judge, images, labels), diversity)


def apply_policy(policy: CollapsePolicy, state: TrialState, *, is_healthy: bool) -> bool:
    """Apply the collapse policy at the end of a joint epoch.

    Returns whether the generator was replaced.

    Args:
        policy: ``continue``: do nothing; ``rollback``: store healthy generators, return to the last
            one on collapse; ``freeze``: stop training the GAN after a collapse; ``stop``: raise.
        state: Changed in place.
        is_healthy: Whether the generator has not collapsed.

    Raises:
        DivergedError: The generator has collapsed and the policy is ``stop``.
    """
    if is_healthy:
        if policy == "rollback":
            state.healthy = copy_weights(state.gan.ema)
    elif policy == "stop":
        raise DivergedError(
            "collapsed",
            f"the generator's images are alike in joint epoch "
            f"{state.joint_epoch + 1} (collapse_policy: stop)",
        )
    elif policy == "freeze":
        state.is_frozen = True
    elif policy == "rollback" and state.healthy:
        state.gan.ema.load_state_dict(state.healthy)
        state.gan.generator.load_state_dict(state.gan.ema.module.state_dict())
        return True
    return False


def is_unfit(measured: Fidelity | None) -> TypeGuard[Fidelity]:
    """Return whether a measurement exists and its agreement is too low."""
    return measured is not None and measured.agreement < UNFIT_AGREEMENT


def ratio_factor(policy: UnfitPolicy, gan: GanState) -> float:
    """Return the factor of the synthetic ratio: the agreement of an unfit generator, or 1.

    Args:
        policy: Only ``scale`` has an effect.
        gan: Holds the measurements.
    """
    newest = gan.newest
    return newest.agreement if policy == "scale" and is_unfit(newest) else 1.0


def refuse_unfit(policy: UnfitPolicy, measured: Fidelity | None, when: str) -> None:
    """Raise an error if the generator ignores its classes.

    Args:
        policy: Only ``stop`` has an effect.
        measured: Current measurement of the generator; None if it was not measured.
        when: Point in time, for the message.

    Raises:
        DivergedError: The generator is unfit, and the policy is ``stop``.
    """
    if policy == "stop" and is_unfit(measured):
        raise DivergedError(
            "generator_unfit",
            f"{measured.agreement:.0%} of the synthetic images agree with their labels "
            f"{when}, expected at least {UNFIT_AGREEMENT:.0%} (joint.unfit_policy: stop)",
        )


def refuse_overfit(gap: float, limit: float | None, joint_epoch: int) -> None:
    """Raise an error if the discriminator memorises the training images.

    Args:
        gap: See :func:`distill_tune.distill.monitoring.epoch_metrics.discriminator_gap`.
        limit: Largest allowed gap; None: no limit.
        joint_epoch: Finished joint epochs, for the message.

    Raises:
        DivergedError: The gap is above the limit.
    """
    # "not <=" instead of ">", so that NaN exceeds every limit.
    if limit is not None and not gap <= limit:
        raise DivergedError(
            "discriminator_overfit",
            f"the discriminator's mean logit is {gap:.3g} higher on training than on validation "
            f"images in joint epoch {joint_epoch + 1} (joint.max_discriminator_gap: {limit:g})",
        )
