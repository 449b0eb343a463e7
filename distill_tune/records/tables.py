"""A study as CSV text: one row per trial, and one row per epoch, for users and pandas."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from distill_tune.records.trials import SECONDS, StudyState, TrialRecord

_TRIAL_COLUMNS = ("number", "name", "kind", "backbone", "state", "reason", "value", "epochs")
_EPOCH_COLUMNS = ("number", "name", "epoch")

Row = dict[str, Any]


class Table(NamedTuple):
    """Rows with named columns; a row omits columns in which it has no value."""

    columns: list[str]
    rows: list[Row]


def trials_csv(state: StudyState) -> str:
    """Return ``trials.csv``: the text of :func:`trial_rows`; missing values are empty.

    Runs beside the trials follow them, then trials taken over from other studies (``continued``);
    their ``kind`` is not ``trial``, and they have no number.
    """
    return _csv(trial_rows(state, has_extras=True))


def epochs_csv(state: StudyState) -> str:
    """Return ``epochs.csv``: the text of :func:`epoch_rows`, runs beside the trials last."""
    return _csv(epoch_rows(state, has_extras=True))


def trial_rows(state: StudyState, *, has_extras: bool = False) -> Table:
    """Return a row per trial, by number; on request, one per run beside the trials after them.

    The fixed columns come first, then the params by dotted path, the seconds of the stages, the
    measurements at the end of the GAN stages, and the last epoch's metrics.
    """
    kinds = ["trial"] * len(state.trials)
    trials = list(state.trials.values())
    if has_extras:
        kinds += [record.kind for record in state.extras.values()]
        trials += [record.run for record in state.extras.values()]
        kinds += ["continued"] * len(state.continued)
        trials += state.continued
    params = [flat(trial.params) for trial in trials]
    seconds = [{f"{SECONDS}{key}": s for key, s in trial.seconds.items()} for trial in trials]
    metrics = [trial.stage_metrics | _without_seconds(trial.metrics) for trial in trials]
    columns = _columns(_TRIAL_COLUMNS, params, seconds, metrics)
    parts = zip(metrics, seconds, params, map(_fixed, trials, kinds), strict=True)
    # Later parts win: a metric cannot replace a param or a fixed column.
    return Table(columns, [{k: v for part in row for k, v in part.items()} for row in parts])


def epoch_rows(state: StudyState, *, has_extras: bool = False) -> Table:
    """Return a row per epoch of each trial: the learning curves.

    On request, those of the runs beside the trials follow, without a number.
    """
    rows: list[Row] = [
        metrics | {"number": trial.number, "name": trial.name, "epoch": epoch}
        for trial in state.trials.values()
        for epoch, metrics in trial.history.items()
    ]
    rows += [
        {**metrics, "name": record.run.name, "epoch": epoch}
        for record in (state.extras.values() if has_extras else ())
        for epoch, metrics in record.run.history.items()
    ]
    return Table(_columns(_EPOCH_COLUMNS, rows), rows)


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


def _fixed(trial: TrialRecord, kind: str) -> Row:
    number = trial.number if kind == "trial" else None
    cells = (number, trial.name, kind, trial.backbone, trial.status, trial.reason)
    return dict(zip(_TRIAL_COLUMNS, (*cells, trial.value, trial.epochs), strict=True))


def _without_seconds(metrics: dict[str, float]) -> Row:
    return {name: value for name, value in metrics.items() if not name.startswith(SECONDS)}


def _columns(fixed: Iterable[str], *parts: Iterable[Row]) -> list[str]:
    """Return every column once: the fixed ones, then those of the parts, in order of appearance."""
    return list(dict.fromkeys([*fixed, *(name for part in parts for row in part for name in row)]))


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([row.get(column, "") for column in table.columns] for row in table.rows)
    return text.getvalue()
