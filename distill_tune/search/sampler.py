"""The sampler: what Ray asks for trials, one Optuna study per backbone, rebuilt after a resume."""

import dataclasses
import os
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from distill_tune.errors import StudyError
from distill_tune.search.proposals import PastTrial, Raw, SamplerPlan
from distill_tune.search.scheduler import MODE, OBJECTIVE
from distill_tune.search.tpe import OptunaSampler


class SamplerPerBackbone(Searcher):
    """Deals the trials of a study out to the samplers of its backbones, in turn.

    A proposal is ``{"backbone": ..., "number": ..., "params": {path: decoded value}}``. After
    ``num_trials`` of them the searcher says that it is finished.

    Args:
        plan: What the proposals follow from.
        load_trials: Gives the trials that the study's records know, when called without arguments;
            has to be picklable. Called when Ray has restored the sampler from a snapshot, which is
            older than the records, for ``replay``.
    """

    def __init__(
        self, plan: SamplerPlan, *, load_trials: Callable[[], Iterable[PastTrial]] | None = None
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode=MODE)
        self._plan, self._load_trials = plan, load_trials
        self.set_state({"trials": [], "recorded": {}})

    def __getstate__(self) -> dict[str, Any]:
        return {"plan": self._plan, "load_trials": self._load_trials}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Ray unpickles a sampler only to restore it, but goes on when it cannot.
        SamplerPerBackbone.__init__(self, **state)
        self._awaits_restore = True

    def sampler(self, backbone: str) -> OptunaSampler:
        """Return the sampler of a backbone."""
        return self._samplers[backbone]

    def history(self) -> list[PastTrial]:
        """Return every trial proposed or taken over so far, by number."""
        every = [past for sampler in self._samplers.values() for past in sampler.history()]
        return sorted(every, key=lambda past: past.number)

    def raw(self, trial_id: str) -> dict[str, Raw]:
        """Return the raw values proposed for one of Ray's trials: what ``replay`` wants back."""
        return self._owners[trial_id].raw(trial_id)

    def replay(self, trials: Iterable[PastTrial]) -> None:
        """Continue from the study's records where they know more than this sampler.

        Of the numbers that it has not proposed yet, a trial that is over is taken over, one that
        is not is proposed again with the same number and values, and a gap is filled afresh.
        """
        self._awaits_restore = False
        for past in trials:
            if past.number >= self._next:
                self._recorded[past.number] = dataclasses.replace(past, trial_id="")
        self._take_over()

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        """Return a proposal, or ``Searcher.FINISHED``; never None, on which Ray would wait.

        Raises:
            StudyError: Ray failed to restore its snapshot, and now would start all over.
        """
        if self._awaits_restore:
            raise StudyError("Ray's snapshot of the search is damaged and cannot be resumed from")
        self._take_over()
        number = self._next
        if number >= self._plan.num_trials:
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

    def get_state(self) -> dict[str, Any]:
        """Return all that ``set_state`` needs, as plain data."""
        recorded = {number: dataclasses.asdict(past) for number, past in self._recorded.items()}
        return {"trials": list(map(dataclasses.asdict, self.history())), "recorded": recorded}

    def set_state(self, state: dict[str, Any]) -> None:
        self._samplers = {name: OptunaSampler(self._plan, name) for name in self._plan.backbones}
        self._owners: dict[str, OptunaSampler] = {}
        self._next, self._awaits_restore = 0, False
        self._recorded = {n: PastTrial(**past) for n, past in state["recorded"].items()}
        for past in state["trials"]:
            self._adopt(PastTrial(**past))

    def save(self, checkpoint_path: str) -> None:
        """Write the state to a file, whole or not at all."""
        target = Path(checkpoint_path)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        temporary.write_bytes(pickle.dumps(self.get_state()))
        temporary.replace(target)

    def restore(self, checkpoint_path: str) -> None:
        self.set_state(pickle.loads(Path(checkpoint_path).read_bytes()))  # noqa: S301
        if self._load_trials is not None:
            self.replay(self._load_trials())

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
        sampler = self._samplers[expected]
        sampler.adopt(past)
        if past.trial_id:
            self._owners[past.trial_id] = sampler
        self._next += 1
