"""Parts of a study beside the procedure: the search, its confirmation, what a trial takes."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from distill_tune.errors import InputError, closest
from distill_tune.interfaces import Config
from distill_tune.study.arms import ARMS, METHOD
from distill_tune.study.dimensions import Scalar


class Search(Config):
    """How the search goes about it."""

    num_trials: int = Field(default=16, ge=1)
    """Trials in total, shared out evenly between the backbones."""
    metric: Literal["val/accuracy", "val/balanced_accuracy"] = "val/accuracy"
    """What is compared: a trial's best value over its epochs."""
    mode: Literal["max"] = "max"
    """Higher is better."""
    seed: int = Field(default=0, ge=0)
    """Of the sampler."""
    num_startup_trials: int = Field(default=5, ge=1)
    """Random configurations per backbone before TPE begins to learn."""
    min_epochs: int | None = Field(default=None, ge=1)
    """Epochs that every trial gets (ASHA's grace period); null: a third of ``joint.epochs``."""
    reduction_factor: float = Field(default=3, gt=1)
    """One in so many trials survives a rung (ASHA's eta)."""
    max_failures: int = Field(default=2, ge=0)
    """How often a trial whose worker was lost is continued from its last checkpoint."""
    checkpoint_share: float = Field(default=0.05, gt=0, le=1)
    """Largest share of a trial's time that writing its checkpoints may cost; 1: after every
    epoch. A trial that is killed repeats what came after its last one."""
    keep_top: int = Field(default=3, ge=1)
    """Of how many of the best trials of each backbone the weights are kept."""
    first_points: dict[str, tuple[dict[str, Scalar], ...]] = Field(default_factory=dict)
    """Backbone to what it tries first, by dotted path; what is missing is sampled. Filled by
    ``warm_start``; the study's own values follow."""
    time_budget_s: float | None = Field(default=None, gt=0)
    """Seconds after which a session stops as if interrupted; null: no limit."""


class Confirm(Config):
    """Whether the gain is real: the best configuration and its rivals, trained with fresh seeds."""

    top: int = Field(default=3, ge=1)
    """How many of a backbone's best configurations are trained anew, to find the best of them."""
    seeds: int = Field(default=5, ge=1)
    """Fresh seeds of every arm; an interval needs three."""
    arms: tuple[str, ...] = (
        "baseline",
        "equal_steps",
        "strong_augmentation",
        "gan_augmentation",
        "gan_distillation",
    )
    """What is compared; the method itself always is."""
    rival: str | None = None
    """The arm that the verdict is about beside the baseline, named before results are known; null:
    the one with the highest mean then. Either way p-values are corrected for all arms."""
    redraw: bool = True
    """Whether training and validation images are drawn anew for every seed, the same for all arms;
    the test images stay. Makes no difference where the data set has fixed splits."""
    tune_arms: bool = False
    """Whether each arm gets a search of its own, with the budget that the method had: of what the
    study searches, in the same ranges, what makes a difference to the arm, and of nothing else. An
    arm to which nothing of it does has nothing to tune."""

    figures: bool = True
    """Whether a run is added to show what a collapsed generator does, for the figure of it."""

    @field_validator("arms")
    @classmethod
    def _are_there_and_compare(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        for arm in arms:
            if arm not in ARMS:
                near = closest(arm, ARMS)
                hint = f". Did you mean {near!r}?" if near else ""
                raise ValueError(f"expected some of {', '.join(ARMS)}{hint}")
        if not set(arms) - {METHOD}:
            raise ValueError(f"expected at least one arm beside {METHOD}")
        return tuple(name for name in ARMS if name in {*arms, METHOD})

    @model_validator(mode="after")
    def _rival_is_one_of_the_arms(self) -> Self:
        error = rival_error(self.rival, self.arms, "rival")
        if error is not None:
            raise ValueError(error)
        return self


def rival_error(rival: str | None, arms: Iterable[str], where: str) -> InputError | None:
    """Return what is wrong with a rival that is named: it has to be compared, and to be one.

    Args:
        rival: Its name; None is never wrong.
        arms: That are compared.
        where: Who named it, for the message.
    """
    rivals = [name for name in arms if ARMS[name].role == "rival"]
    if rival is None or rival in rivals:
        return None
    expected = f"a rival among the arms: {', '.join(rivals) or 'there is none'}"
    return InputError(where, got=rival, expected=expected, choices=rivals)


class Resources(Config):
    """What one trial takes."""

    cpus: float = Field(default=1, gt=0)
    """CPU cores; also its number of threads."""
    gpus: float | Literal["auto", "fit"] = "auto"
    """GPUs, or a share of one such as 0.25. ``auto``: one where the cluster has any; what a trial
    takes of it is measured, and how many would fit is told. ``fit``: as many trials share a GPU."""
    accelerator: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Type of the GPUs that trials run on, as Ray names it, such as ``H100``; null: any."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Most trials at a time; null: as many as fit."""

    @field_validator("gpus")
    @classmethod
    def _gpus_are_some_or_a_share_of_one(cls, gpus: float | str) -> float | str:
        if isinstance(gpus, float) and gpus and (gpus < 1e-4 or (gpus > 1 and gpus % 1)):
            raise ValueError(
                "expected auto, fit, 0, a share of one GPU such as 0.5, or a whole number"
            )
        return gpus
