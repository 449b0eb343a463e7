"""What a confirmation trains: arms and seeds, and which runs begin with the same stages."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distill_tune.cluster.shared_images import StudyImages
from distill_tune.confirmation.run import ArmRun
from distill_tune.confirmation.tuned_arms import Tuned
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError, Parameter
from distill_tune.interfaces import plain
from distill_tune.records.confirm_log import EVIDENCE, FIGURES, SELECTION
from distill_tune.records.trials import TrialRecord
from distill_tune.study.arms import ARMS, COLLAPSED, METHOD, Arm
from distill_tune.study.sections import Confirm, rival_error
from distill_tune.study.space import apply
from distill_tune.study.study import Study
from distill_tune.training.stages import ComputePlace, Job, stage_key, stage_name

_EVIDENCE_SEEDS, _SELECTION_SEEDS = 1_000, 100_000


def planned(study: Study, options: Mapping[str, Any]) -> Confirm:
    """Return what a study says of its confirmation, with options of the command line applied.

    Args:
        study: May say nothing.
        options: Field of :class:`Confirm` -> value, ``arms`` as text with commas; None leaves it.

    Raises:
        InputError: There is no such arm, or nothing to compare with, or no such rival.
    """
    base = study.confirm or Confirm()
    given = {name: value for name, value in options.items() if value is not None}
    if "arms" in given:
        given["arms"] = _arms(str(given["arms"]))
    fields = {**{name: getattr(base, name) for name in Confirm.model_fields}, **given}
    error = rival_error(fields["rival"], fields["arms"], Parameter("rival"))
    if error is not None:
        raise error
    return Confirm(**fields)


def _arms(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return tuple(ARMS)
    for name in names:
        if name not in ARMS:
            expected = f"all, or some of {', '.join(ARMS)}"
            raise InputError(Parameter("arms"), got=name, expected=expected, choices=ARMS)
    if not set(names) - {METHOD}:
        raise InputError(Parameter("arms"), got=text, expected=f"at least one arm beside {METHOD}")
    return tuple(names)


def evidence_seeds(study: Study, confirm: Confirm) -> list[int]:
    """Return the seeds on which arms are compared."""
    return _seeds(study, confirm, _EVIDENCE_SEEDS)


def _seeds(study: Study, confirm: Confirm, first: int) -> list[int]:
    start = study.trial.seed + first
    return list(range(start, start + confirm.seeds))


@dataclass(frozen=True)
class Plan:
    """The runs of a confirmation.

    Attributes:
        study: The search's.
        confirm: Arms and numbers.
        digest: Of the images of the search.
        is_redrawn: Whether each seed has training and validation images of its own.
        tuned: Params of arms that had a search of their own.
    """

    study: Study
    confirm: Confirm
    digest: str
    is_redrawn: bool
    tuned: Tuned

    def evidence_seeds(self) -> list[int]:
        """Return the seeds on which arms are compared."""
        return evidence_seeds(self.study, self.confirm)

    def selection(self, backbone: str, trial: TrialRecord) -> list[ArmRun]:
        """Return the runs by which a configuration is compared with the search's other best ones.

        Their seeds are others than those of the evidence: what won by luck has to win again.
        """
        return [
            self._run(SELECTION, backbone, trial, ARMS[METHOD], seed)
            for seed in _seeds(self.study, self.confirm, _SELECTION_SEEDS)
        ]

    def evidence(self, chosen: Mapping[str, TrialRecord]) -> Iterator[ArmRun]:
        """Yield the runs of all arms, seed after seed: what an interrupt leaves is paired.

        Args:
            chosen: Backbone -> the trial that is confirmed.
        """
        for seed in self.evidence_seeds():
            for backbone, trial in chosen.items():
                for arm in self.confirm.arms:
                    yield self._run(EVIDENCE, backbone, trial, ARMS[arm], seed)

    def figures(self, chosen: Mapping[str, TrialRecord]) -> list[ArmRun]:
        """Return the runs that only figures show: each backbone's, with a collapsed generator."""
        if not self.confirm.figures:
            return []
        seed = self.evidence_seeds()[0]
        return [self._run(FIGURES, name, trial, COLLAPSED, seed) for name, trial in chosen.items()]

    def _run(self, phase: str, backbone: str, trial: TrialRecord, arm: Arm, seed: int) -> ArmRun:
        params = self.tuned.get(arm.name, {}).get(backbone)
        config = self._config(backbone, trial, arm, params)
        key = self._key(config)
        data = self.study.data.redrawn(seed) if self.is_redrawn else self.study.data
        return ArmRun(
            name=f"confirm-{backbone}-{arm.name}-{key[:8]}-seed{seed}",
            phase=phase,
            backbone=backbone,
            arm=arm,
            trial=trial.number,
            config=config.model_copy(update={"seed": seed, "data": data}),
            key=key,
            is_tuned=params is not None,
            is_redrawn=self.is_redrawn,
            is_concerned=bool(arm.dimensions(self.study.space.dimensions)),
            is_portrayed=phase == EVIDENCE
            and arm.name == METHOD
            and seed == self.evidence_seeds()[0],
        )

    def _config(
        self, backbone: str, trial: TrialRecord, arm: Arm, params: Mapping[str, Any] | None
    ) -> TrialConfig:
        if params is None:
            return arm.config(self.study.trial_config(backbone, trial.params))
        # As its own search was: from the study's values, not from those found for the method.
        base = arm.config(self.study.trial_config(backbone, {}))
        return TrialConfig.model_validate(apply(plain(base), params))

    def _key(self, config: TrialConfig) -> str:
        """Return a digest of all that the runs of an arm have in common, whatever their seeds."""
        fields = {name: value for name, value in plain(config).items() if name != "seed"}
        fields |= {"digest": self.digest, "is_redrawn": self.is_redrawn}
        text = json.dumps(fields, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def shared_by(runs: Iterable[ArmRun], images: StudyImages, place: ComputePlace) -> list[Job]:
    """Return the stages that at least two runs begin with: those of one seed, in several arms.

    Args:
        runs: What is to be trained.
        images: Of each.
        place: Where.
    """
    jobs: dict[str, list[Job]] = {}
    for run in runs:
        digest = images.digest(run.config.data)
        for stage in ("warmup", "classifier") if run.config.joint.has_gan else ("classifier",):
            name = f"{stage_name(stage, run.config)} seed={run.config.seed}"
            key = stage_key(stage, run.config, digest, place)
            jobs.setdefault(key, []).append(Job(stage, run.config, name))
    shared = [same[0] for same in jobs.values() if len(same) > 1]
    # Seed after seed, as their images are drawn; the warm-up first, since mostly it takes longest.
    return sorted(shared, key=lambda job: (job.config.seed, job.stage != "warmup"))
