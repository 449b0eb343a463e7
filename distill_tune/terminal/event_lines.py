"""Events of a study in words, one line each, for the terminal and for log files."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from distill_tune.records.extras.quoted import quoted
from distill_tune.records.formatting import duration
from distill_tune.records.gpu_use import PACKING, gpu_uses, packing_words
from distill_tune.records.replay import stage_record
from distill_tune.records.stops import STOPPED, Stop, stop_words
from distill_tune.records.trials import INTERRUPTED, Event, StudyState, TrialRecord, best
from distill_tune.records.words.fitness_text import stage_words


class StudyGoals(NamedTuple):
    """Goals of a study.

    Attributes:
        metric: Metric that trials are compared by.
        num_trials: Total number of trials.
        max_epochs: Epochs of a trial that is not pruned.
    """

    metric: str
    num_trials: int
    max_epochs: int


def goals_of(events: list[Event]) -> StudyGoals | None:
    """Return the goals of the newest session; None if no valid event records them."""
    for event in reversed(events):
        study = event.get("study")
        if event["event"] != "session_started" or not isinstance(study, Mapping):
            continue
        try:
            search, epochs = study["search"], study["trial"]["joint"]["epochs"]
            return StudyGoals(str(search["metric"]), int(search["num_trials"]), int(epochs))
        except (KeyError, TypeError, ValueError):
            continue
    return None


def event_line(event: Event, state: StudyState, goals: StudyGoals) -> str:
    """Return an event in words; empty for an event that is not shown.

    Args:
        event: Event of the study's log.
        state: State folded from the log, including the event.
        goals: Goals of the study.
    """
    kind = event["event"]
    if kind == "stage":
        return stage_line(event)
    if kind == "warning":
        return f"warning: {event['text']}"
    if kind == INTERRUPTED:
        return "finishing the epoch; Ctrl-C again to stop at once"
    if kind == PACKING:
        return "".join(packing_words(*found) for found in gpu_uses([event]).items())
    if kind == STOPPED:
        return f"stopping: {stop_words(Stop.of(event))}"
    run = _run_of(event, state)
    return "" if run is None else _trial_line(event, run, goals)


def _run_of(event: Event, state: StudyState) -> TrialRecord | None:
    """Return the trial, or the run beside the trials, that an event is about."""
    if event["event"] in {"trial_started", "epoch", "trial_ended"}:
        return state.trials.get(event["trial"])
    if event["event"] in {"extra_started", "extra_epoch", "extra_ended"}:
        return state.extras[event["name"]].run if event["name"] in state.extras else None
    return None


def stage_line(event: Event) -> str:
    """Return a valid ``stage`` event in words."""
    stage = stage_record(event)
    found = "found ready" if stage.cached else f"in {duration(stage.seconds)}"
    return f"shared stage {stage.name}: {', '.join(filter(None, [stage_words(stage), found]))}"


def _trial_line(event: Event, trial: TrialRecord, goals: StudyGoals) -> str:
    if event["event"] in {"trial_started", "extra_started"}:
        return f"{trial.name}: started  {_params(trial)}".rstrip()
    if event["event"] in {"epoch", "extra_epoch"}:
        value = event["metrics"].get(goals.metric, float("nan"))
        epochs = f"epoch {event['epoch']}/{goals.max_epochs}"
        return f"{trial.name}: {epochs}  {goals.metric} {value:.4f}"
    value = "" if trial.value is None else f"  best {trial.value:.4f}"
    reason = f" ({event['reason']})" if event["reason"] else ""
    return f"{trial.name}: {event['status']}{reason}{value}"


def _params(trial: TrialRecord) -> str:
    values: Mapping[str, Any] = trial.params
    return " ".join(
        f"{path.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{path}={value}"
        for path, value in values.items()
    )


def running_extras(state: StudyState, goals: StudyGoals) -> list[str]:
    """Return the runs beside the trials that have not ended, in words, one line each."""
    running = [record.run for record in state.extras.values() if record.run.ended_at is None]
    return [f"{run.name}: epoch {run.epochs}/{goals.max_epochs}" for run in running]


def standing(state: StudyState, goals: StudyGoals) -> list[str]:
    """Return the number of trials over, each backbone's best trial and its controls, in words."""
    over = sum(trial.ended_at is not None for trial in state.trials.values())
    winners = (best(state, backbone) for backbone in state.backbones)
    return (
        [f"{over}/{goals.num_trials} trials"]
        + [
            f"best {winner.name} {quoted(state, winner).sentence}"
            for winner in winners
            if winner is not None and winner.value is not None
        ]
        + [
            f"{record.run.name} {record.run.value:.4f}"
            for record in state.extras.values()
            if record.kind == "control" and record.run.value is not None
        ]
    )
