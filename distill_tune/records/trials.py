"""Records of a study: trials, sessions, stages, and the winner of each backbone."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from distill_tune.interfaces import Metrics, TrialStatus
    from distill_tune.records.extras.finalists import Finalist
    from distill_tune.records.extras.runs import ExtraRecord
    from distill_tune.records.stops import Stop

Event = dict[str, Any]
SessionStatus = Literal["running", "finished", "interrupted", "time_budget", "stopped", "failed"]

INTERRUPTED: Final = "interrupted"
"""Event for the terminal at the first interrupt; the log records it when the session ends."""

CONTINUED: Final = "continued"
"""Event that holds the trials taken over from other studies."""

OBJECTIVE = "objective"
SECONDS = "seconds/"

AGREEMENT, DIVERSITY = "synthetic/agreement", "synthetic/pixel_diversity"
"""Metrics of the generator: see :class:`FidelityPoint`."""

FINALISTS: Final = "finalists"
"""Event that names the finalists of a backbone."""

STAGE_ONE_OBJECTIVE = "classifier/objective"
STAGE_STEPS = "steps"
WARMUP_GRID = "warmup/synthetic"
"""TensorBoard tag of the picture in the run of a trial that computed its own warm-up."""
_STAGE_METRICS = frozenset(
    f"{stage}/{name}"
    for stage in ("warmup", "triplet")
    for name in (STAGE_STEPS, AGREEMENT, DIVERSITY)
)

FIT_AGREEMENT = 0.9
"""A generator is fit if at least this share of its images agrees with their labels."""

UNFIT_AGREEMENT = 0.6
"""A generator below this share is unfit and is reported in a warning."""


class FidelityPoint(NamedTuple):
    """How well a generator follows its classes at one moment.

    Attributes:
        step: Generator steps taken in the stage.
        agreement: Share of synthetic images, in [0, 1], to which a judge trained on the training
            images assigns the requested class.
        diversity: Mean pixel distance within a class, synthetic over real.
    """

    step: int
    agreement: float
    diversity: float


@dataclass(frozen=True)
class TrialRecord:
    """One trial, as recorded in the log.

    Attributes:
        number: Number within the study, from 0.
        name: Name, such as ``resnet50-0003``.
        params: The sampled values by dotted path.
        reason: Short name of why it failed or was pruned; otherwise empty.
        detail: The reason in words.
        history: Epoch -> metrics, in the order of epochs; a re-reported epoch replaces its row.
        started_at: Unix time of the first start; None if that event was lost.
        ended_at: Unix time of the end; None while the trial runs.
    """

    number: int
    name: str
    backbone: str
    params: dict[str, Any]
    status: "TrialStatus"
    reason: str
    detail: str
    history: "dict[int, Metrics]"
    started_at: float | None
    ended_at: float | None

    @property
    def epochs(self) -> int:
        """Number of recorded epochs."""
        return len(self.history)

    @cached_property
    def value(self) -> float | None:
        """The highest finite objective of any epoch; None if there is none."""
        values = (metrics.get(OBJECTIVE, math.nan) for metrics in self.history.values())
        return max(filter(math.isfinite, values), default=None)

    @property
    def metrics(self) -> "Metrics":
        """The last epoch's metrics."""
        return self.history[max(self.history)] if self.history else {}

    @property
    def stage_metrics(self) -> "Metrics":
        """Measurements at the end of its GAN stages, such as ``warmup/synthetic/agreement``."""
        first = self.history.get(1, {})
        return {name: value for name, value in first.items() if name in _STAGE_METRICS}

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Seconds spent in each of its own stages, summed over the epochs."""
        total: dict[str, float] = {}
        for metrics in self.history.values():
            for key, seconds in metrics.items():
                if key.startswith(SECONDS) and math.isfinite(seconds):
                    stage = key.removeprefix(SECONDS)
                    total[stage] = total.get(stage, 0.0) + seconds
        return total

    def outcome(self, *, is_running: bool) -> str:
        """Return its status; ``interrupted`` for an unfinished trial while no search runs."""
        return "interrupted" if self.status == "running" and not is_running else self.status


@dataclass(frozen=True)
class StageRecord:
    """One use of a stage shared by trials: computed, or found ready (``cached``).

    Attributes:
        seconds: Wall time of computing it now; 0 if it was found ready.
        cost_s: Wall time of computing it, whenever that was.
        steps: Epochs or generator steps taken; 0 if an older log does not record them.
        max_steps: Maximum number of steps if it ended by itself; otherwise None.
        curve: Measurements of the generator in training, oldest first; empty for a classifier.
    """

    name: str
    key: str
    seconds: float
    cost_s: float
    metrics: "Metrics"
    cached: bool
    time: float
    steps: int = 0
    max_steps: int | None = None
    curve: tuple[FidelityPoint, ...] = ()


@dataclass(frozen=True)
class SessionRecord:
    """One run of the search, from its command to its end, or to its last event if it was killed.

    ``running`` only means that no end is recorded: the last session may have been killed. Earlier
    sessions without an end certainly were, and are ``interrupted`` here.
    """

    command: str
    started_at: float
    ended_at: float
    status: SessionStatus


@dataclass(frozen=True)
class StudyState:
    """A whole study, folded from its log.

    Attributes:
        trials: Trials by number, in ascending order.
        stages: Every use of a shared stage, oldest first.
        sessions: Sessions, oldest first.
        adopted: Key of a shared stage -> number of trials that reused its product.
        warnings: Warnings of the search, and of reading its log.
        extras: Runs beside the trials by name, in the order of their starts.
        finalists: Backbone -> its finalists, best first; missing until all have run.
        continued: Trials of other studies that count as observations; their numbers are negative.
        stops: Rules that stopped the search, oldest first.
        stop: The rule that stopped the newest session.
        metric: Metric that trials are compared by, of the newest session; empty if unknown.
    """

    trials: dict[int, TrialRecord]
    stages: tuple[StageRecord, ...]
    sessions: tuple[SessionRecord, ...]
    warnings: tuple[str, ...]
    adopted: Mapping[str, int] = field(default_factory=dict)
    extras: "Mapping[str, ExtraRecord]" = field(default_factory=dict)
    finalists: "Mapping[str, tuple[Finalist, ...]]" = field(default_factory=dict)
    continued: tuple[TrialRecord, ...] = ()
    stops: "tuple[Stop, ...]" = ()
    stop: "Stop | None" = None
    metric: str = ""

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbones, in the order of their first trials."""
        return tuple(dict.fromkeys(trial.backbone for trial in self.trials.values()))

    @property
    def elapsed_s(self) -> float:
        """Seconds in which a search ran, over all sessions, without the gaps."""
        return sum(session.ended_at - session.started_at for session in self.sessions)


