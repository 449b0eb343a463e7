"""Headlines of a report: each backbone's best configuration, and how far to trust its value."""

import math
from typing import Any, Literal, NamedTuple

from distill_tune.confirmation.evidence.findings import BackboneEvidence
from distill_tune.confirmation.evidence.statistics import Effect, gain
from distill_tune.records.extras.finalists import Finalist, finalist_sentence
from distill_tune.records.extras.runs import controls, stage_one
from distill_tune.records.tables import flat
from distill_tune.records.trials import AGREEMENT, StudyState, TrialRecord
from distill_tune.records.words.fitness_text import Fitness, fitness, fitness_sentence, last
from distill_tune.records.words.metric_names import is_share, title
from distill_tune.report.study_records import Source, is_of

_STAGES = ("warmup", "triplet")


class Confirmed(NamedTuple):
    """Results of a configuration with fresh seeds.

    Attributes:
        trial: Name of the trial with this configuration.
        metric: Metric of the test split, in words.
        test: Mean over the seeds; None if all failed.
        low: Lower end of the mean's 95 % interval; None for fewer than three seeds.
        high: Upper end of the interval.
        num_seeds: Number of seeds; a failed seed counts as chance.
        search_value: Value in the search, on validation.
        value: Mean of the same metric over the fresh seeds that did not fail; None if all failed.
        spread: Standard deviation of ``value``; None for fewer than two seeds.
        failed_seeds: How many seeds failed, such as ``2 of 5 failed``; empty if none did.
        effect: ``helps`` if it helps against both baseline and rival, ``harms`` if it harms
            against either.
        effect_words: The same in words, such as ``helps over the baseline only``.
        is_over: Whether all requested runs have a result.
        verdict: One sentence.
    """

    trial: str
    metric: str
    test: float | None
    low: float | None
    high: float | None
    num_seeds: int
    search_value: float
    value: float | None
    spread: float | None
    failed_seeds: str
    effect: Effect
    effect_words: str
    is_over: bool
    verdict: str


class Control(NamedTuple):
    """A run beside the trials that the winner must beat.

    Attributes:
        arm: Name of the arm; ``stage_one`` is the classifier's first training alone.
        words: The arm in a sentence.
        status: Outcome of the run.
        value: Its best objective, with the same seed; None if there is none.
    """

    arm: str
    words: str
    status: str
    value: float | None


class Headline(NamedTuple):
    """Result of a backbone.

    Attributes:
        metric: Metric that trials are compared by, in words.
        is_share: Whether the metric is a share, which is shown in %.
        trial: Name of the winner; None while no trial has a value.
        status: Outcome of the winner; only complete trials are compared like with like.
        value: Value of the winner in the search, on validation: biased upwards by the choice. With
            finalists, the mean over their seeds.
        params: Params by dotted path, of the confirmed configuration if any, else of the winner.
        num_values: Number of trials with a value, of which the winner is the best.
        confirmed: Results with fresh seeds; None before a confirmation.
        fitness: Fitness of the generator: ``fit``, ``nearly fit`` or ``not fit``; empty if nothing
            was measured.
        generator: The fitness in a sentence.
        controls: What the winner must beat; empty without controls.
        finalists: The best trials on several seeds, best first; empty unless all have run.
        choice: How the finalists chose the winner, in a sentence; empty without them.
        spread: Standard deviation of ``value`` over the finalists' seeds; None for one seed.
        origin: ``mean of 3 seeds``; empty for the value of one seed.
        num_seeds: Number of seeds of which ``value`` is the mean; 0 without a value.
    """

    backbone: str
    metric: str
    is_share: bool
    trial: str | None
    status: str
    value: float | None
    params: dict[str, Any]
    num_values: int
    confirmed: Confirmed | None
    fitness: Fitness | Literal[""] = ""
    generator: str = ""
    controls: tuple[Control, ...] = ()
    finalists: tuple[Finalist, ...] = ()
    choice: str = ""
    spread: float | None = None
    origin: str = ""
    num_seeds: int = 0

    @property
    def is_newer(self) -> bool:
        """Whether the search's winner differs from the confirmed configuration."""
        return self.confirmed is not None and self.confirmed.trial != self.trial


