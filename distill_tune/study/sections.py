"""Sections of a study besides the procedure: search, confirmation, resources of a trial."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from distill_tune.datasets.folder_tree.paths import Root
from distill_tune.distill.metrics import known_metric
from distill_tune.errors import InputError, closest
from distill_tune.interfaces import Config
from distill_tune.records.words.metric_names import ACCURACY
from distill_tune.study.arms import METHOD, known_arms
from distill_tune.study.dimensions import Scalar

SamplerName = Literal["tpe", "random", "qmc", "gp", "cmaes", "grid"]


class Finalists(Config):
    """Finalists of a search: its best trials, on several seeds."""

    top: int = Field(default=3, ge=1)
    """Number of the best complete trials per backbone that are run again."""
    seeds: int = Field(default=3, ge=2)
    """Seeds of each, including the one of the search."""


class Stop(Config):
    """Rules that stop a search; a rule that is null, or false, never does."""

    value: float | None = None
    """Stop once a trial's objective is at least this."""
    trials_without_gain: int | None = Field(default=None, ge=1)
    """Stop once this many trials in a row ended without being the best of their backbone so far."""
    gpu_hours: float | None = Field(default=None, gt=0)
    """Stop once the study has taken this much of GPUs; a share of one counts as that share."""
    core_hours: float | None = Field(default=None, gt=0)
    """Stop once the study has taken this much of CPU cores."""
    gain_below_noise: bool = False
    """Stop once the gain still to be expected is, for every backbone, below the noise of a seed,
    for which the controls are run on three seeds."""

    @property
    def limits(self) -> dict[str, float]:
        """The rules in force: name to limit."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        # A value of zero is a limit as any other.
        set_ones = {
            name: one for name, one in found.items() if one is not None and one is not False
        }
        return {name: float(limit) for name, limit in set_ones.items()}


class Search(Config):
    """Settings of the search."""

    num_trials: int = Field(default=16, ge=1)
    """Trials in total, divided evenly among the backbones."""
    metric: str = ACCURACY
    """Metric to compare: a trial's best value over its epochs, whose weights are kept. For every
    class alike: ``val/balanced_accuracy``, ``val/macro_f1``, ``val/auroc`` (each class against the
    rest) or ``val/worst_recall``; for grades, in the order of the classes: ``val/kappa`` (quadratic
    weights); ``-val/loss``, the negative cross-entropy."""
    mode: Literal["max"] = "max"
    """Higher is better."""
    objectives: tuple[str, ...] = ()
    """``[METRIC, -seconds]``, with the metric above, searches for a Pareto front: values that no
    faster trial reaches. Trials are pruned by the metric. Empty: the metric alone counts."""
    sampler: SamplerName = "tpe"
    """Which of Optuna's samplers proposes: ``tpe`` and ``gp`` (a Gaussian process) learn from the
    trials before, as does ``cmaes`` (CMA-ES; needs ranges only and the package ``cmaes``). ``gp``
    and ``cmaes`` compare trials at the first rung, as they ignore pruned ones. ``random``, ``qmc``
    (a scrambled Sobol sequence) and ``grid`` (each point once, in random order; needs lists and
    whole numbers only) do not learn."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sampler."""
    triplet: Literal["shared", "per_trial"] = "shared"
    """Margin and threshold of the triplet pre-training, if they are searched. ``shared``: those of
    ``trial``, so that trials can share the stage, and the searched ones act in stage 3 alone;
    ``per_trial``: those of the trial, which computes this stage itself."""
    num_startup_trials: int = Field(default=5, ge=1)
    """Random configurations per backbone before a sampler starts to learn."""
    min_epochs: int | None = Field(default=None, ge=1)
    """Epochs that every trial gets (ASHA's grace period); null: a third of ``joint.epochs``."""
    reduction_factor: float = Field(default=3, gt=1)
    """One in this many trials survives a rung (ASHA's eta)."""
    max_failures: int = Field(default=2, ge=0)
    """How often a trial whose worker was lost is resumed from its last checkpoint."""
    checkpoint_share: float = Field(default=0.05, gt=0, le=1)
    """Largest share of a trial's time that may be spent on writing checkpoints; 1: after every
    epoch. A trial that is killed repeats everything after its last checkpoint."""
    controls: tuple[str, ...] = ("equal_steps",)
    """Arms that are run once per backbone beside the trials, with the fields and the seed of the
    study, to show what the search must beat: see ``confirm.arms``."""
    finalists: Finalists | None = None
    """Further seeds of the best trials after the search, which choose the winner by the mean of its
    seeds; null: the winner is chosen by its one seed."""
    stop: Stop = Stop()
    """Rules that stop the search before its last trial; any of them does."""
    keep_top: int = Field(default=3, ge=1)
    """Number of best trials per backbone whose weights are kept."""
    first_points: dict[str, tuple[dict[str, Scalar], ...]] = Field(default_factory=dict)
    """Backbone -> points to try first, by dotted path; missing values are sampled. Set by
    ``warm_start``. The study's own values are tried after them."""
    time_budget_s: float | None = Field(default=None, gt=0)
    """Seconds after which a session stops as if interrupted; null: no limit."""

    _metric_is_known = field_validator("metric")(known_metric)

    @property
    def num_kept(self) -> int:
        """Number of best trials per backbone whose weights are kept while the search runs."""
        return max(self.keep_top, self.finalists.top if self.finalists else 0)

    @field_validator("controls")
    @classmethod
    def _controls_are_arms(cls, controls: tuple[str, ...]) -> tuple[str, ...]:
        _require_arms(controls)
        return tuple(name for name in known_arms() if name in controls)