def best(state: StudyState, backbone: str) -> TrialRecord | None:
    """Return a backbone's winner: that of its finalists, if they have run, else by one seed."""
    finalists = state.finalists.get(backbone)
    return state.trials[finalists[0].trial] if finalists else best_of_one_seed(state, backbone)


def best_of_one_seed(state: StudyState, backbone: str) -> TrialRecord | None:
    """Return the trial with a backbone's highest value, on a tie the one with the lower number.

    Complete trials come first. If there is none, a pruned or running trial wins, as its ``status``
    shows. A failed trial never wins. Return None if no trial has a value.
    """
    rivals = [t for t in state.trials.values() if t.backbone == backbone and t.value is not None]
    complete = [trial for trial in rivals if trial.status == "complete"]
    pool = complete or [trial for trial in rivals if trial.status in {"pruned", "running"}]
    return min(pool, key=_rank, default=None)


def top(state: StudyState, backbone: str, count: int) -> list[TrialRecord]:
    """Return a backbone's best ended trials: finalists that have run, then the others."""
    finalists = [state.trials[one.trial] for one in state.finalists.get(backbone, ())]
    others = top_of_one_seed(state, backbone, len(state.trials))
    return [*finalists, *(trial for trial in others if trial not in finalists)][:count]


def top_of_one_seed(state: StudyState, backbone: str, count: int) -> list[TrialRecord]:
    """Return a backbone's best ended trials by the search's seed: complete ones, then pruned."""
    over = [
        trial
        for trial in state.trials.values()
        if trial.backbone == backbone and trial.value is not None
        if trial.status in {"complete", "pruned"}
    ]
    return sorted(over, key=lambda trial: (trial.status != "complete", *_rank(trial)))[:count]


def by_value(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return trials best first; those without a value come last. Ties are broken by number."""
    return sorted(trials, key=_rank)


def _rank(trial: TrialRecord) -> tuple[float, int]:
    return (math.inf if trial.value is None else -trial.value, trial.number)
