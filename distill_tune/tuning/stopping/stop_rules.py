"""Rules of ``search.stop``: they end a search before its last trial, as its time budget does."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ray import tune

from distill_tune.records.extras.computing import computing_s, hours
from distill_tune.records.extras.noise import seed_noise
from distill_tune.records.pareto import pareto_front
from distill_tune.records.stops import BUDGETS, STOPPED, Stop, latest
from distill_tune.records.trials import OBJECTIVE, StudyState, TrialRecord, best_of_one_seed
from distill_tune.study.study import Study
from distill_tune.tuning.extras.open_runs import num_open_trials
from distill_tune.tuning.interrupts import Drain
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.stopping.gain_left import GainLeft


class StopRules:
    """The rules of a study.

    A rule that has stopped the search stops it again, whatever has ended since, until more trials
    are asked for than were then: so ``--num-trials`` goes on. The trials without a gain are counted
    again from there.

    Once all trials have ended there is nothing that a rule could spare, and only those that limit
    the cost go on: they stop finalists too.

    Args:
        study: The whole search.
        journal: Its records.
        bundle: Resources of a trial, by Ray's names.
    """

    def __init__(self, study: Study, journal: Journal, bundle: Mapping[str, float]) -> None:
        self._study, self._journal, self._bundle = study, journal, bundle
        self._gain_left = GainLeft(study)

    def broken(self) -> Stop | None:
        """Return the first rule that says stop, with its reason; None if there is none."""
        limits = self._study.search.stop.limits
        checks: dict[str, Callable[[float], str]] = {
            "value": self._value,
            "trials_without_gain": self._trials_without_gain,
            "gpu_hours": partial(self._hours, "GPU"),
            "core_hours": partial(self._hours, "CPU"),
            "gain_below_noise": self._gain_below_noise,
        }
        is_searching = num_open_trials(self._study, self._state) > 0
        for rule, limit in limits.items():
            if not is_searching and rule not in BUDGETS:
                continue
            before = latest(self._journal.state.stops, rule, limit)
            is_overruled = before is not None and before.num_trials < self._study.search.num_trials
            if before is not None and not is_overruled:
                return before
            if is_overruled and rule != "trials_without_gain":
                continue
            words = checks[rule](limit)
            if words:
                num_trials, num_over = self._study.search.num_trials, len(_over(self._state))
                return Stop(rule, limit, words, num_trials, num_over)
        return None

    def callbacks(self, drain: Drain, close: Callable[[], None]) -> "list[StopCallback]":
        """Return the callback of an experiment that may be stopped; none without rules."""
        return [StopCallback(self, drain, close)] if self.may_stop else []

    @property
    def may_stop(self) -> bool:
        """True if there is a rule, and none has stopped the session."""
        return bool(self._study.search.stop.limits) and self._state.stop is None

    def stop_if_broken(self) -> bool:
        """Record the first rule that says stop; return whether there is one."""
        found = self.broken()
        if found is not None:
            self._journal.emit(STOPPED, **found._asdict())
        return found is not None

    @property
    def _state(self) -> StudyState:
        return self._journal.state

    def _value(self, limit: float) -> str:
        for backbone in self._state.backbones:
            winner = best_of_one_seed(self._state, backbone)
            # One that is not complete may not be the winner in the end.
            if winner is None or winner.value is None or winner.status != "complete":
                continue
            if winner.value >= limit:
                metric = self._study.search.metric
                return f"{metric} {winner.value:.4f} of {winner.name} has reached {limit:g}"
        return ""

    def _trials_without_gain(self, limit: float) -> str:
        before = latest(self._state.stops, "trials_without_gain", limit)
        is_overruled = before is not None and before.num_trials < self._study.search.num_trials
        start = before.num_over if before is not None and is_overruled else 0
        has_costs = bool(self._study.search.objectives)
        count = trials_without_gain(self._state, start, has_costs=has_costs)
        trials = "trial" if count == 1 else f"{count} trials"
        return f"the last {trials} brought no gain" if count >= limit else ""

    def _hours(self, kind: str, limit: float) -> str:
        used = hours(computing_s(self._state), (kind, self._bundle.get(kind, 0)))
        words = f"{used.total:.2f} of {limit:g} {used.unit}s are used"
        return words if used.total >= limit else ""

    def _gain_below_noise(self, _: float) -> str:
        words = []
        for backbone in self._study.backbones:
            noise = seed_noise(self._state, backbone.name)
            if noise is None:
                return ""
            gain = self._gain_left.of(backbone.name, self._journal, noise)
            if gain is None or gain >= noise.deviation:
                return ""
            words.append(
                f"a gain of {gain:.2g} is still to be expected of {backbone.name}, less than the "
                f"noise of a seed, {noise.deviation:.2g}"
            )
        return "; ".join(words)


def trials_without_gain(state: StudyState, start: int = 0, *, has_costs: bool = False) -> int:
    """Return how many trials ended since the last that was the best of its backbone so far.

    Args:
        state: State of the study.
        start: Ends that are passed over: they count neither as gain nor as none.
        has_costs: Whether less time is an objective too: a gain is a new trial of the front then.
    """
    keep = pareto_front if has_costs else _best
    kept: dict[str, tuple[TrialRecord, ...]] = {}
    count = 0
    for index, trial in enumerate(_over(state)):
        found = kept[trial.backbone] = keep([*kept.get(trial.backbone, ()), trial])
        is_gain = any(one is trial for one in found)
        count = 0 if is_gain or index < start else count + 1
    return count


def _best(trials: Iterable[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Return the first of the trials with the highest value; none if no trial has one."""
    known = [trial for trial in trials if trial.status != "failed" and trial.value is not None]
    return (max(known, key=lambda trial: trial.value or 0.0),) if known else ()


def _over(state: StudyState) -> list[TrialRecord]:
    """Return the trials that have ended, in the order of their ends."""
    over = [trial for trial in state.trials.values() if trial.ended_at is not None]
    return sorted(over, key=lambda trial: (trial.ended_at, trial.number))


class StopCallback(tune.Callback):
    """Callback that drains the experiment as soon as a rule says stop.

    Args:
        rules: Those of the study.
        drain: Of the experiment.
        close: Lets the sampler propose nothing more: Ray starts a trial that is proposed, even
            while the experiment is drained.
    """

    def __init__(self, rules: StopRules, drain: Drain, close: Callable[[], None]) -> None:
        self._rules, self._drain, self._close = rules, drain, close

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as a plain callback, as the study's own callback does."""
        return tune.Callback, ()

    def on_trial_result(self, **info: Any) -> None:  # type: ignore[override]
        if OBJECTIVE in info["result"]:
            self._look()

    def on_trial_complete(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self._look()

    def on_trial_error(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self._look()

    def _look(self) -> None:
        if not self._drain.is_begun and self._rules.stop_if_broken():
            self._close()
            self._drain.begin()