def _require_arms(names: Iterable[str]) -> None:
    for name in names:
        if name not in known_arms():
            near = closest(name, known_arms())
            hint = f". Did you mean {near!r}?" if near else ""
            raise ValueError(f"expected some of {', '.join(known_arms())}{hint}")


class Confirm(Config):
    """Settings of the confirmation: the best configuration and its rivals, on fresh seeds."""

    top: int = Field(default=3, ge=1)
    """Number of best configurations per backbone that are trained again to choose one; with
    ``tune_arms`` the best is taken, as it is of every arm."""
    seeds: int = Field(default=5, ge=1)
    """Fresh seeds per arm; an interval needs three."""
    arms: tuple[str, ...] = (
        "baseline",
        "equal_steps",
        "strong_augmentation",
        "gan_augmentation",
        "gan_distillation",
    )
    """Arms to compare; the method itself is always included."""
    rival: str | None = None
    """The arm that the verdict is about besides the baseline, named before results are known; null:
    the arm with the highest mean. In both cases p-values are corrected for all arms."""
    redraw: bool = True
    """Whether every seed draws new training and validation images, the same for all arms. The test
    images stay the same. Has no effect if the data set has fixed splits."""
    weights: dict[str, Root] = Field(default={})
    """Backbone -> pre-trained weights that the arm ``fine_tuned`` starts from; other backbones take
    their own weights, or those that torchvision or timm has for them."""
    tune_arms: bool = False
    """Whether each arm gets its own search, with the method's budget, over those dimensions of the
    study, in the same ranges, that affect the arm. An arm that none of them affects has nothing to
    tune."""

    figures: bool = True
    """Whether to add a run that shows what a collapsed generator does, for its figure."""

    @field_validator("arms")
    @classmethod
    def _are_there_and_compare(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        _require_arms(arms)
        if not set(arms) - {METHOD}:
            raise ValueError(f"expected at least one arm beside {METHOD}")
        return tuple(name for name in known_arms() if name in {*arms, METHOD})

    @model_validator(mode="after")
    def _rival_is_one_of_the_arms(self) -> Self:
        error = rival_error(self.rival, self.arms, "rival")
        if error is not None:
            raise ValueError(error)
        return self


def rival_error(rival: str | None, arms: Iterable[str], where: str) -> InputError | None:
    """Return the error in a named rival: it must be compared and have the role ``rival``.

    Args:
        rival: Its name; None is always valid.
        arms: Names of the compared arms.
        where: The field or parameter that names the rival, for the message.
    """
    rivals = [name for name in arms if known_arms()[name].role == "rival"]
    if rival is None or rival in rivals:
        return None
    expected = f"a rival among the arms: {', '.join(rivals) or 'there is none'}"
    return InputError(where, got=rival, expected=expected, choices=rivals)


def weights_errors(weights: Mapping[str, str], names: Sequence[str]) -> Iterator[InputError]:
    """Yield an error for every backbone with weights for an arm that is not among ``names``."""
    for name in weights:
        if name not in names:
            expected = "a backbone of the study"
            yield InputError("confirm.weights", got=name, expected=expected, choices=names)


def unlabelled_errors(where: str, names: Iterable[object]) -> Iterator[InputError]:
    """Yield an error for every choice that needs images without labels, for data without them.

    Args:
        where: The field or parameter that names the choices, for the message.
        names: Names of arms, or kinds of extra images.
    """
    expected = "images without labels for it to learn from (data.unlabelled), or another choice"
    needing = {"pseudo", *(arm.name for arm in known_arms().values() if arm.needs_unlabelled)}
    for name in names:
        if name in needing:
            yield InputError(where, got=name, expected=expected)


class Plugin(Config):
    """A plugin that a study needs; a plain name in YAML is short for ``{name: ...}``."""

    name: str
    """File name, such as ``my_parts.py``, or the name of an installed distribution."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """SHA-256 of its text (of a distribution: of its version), which a search writes down."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, raw: object) -> object:
        return {"name": Path(raw).name} if isinstance(raw, str) else raw


GPUS = "auto, fit, 0, 1, or a share of one GPU such as 0.5"


class Resources(Config):
    """Resources of one trial."""

    cpus: float = Field(default=1, gt=0)
    """CPU cores; also the number of threads."""
    gpus: float | Literal["auto", "fit"] = "auto"
    """GPUs, or a share of one such as 0.25. ``auto``: one if the cluster has any; a trial's use of
    it is measured, and how many would fit is reported. ``fit``: that many trials share a GPU."""
    accelerator: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Type of GPU for the trials, as Ray names it, such as ``H100``; null: any."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Maximum number of concurrent trials; null: as many as fit."""

    @field_validator("gpus")
    @classmethod
    def _gpus_are_some_or_a_share_of_one(cls, gpus: float | str) -> float | str:
        if isinstance(gpus, float) and gpus and (gpus < 1e-4 or (gpus > 1 and gpus % 1)):
            raise ValueError(f"expected {GPUS}")
        return gpus
