"""Runs of a study, as a tracker stores them: its trials and the runs of its confirmation."""

import math
from collections.abc import Iterable, Iterator, Mapping

from distill_tune.records.confirm_log import RUN, RunRecord, run_records
from distill_tune.records.replay import fold
from distill_tune.records.tables import flat
from distill_tune.records.trials import Event, TrialRecord
from distill_tune.report.following.destination import FollowedRun, Row, RunEnd


def followed_runs(events: Iterable[Event], *, is_running: bool) -> tuple[FollowedRun, ...]:
    """Return the trials of a log by number, then the runs of its confirmation.

    Args:
        events: The log.
        is_running: Whether a search is running; if not, open trials are ``interrupted``.
    """
    log = list(events)
    times = {
        (event.get("trial"), event.get("epoch")): event["time"]
        for event in log
        if event.get("event") == "epoch"
    }
    moment = log[-1]["time"] if log else 0.0
    trials = [
        _trial(trial, times, None if is_running else moment) for trial in fold(log).trials.values()
    ]
    return (*trials, *_confirmation_runs(log))


def _trial(
    trial: TrialRecord, times: Mapping[tuple[object, object], float], stopped_at: float | None
) -> FollowedRun:
    start = trial.started_at or 0.0
    end = None
    if trial.ended_at is not None:
        end = RunEnd(trial.status, trial.reason, trial.detail, trial.ended_at)
    elif stopped_at is not None:
        end = RunEnd("interrupted", "", "", stopped_at)
    rows = (
        Row(epoch, times.get((trial.number, epoch), start), _finite(metrics))
        for epoch, metrics in trial.history.items()
    )
    params = {"backbone": trial.backbone, "trial": trial.number, **flat(trial.params)}
    return FollowedRun(trial.name, "trial", params, start, tuple(rows), end)


def _confirmation_runs(log: list[Event]) -> Iterator[FollowedRun]:
    times = {
        (event.get("name"), event.get("reading")): event["time"]
        for event in log
        if event.get("event") == RUN
    }
    for run in run_records(log):
        yield _confirmation_run(run, times.get((run.name, run.reading), 0.0))


def _confirmation_run(run: RunRecord, time: float) -> FollowedRun:
    last = max(map(len, run.curves.values()), default=0)
    by_epoch: dict[int, dict[str, float]] = {epoch: {} for epoch in range(1, last + 1)}
    for name, values in run.curves.items():
        for epoch, value in enumerate(values, start=1):
            by_epoch[epoch][name] = value
    final = by_epoch.setdefault(last, {})
    final |= {f"test/{name}": value for name, value in run.test.items()}
    final |= {} if run.value is None else {"objective": run.value}
    rows = tuple(Row(epoch, time, _finite(metrics)) for epoch, metrics in by_epoch.items())
    names = ("backbone", "trial", "phase", "arm", "seed", "reading")
    params = {name: getattr(run, name) for name in names}
    name = run.name if run.reading <= 1 else f"{run.name}-reading{run.reading}"
    end = RunEnd(run.status, run.reason, run.detail, time)
    start = time - sum(run.seconds.values())
    return FollowedRun(name, "confirmation", params, start, rows, end)


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
