"""What becomes of a trial whose generator collapses, or whose discriminator learns by heart."""

from distill_tune.distill.state import TrialState, copy_weights
from distill_tune.distill.trial_config import CollapsePolicy
from distill_tune.errors import DivergedError


def apply_policy(policy: CollapsePolicy, state: TrialState, *, is_healthy: bool) -> None:
    """Do what the policy says, at the end of a joint epoch; ``continue`` does nothing.

    Args:
        policy: ``rollback``: keep a healthy generator, return to it on collapse; ``freeze``: no
            more steps of the GAN after one.
        state: Changed in place.
        is_healthy: Whether the generator has not collapsed.

    Raises:
        DivergedError: It has, and the policy is ``stop``.
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


def refuse_overfit(gap: float, limit: float | None, joint_epoch: int) -> None:
    """End a trial whose discriminator tells training from validation images.

    Args:
        gap: See :func:`distill_tune.distill.monitors.discriminator_gap`.
        limit: Largest one that passes; None: every one.
        joint_epoch: Epochs behind it, for the message.

    Raises:
        DivergedError: The gap is above the limit.
    """
    # Written so that a gap that is no number is beyond every limit.
    if limit is not None and not gap <= limit:
        raise DivergedError(
            "discriminator_overfit",
            f"the discriminator tells training from validation images by {gap:.3g} in joint "
            f"epoch {joint_epoch + 1} (joint.max_discriminator_gap: {limit:g})",
        )