def headlines(source: Source) -> tuple[Headline, ...]:
    """Return a headline for each backbone that was tried."""
    evidence = {one.backbone: one for one in _evidence(source)}
    return tuple(_headline(source, name, evidence.get(name)) for name in source.state.backbones)


def _evidence(source: Source) -> tuple[BackboneEvidence, ...]:
    return source.confirmation.backbones if source.confirmation else ()


def _headline(source: Source, backbone: str, evidence: BackboneEvidence | None) -> Headline:
    trials = source.trials(backbone)
    winner = source.best(backbone)
    quote = source.status.quoted.get(backbone)
    shown = winner
    if evidence is not None:
        shown = next((trial for trial in trials if trial.name == evidence.trial), winner)
    kind, sentence = _generator(source, backbone, shown)
    return Headline(
        backbone=backbone,
        metric=source.metric,
        is_share=is_share(source.plan.metric),
        trial=winner.name if winner else None,
        status=source.outcome(winner) if winner else "",
        value=quote.value if quote else None,
        params=_params(source, shown),
        num_values=sum(t.value is not None and t.status != "failed" for t in trials),
        confirmed=_confirmed(source, evidence),
        fitness=kind,
        generator=sentence,
        controls=_controls(source.state, backbone),
        finalists=source.state.finalists.get(backbone, ()),
        choice=finalist_sentence(source.state, backbone),
        spread=quote.spread if quote else None,
        origin=quote.origin if quote else "",
        num_seeds=quote.num_seeds if quote else 0,
    )


def _controls(state: StudyState, backbone: str) -> tuple[Control, ...]:
    records = controls(state).get(backbone, {})
    found = [Control(arm, one.words, one.run.status, one.run.value) for arm, one in records.items()]
    alone = stage_one(state, backbone)
    if alone is not None and "baseline" not in records:
        found.append(Control("stage_one", "stage 1 alone", "complete", alone))
    return tuple(found)


def _generator(
    source: Source, backbone: str, trial: TrialRecord | None
) -> tuple[Fitness | Literal[""], str]:
    """Return the fitness of a trial's generator or, without a trial, of the shared stages."""
    if trial is not None:
        measured = [trial.stage_metrics.get(f"{stage}/{AGREEMENT}") for stage in _STAGES]
        whose = f"the generator of trial {trial.name}"
    else:
        ends = [last(stage.curve) for stage in source.status.stages if is_of(stage.name, backbone)]
        measured = [end.agreement if end is not None else None for end in ends]
        whose = "the generator"
    found = [value for value in measured if value is not None and 0 <= value <= 1]
    if not found:
        return "", ""
    return fitness(min(found)), fitness_sentence(whose, min(found))


def _params(source: Source, trial: TrialRecord | None) -> dict[str, Any]:
    params = flat(trial.params) if trial else {}
    return {path: params[path] for path in source.axes if path in params}


def _confirmed(source: Source, evidence: BackboneEvidence | None) -> Confirmed | None:
    if evidence is None or source.confirmation is None:
        return None
    method = evidence.method
    accuracies = list(method.accuracies.values()) if method else []
    # Used here for the interval of a mean, which is computed like that of a mean difference.
    found = gain(accuracies)
    return Confirmed(
        trial=evidence.trial,
        metric=f"test {title(source.confirmation.metric)}",
        test=found.mean if accuracies else None,
        low=found.low,
        high=found.high,
        num_seeds=len(accuracies),
        search_value=evidence.search_value,
        value=None if math.isnan(evidence.confirmed_value) else evidence.confirmed_value,
        spread=evidence.confirmed_spread,
        failed_seeds=evidence.failed_seeds,
        effect=evidence.effect,
        effect_words=evidence.effect_words,
        is_over=source.confirmation.progress is None or source.confirmation.progress.is_over,
        verdict=evidence.verdict,
    )
