"""Runs of a search beside its trials, which no sampler proposes: controls and finalists."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.records.directory import file_part
from distill_tune.records.trials import TrialRecord
from distill_tune.study.arms import METHOD, Arm, known_arms
from distill_tune.study.study import Study

ExtraKind = Literal["control", "finalist"]
_FURTHER_SEEDS = 10_000
"""Distance of further seeds from the search's; none is one of ``confirm``."""
_NOISE_SEEDS = 3


class ExtraRun(NamedTuple):
    """A run of a search that is no trial: never proposed, pruned or counted.

    Attributes:
        kind: ``control``: an arm with the fields of the study; ``finalist``: a trial of the search
            on another seed.
        name: Name of its records, such as ``control-resnet50-equal_steps``.
        backbone: Name of the backbone.
        arm: Name of the arm.
        seed: Seed of the run.
        trial: Number of the trial whose params it has; None for those of the study.
        params: The params by dotted path.
    """

    kind: ExtraKind
    name: str
    backbone: str
    arm: str
    seed: int
    trial: int | None
    params: dict[str, Any]

    def proposal(self, index: int) -> dict[str, Any]:
        """Return the run as a trial's configuration; numbers of extra runs are negative.

        Args:
            index: Position among the extra runs of a session, from 0.
        """
        extra = {"kind": self.kind, "name": self.name, "arm": self.arm, "seed": self.seed}
        extra |= {"trial": self.trial}
        place = {"backbone": self.backbone, "number": -1 - index, "params": self.params}
        return place | {"extra": extra}


def control_runs(study: Study) -> list[ExtraRun]:
    """Return the controls of a search: each arm per backbone, with the search's seed.

    They follow on two further seeds if the noise of a seed is to be known.
    """
    first = study.trial.seed
    suffix = {first: ""}
    count = _NOISE_SEEDS if study.search.stop.gain_below_noise else 1
    return [
        ExtraRun(
            kind="control",
            name=f"control-{file_part(backbone.name)}-{arm}{suffix.get(seed, f'-seed{seed}')}",
            backbone=backbone.name,
            arm=arm,
            seed=seed,
            trial=None,
            params={},
        )
        for seed in _seeds(first, count)
        for backbone in study.backbones
        for arm in study.search.controls
    ]


def finalist_seeds(study: Study) -> list[int]:
    """Return the seeds of the finalists, the search's first; without finalists, only that one."""
    finalists = study.search.finalists
    return _seeds(study.trial.seed, finalists.seeds if finalists is not None else 1)


def _seeds(first: int, count: int) -> list[int]:
    return [first, *(first + _FURTHER_SEEDS + index for index in range(1, count))]


def finalist_runs(study: Study, chosen: Iterable[TrialRecord]) -> list[ExtraRun]:
    """Return the runs of trials on their further seeds, seed after seed."""
    trials = list(chosen)
    return [
        ExtraRun(
            kind="finalist",
            name=f"finalist-{trial.name}-seed{seed}",
            backbone=trial.backbone,
            arm=METHOD,
            seed=seed,
            trial=trial.number,
            params=dict(trial.params),
        )
        for seed in finalist_seeds(study)[1:]
        for trial in trials
    ]


def is_extra(proposal: Mapping[str, Any]) -> bool:
    """Return whether a proposal is an extra run."""
    return "extra" in proposal


def arm_of(proposal: Mapping[str, Any]) -> Arm:
    """Return the arm of a proposal: the method, unless it is an extra run of another arm."""
    return known_arms()[proposal["extra"]["arm"] if is_extra(proposal) else METHOD]


def proposed_config(study: Study, proposal: Mapping[str, Any]) -> TrialConfig:
    """Return the whole configuration of a trial or an extra run.

    Args:
        study: The whole search.
        proposal: ``{"backbone": name, "params": {path: value}}``; for an extra run also ``extra``.
    """
    config = study.trial_config(proposal["backbone"], proposal["params"])
    if not is_extra(proposal):
        return config
    config = arm_of(proposal).config(config, study.arm_weights(proposal["backbone"]))
    return config.model_copy(update={"seed": proposal["extra"]["seed"]})
