"""What proposals follow from: the plan of a study, its dimensions' distributions, past trials."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import create_trial

from distill_tune.errors import InputError
from distill_tune.interfaces import TrialStatus

Raw = bool | int | float | str | None
"""A value as Optuna proposes it, before ``Dimension.decode``."""


class Dimension(Protocol):
    """What the sampler needs to know of a dimension of the search space."""

    low: float
    high: float
    log: bool
    integer: bool
    choices: Sequence[Any]

    def decode(self, raw: Any) -> Any:
        """Return the value that the trial gets."""


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return the Optuna distribution of a dimension's raw values, both bounds included."""
    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    if dimension.integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


@dataclass(frozen=True, kw_only=True)
class SamplerPlan:
    """What a study's proposals follow from.

    Attributes:
        backbones: Trial ``number`` is of ``backbones[number % len(backbones)]``.
        dimensions: By dotted path; may be empty.
        num_trials: Of all backbones together.
        max_epochs: A trial that got so far is complete, one that ended earlier was pruned.
        seed: Of the whole study.
        num_startup_trials: Random ones of each backbone before TPE looks at the values.
        points_to_evaluate: Raw values that every backbone tries first; a path left out is sampled.
    """

    backbones: tuple[str, ...]
    dimensions: Mapping[str, Dimension]
    num_trials: int
    max_epochs: int
    seed: int = 0
    num_startup_trials: int = 10
    points_to_evaluate: tuple[Mapping[str, Raw], ...] = ()

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return Optuna's view of the space.

        Raises:
            InputError: A point to evaluate lies outside it.
        """
        space = {path: distribution(dimension) for path, dimension in self.dimensions.items()}
        for index, point in enumerate(self.points_to_evaluate):
            for path, value in point.items():
                _check(f"points_to_evaluate[{index}].{path}", path, value, space)
        return space

    def seed_of(self, backbone: str, index: int) -> int:
        """Return the seed of a backbone's ``index``-th proposal, unrelated to all others."""
        text = f"{self.seed}/{backbone}/{index}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


@dataclass(frozen=True)
class PastTrial:
    """What the sampler has to know of a trial proposed before.

    Attributes:
        raw: Raw values by dotted path, all of the space.
        value: The best objective; None for a trial without one.
        intermediate: Epoch to objective.
        trial_id: Ray's, when Ray still knows the trial.
    """

    number: int
    backbone: str
    raw: Mapping[str, Raw]
    status: TrialStatus
    value: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    trial_id: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it needs no running any more."""
        return self.status in {"complete", "pruned", "failed"}


def _check(where: str, path: str, value: Raw, space: Mapping[str, BaseDistribution]) -> None:
    if path not in space:
        raise InputError(where, got=path, expected="a dimension of the space", choices=space)
    try:
        # Optuna itself takes such a value with no more than a warning.
        create_trial(params={path: value}, distributions={path: space[path]}, value=0.0)
    except (ValueError, TypeError) as error:
        raise InputError(where, got=value, expected=f"a value of {space[path]}") from error
