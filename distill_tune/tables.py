"""A study as CSV text: one row a trial, and one row an epoch, for people and pandas."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from distill_tune.trials import SECONDS, StudyState, TrialRecord

_TRIAL_COLUMNS = ("number", "name", "backbone", "state", "reason", "value", "epochs")
_EPOCH_COLUMNS = ("number", "name", "epoch")

Row = dict[str, Any]


def trials_csv(state: StudyState) -> str:
    """Return ``trials.csv``: a row a trial, by number.

    After the fixed columns stand the params by dotted path, the seconds of the stages, and the
    last epoch's metrics; a cell is empty where a trial has no such thing.
    """
    trials = state.trials.values()
    params = [flat(trial.params) for trial in trials]
    seconds = [{f"{SECONDS}{key}": s for key, s in trial.seconds.items()} for trial in trials]
    metrics = [_without_seconds(trial.metrics) for trial in trials]
    columns = _columns(_TRIAL_COLUMNS, params, seconds, metrics)
    parts = zip(metrics, seconds, params, map(_fixed, trials), strict=True)
    # The later part wins: a metric cannot take the place of a param or of a fixed column.
    return _csv(columns, [{k: v for part in row for k, v in part.items()} for row in parts])


def epochs_csv(state: StudyState) -> str:
    """Return ``epochs.csv``: a row an epoch of a trial, the learning curves."""
    rows = [
        metrics | {"number": trial.number, "name": trial.name, "epoch": epoch}
        for trial in state.trials.values()
        for epoch, metrics in trial.history.items()
    ]
    return _csv(_columns(_EPOCH_COLUMNS, rows), rows)


def flat(params: Row, prefix: str = "") -> Row:
    """Return nested params by dotted path; a list becomes its JSON text."""
    result: Row = {}
    for name, value in params.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            result |= flat(value, f"{path}.")
        else:
            result[path] = json.dumps(value) if isinstance(value, list) else value
    return result


def _fixed(trial: TrialRecord) -> Row:
    cells = (trial.number, trial.name, trial.backbone, trial.status, trial.reason)
    return dict(zip(_TRIAL_COLUMNS, (*cells, trial.value, trial.epochs), strict=True))


def _without_seconds(metrics: dict[str, float]) -> Row:
    return {name: value for name, value in metrics.items() if not name.startswith(SECONDS)}


def _columns(fixed: Iterable[str], *parts: Iterable[Row]) -> list[str]:
    """Return every column once: the fixed ones, then the parts', in order of appearance."""
    return list(dict.fromkeys([*fixed, *(name for part in parts for row in part for name in row)]))


def _csv(columns: list[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return text.getvalue()
