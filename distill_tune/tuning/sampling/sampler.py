"""Sampler that Ray asks for trials: one Optuna study per backbone, rebuilt after a resume."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from ray.tune.search import Searcher

from distill_tune.errors import StudyError
from distill_tune.records.trials import OBJECTIVE
from distill_tune.tuning.sampling.backbone_sampler import BackboneSampler
from distill_tune.tuning.sampling.distributions import Raw
from distill_tune.tuning.sampling.proposals import PastTrial, SamplerPlan
from distill_tune.tuning.scheduler import MODE


class SamplerPerBackbone(Searcher):
    """Sampler that deals the trials of a study out to the samplers of its backbones, in turn.

    A proposal is ``{"backbone": ..., "number": ..., "params": {path: decoded value}}``. After
    ``num_trials`` of them, the sampler reports that it is finished.

    Args:
        plan: What the proposals follow from.
        extras: Configurations of extra runs, which are started before the trials. Nothing is learnt
            from them.
        has_trials: Whether trials follow.
    """

    def __init__(
        self,
        plan: SamplerPlan,
        extras: Iterable[dict[str, Any]] = (),
        *,
        has_trials: bool = True,
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode=MODE)
        self._plan, self._extras, self._has_trials = plan, list(extras), has_trials
        self._samplers = {name: BackboneSampler(plan, name) for name in plan.backbones}
        self._owners: dict[str, BackboneSampler] = {}
        self._recorded: dict[int, PastTrial] = {}
        self._next = 0

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Save nothing with Ray's experiment: everything known here follows from the records."""

    def sampler(self, backbone: str) -> BackboneSampler:
        """Return the sampler of a backbone."""
        return self._samplers[backbone]

    def close(self) -> None:
        """Propose nothing more."""
        self._extras, self._has_trials = [], False

    def history(self) -> list[PastTrial]:
        """Return every trial proposed or adopted so far, by number."""
        every = [past for sampler in self._samplers.values() for past in sampler.history()]
        return sorted(every, key=lambda past: past.number)

    def raw(self, trial_id: str) -> dict[str, Raw]:
        """Return the raw values proposed for one of Ray's trials, as ``replay`` needs them."""
        return self._owners[trial_id].raw(trial_id)

    def replay(self, trials: Iterable[PastTrial]) -> None:
        """Continue from the study's records where they go further than this sampler.

        Of the numbers not proposed yet, an ended trial is adopted, an unfinished one is proposed
        again with the same number and values, and a gap is filled with a new proposal.
        """
        for past in trials:
            if past.number >= self._next:
                self._recorded[past.number] = past
        self._take_over()

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        """Return a proposal, or ``Searcher.FINISHED``; never None, which would make Ray wait."""
        if self._extras:
            return self._extras.pop(0)
        self._take_over()
        number = self._next
        if number >= self._plan.num_trials or not self._has_trials:
            return self.FINISHED
        backbone = self._backbone(number)
        sampler = self._samplers[backbone]
        past = self._recorded.pop(number, None)
        if past:
            params = sampler.adopt(dataclasses.replace(past, trial_id=trial_id))
        else:
            params = sampler.suggest(trial_id)
        self._owners[trial_id] = sampler
        self._next += 1
        return {"backbone": backbone, "number": number, "params": params}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._owners:
            self._owners[trial_id].on_trial_result(trial_id, result)

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        if trial_id in self._owners:
            self._owners[trial_id].on_trial_complete(trial_id, result, error)

    def _backbone(self, number: int) -> str:
        return self._plan.backbones[number % len(self._plan.backbones)]

    def _take_over(self) -> None:
        while self._next in self._recorded and self._recorded[self._next].is_over:
            self._adopt(self._recorded.pop(self._next))

    def _adopt(self, past: PastTrial) -> None:
        expected = self._backbone(self._next)
        if (past.number, past.backbone) != (self._next, expected):
            got = f"trial {past.number} of {past.backbone!r}"
            raise StudyError(
                f"the study's trials do not fit: {got}, not {self._next} of {expected!r}"
            )
        self._samplers[expected].adopt(past)
        self._next += 1
