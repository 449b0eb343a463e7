"""Inputs of proposals: a study's plan, its dimensions' distributions and past trials."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution

from distill_tune.errors import InputError
from distill_tune.interfaces import TrialStatus
from distill_tune.records.directory import file_part
from distill_tune.study.extra_runs import is_extra
from distill_tune.study.sections import SamplerName
from distill_tune.study.space import Dimension
from distill_tune.tuning.sampling.costs import EpochSeconds
from distill_tune.tuning.sampling.distributions import Raw, distribution, encode, lies_in


def raw_point(dimensions: Mapping[str, Dimension], values: Mapping[str, Any]) -> dict[str, Raw]:
    """Return the raw values of those ``values`` that lie in the space, by dotted path."""
    raw = {path: encode(dimension, values.get(path)) for path, dimension in dimensions.items()}
    return {
        path: value
        for path, value in raw.items()
        if path in values and lies_in(distribution(dimensions[path]), value)
    }


@dataclass(frozen=True, kw_only=True)
class SamplerPlan:
    """Plan from which a study's proposals follow.

    Attributes:
        backbones: Trial ``number`` has ``backbones[number % len(backbones)]``.
        dimensions: By dotted path; may be empty.
        num_trials: Of all backbones together.
        min_epochs: The first rung, which every trial reaches.
        max_epochs: A trial that got this far is complete; one that ended earlier was pruned.
        seed: Of the whole study.
        num_startup_trials: Random trials of each backbone before a sampler uses the values.
        sampler: Which of Optuna's proposes.
        points_to_evaluate: Raw values that every backbone tries first; a path left out is sampled.
        first_points: Backbone to raw values that it alone tries, before those above.
        continued: Backbone to the trials of other studies that count as observations; a point to
            evaluate that is among them is not tried again.
        has_costs: Whether less time is a second objective.
    """

    backbones: tuple[str, ...]
    dimensions: Mapping[str, Dimension]
    num_trials: int
    min_epochs: int
    max_epochs: int
    seed: int
    num_startup_trials: int
    sampler: SamplerName = "tpe"
    points_to_evaluate: tuple[Mapping[str, Raw], ...] = ()
    first_points: Mapping[str, tuple[Mapping[str, Raw], ...]] = field(default_factory=dict)
    continued: Mapping[str, tuple["PastTrial", ...]] = field(default_factory=dict)
    has_costs: bool = False

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the space as Optuna's distributions.

        Raises:
            InputError: A point to evaluate lies outside it.
        """
        space = {path: distribution(dimension) for path, dimension in self.dimensions.items()}
        for index, point in enumerate(self.points_to_evaluate):
            for path, value in point.items():
                where = f"points_to_evaluate.{index}"
                if path not in space:
                    expected = "a dimension of the space"
                    raise InputError(where, got=path, expected=expected, choices=space)
                if not lies_in(space[path], value):
                    expected = f"a value of {self.dimensions[path].describe()}"
                    raise InputError(f"{where}.{path}", got=value, expected=expected)
        return space

    def points(self, backbone: str) -> tuple[Mapping[str, Raw], ...]:
        """Return the raw values that a backbone tries first, without duplicates."""
        first = self.first_points.get(backbone, ())
        known = [*first, *(past.raw for past in self.continued.get(backbone, ()))]
        return (*first, *(point for point in self.points_to_evaluate if point not in known))

    def seed_of(self, backbone: str, index: int) -> int:
        """Return the seed of a backbone's ``index``-th proposal, unrelated to all others.

        Continued trials enter it: their own study may have the same seed, and its random proposals
        would be made again.
        """
        text = f"{self.seed}/{backbone}/{index}"
        if num_continued := len(self.continued.get(backbone, ())):
            text += f"/{num_continued} continued"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


@dataclass(frozen=True)
class PastTrial:
    """Record of an earlier trial, as the sampler needs it.

    Attributes:
        raw: Raw values by dotted path, for the whole space.
        value: The best objective; None for a trial without one.
        intermediate: Epoch to objective.
        infeasible: Whether it failed because of its params, not because of a lost machine.
        trial_id: Ray's id, for a trial that continues.
        seconds: Epoch to seconds.
    """

    number: int
    backbone: str
    raw: Mapping[str, Raw]
    status: TrialStatus
    value: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    infeasible: bool = False
    trial_id: str = ""
    seconds: Mapping[int, EpochSeconds] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether the trial has ended."""
        return self.status in {"complete", "pruned", "failed"}


def trial_name(config: dict[str, Any]) -> str:
    """Return the name of a trial, such as ``resnet50-0007``, or of an extra run."""
    if is_extra(config):
        return str(config["extra"]["name"])
    return f"{file_part(config['backbone'])}-{config['number']:04d}"
