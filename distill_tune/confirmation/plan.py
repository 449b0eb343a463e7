"""Plan of a confirmation: its arms and seeds, and the stages that its runs share."""

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
from distill_tune.records.directory import file_part
from distill_tune.records.trials import TrialRecord
from distill_tune.study.arms import COLLAPSED, METHOD, Arm, known_arms
from distill_tune.study.sections import Confirm, rival_error, unlabelled_errors
from distill_tune.study.space import apply
from distill_tune.study.study import Study
from distill_tune.training.stages import ComputePlace, Job, identity
from distill_tune.tuning.extras.common_stages import common_jobs

_EVIDENCE_SEEDS, _SELECTION_SEEDS = 1_000, 100_000


def planned(study: Study, options: Mapping[str, Any]) -> Confirm:
    """Return the confirmation of a study with options of the command line applied.

    Args:
        study: A study, with or without a ``confirm`` section.
        options: Field of :class:`Confirm` -> value, ``arms`` as comma-separated text; None keeps
            the study's value.

    Raises:
        InputError: An arm is unknown or needs images that the study does not have, there is nothing
            to compare with, or the rival is not one of the arms that are rivals.
    """
    base = study.confirm or Confirm()
    given = {name: value for name, value in options.items() if value is not None}
    if "arms" in given:
        given["arms"] = _arms(str(given["arms"]), study)
    fields = {**{name: getattr(base, name) for name in Confirm.model_fields}, **given}
    error = rival_error(fields["rival"], fields["arms"], Parameter("rival"))
    if error is None and study.data.unlabelled is None:
        error = next(unlabelled_errors(Parameter("arms"), fields["arms"]), None)
    if error is not None:
        raise error
    return Confirm(**fields)


def _arms(text: str, study: Study) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return tuple(name for name, arm in known_arms().items() if _is_possible(study, arm))
    for name in names:
        if name not in known_arms():
            expected = f"all, or some of {', '.join(known_arms())}"
            raise InputError(Parameter("arms"), got=name, expected=expected, choices=known_arms())
    if not set(names) - {METHOD}:
        raise InputError(Parameter("arms"), got=text, expected=f"at least one arm beside {METHOD}")
    return tuple(names)


def _is_possible(study: Study, arm: Arm) -> bool:
    """Return whether a study has what an arm needs: images without labels, or weights."""
    given = study.confirm.weights if study.confirm else {}
    has_weights = all(one.is_pretrained or one.name in given for one in study.backbones)
    has_unlabelled = study.data.unlabelled is not None
    return (has_unlabelled or not arm.needs_unlabelled) and (has_weights or not arm.is_fine_tuned)


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
        study: The study that was searched.
        confirm: Arms and numbers.
        digest: Digest of the search's images.
        is_redrawn: Whether each seed has its own training and validation images.
        tuned: Params of the arms that had their own search.
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
        """Return the runs that compare a configuration with the search's other best ones.

        Their seeds differ from those of the evidence: a configuration that won by luck must win
        again.
        """
        return [
            self._run(SELECTION, backbone, trial, known_arms()[METHOD], seed)
            for seed in _seeds(self.study, self.confirm, _SELECTION_SEEDS)
        ]

    def evidence(self, chosen: Mapping[str, TrialRecord]) -> Iterator[ArmRun]:
        """Yield the runs of all arms, seed after seed, so that an interrupt leaves paired runs.

        Args:
            chosen: Backbone -> the trial to confirm.
        """
        for seed in self.evidence_seeds():
            for backbone, trial in chosen.items():
                for arm in self.confirm.arms:
                    yield self._run(EVIDENCE, backbone, trial, known_arms()[arm], seed)

    def keys(self, chosen: Mapping[str, TrialRecord]) -> dict[str, dict[str, str]]:
        """Return backbone -> name of an arm -> digest of what its runs share."""
        keys: dict[str, dict[str, str]] = {name: {} for name in chosen}
        for run in self.evidence(chosen):
            keys[run.backbone][run.arm.name] = run.key
        return keys

    def figures(self, chosen: Mapping[str, TrialRecord]) -> list[ArmRun]:
        """Return the runs for figures only: one per backbone, with a collapsed generator."""
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
            name=f"confirm-{file_part(backbone)}-{arm.name}-{key[:8]}-seed{seed}",
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
        weights = self.study.arm_weights(backbone)
        if params is None:
            return arm.config(self.study.trial_config(backbone, trial.params), weights)
        # Like the arm's own search, start from the study's values, not those of the method.
        base = arm.config(self.study.trial_config(backbone, {}), weights)
        return TrialConfig.model_validate(apply(plain(base), params))

    def _key(self, config: TrialConfig) -> str:
        """Return a digest of everything that the runs of an arm share, regardless of seed."""
        fields = {name: value for name, value in identity(config).items() if name != "seed"}
        fields |= {"digest": self.digest, "is_redrawn": self.is_redrawn}
        text = json.dumps(fields, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def shared_by(runs: Iterable[ArmRun], images: StudyImages, place: ComputePlace) -> list[Job]:
    """Return the stages that at least two runs begin with: several arms with the same seed.

    Args:
        runs: Runs to train.
        images: Images of each run.
        place: Where the stages are computed.
    """
    configs = [run.config for run in runs]
    return common_jobs(configs, images.digest, place, ("warmup", "classifier"))
