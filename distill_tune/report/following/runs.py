"""Runs of a study, as a tracker stores them: trials, runs beside them, a confirmation's runs."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from distill_tune.records.confirm_log import RUN, RunRecord, run_records
from distill_tune.records.replay import fold
from distill_tune.records.tables import flat
from distill_tune.records.trials import Event, TrialRecord
from distill_tune.report.following.destination import FollowedRun, Row, RunEnd


def followed_runs(events: Iterable[Event], *, is_running: bool) -> tuple[FollowedRun, ...]:
    """Return the trials of a log by number, the runs beside them, then those of its confirmation.

    Args:
        events: The log.
        is_running: Whether a search is running; if not, open trials are ``interrupted``.
    """
    log = list(events)
    times = _EpochTimes(log, is_running=is_running)
    state = fold(log)
    metric = {"metric": state.metric} if state.metric else {}
    trials = [
        _run(trial, "trial", {"trial": trial.number} | metric, times)
        for trial in state.trials.values()
    ]
    extras = [
        _run(extra.run, extra.kind, {"arm": extra.arm, "seed": extra.seed} | metric, times)
        for extra in state.extras.values()
    ]
    return (*trials, *extras, *_confirmation_runs(log))


class _EpochTimes:
    """Times of epochs by run, and of the end of runs that a stopped search left open."""

    def __init__(self, log: list[Event], *, is_running: bool) -> None:
        self._times = {
            (event.get("trial", event.get("name")), event.get("epoch")): event["time"]
            for event in log
            if event.get("event") in {"epoch", "extra_epoch"}
        }
        self.stopped_at = log[-1]["time"] if log and not is_running else None

    def of(self, run: TrialRecord, epoch: int) -> float:
        """Return the time of an epoch; that of the run's start if it is unknown."""
        name = run.number if run.number >= 0 else run.name
        return float(self._times.get((name, epoch), run.started_at or 0.0))


def _run(run: TrialRecord, kind: str, fields: dict[str, Any], times: _EpochTimes) -> FollowedRun:
    end = None
    if run.ended_at is not None:
        end = RunEnd(run.status, run.reason, run.detail, run.ended_at)
    elif times.stopped_at is not None:
        end = RunEnd("interrupted", "", "", times.stopped_at)
    rows = (
        Row(epoch, times.of(run, epoch), _finite(metrics)) for epoch, metrics in run.history.items()
    )
    params = {"backbone": run.backbone, **fields, **flat(run.params)}
    return FollowedRun(run.name, kind, params, run.started_at or 0.0, tuple(rows), end)


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
    # A run that was lost and is repeated has nothing to send before the repetition ends.
    rows = tuple(
        Row(epoch, time, finite)
        for epoch, metrics in by_epoch.items()
        if (finite := _finite(metrics))
    )
    names = ("backbone", "trial", "phase", "arm", "seed", "reading")
    params = {name: getattr(run, name) for name in names}
    name = run.name if run.reading <= 1 else f"{run.name}-reading{run.reading}"
    end = RunEnd(run.status, run.reason, run.detail, time)
    start = time - sum(run.seconds.values())
    return FollowedRun(name, "confirmation", params, start, rows, end)


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
