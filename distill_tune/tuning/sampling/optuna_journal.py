"""Records of a study as an Optuna storage, for optuna-dashboard to show; never read back."""

import json
import math
import shlex
import time
import warnings
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from distill_tune.errors import InputError, Parameter, Text
from distill_tune.records.directory import JOURNAL_FILE, StudyDirectory
from distill_tune.records.extras.quoted import quoted
from distill_tune.records.extras.runs import controls, stage_one
from distill_tune.records.files.storage import storage_at
from distill_tune.records.replay import fold
from distill_tune.records.running import is_search_running, study_status
from distill_tune.records.tables import flat
from distill_tune.records.trials import OBJECTIVE, SECONDS, Event, StudyState, TrialRecord, best
from distill_tune.records.words.metric_names import column_title
from distill_tune.study.dimensions import Choice, Dimension, Range
from distill_tune.study.space import sound_dimensions
from distill_tune.tuning.sampling.distributions import distribution, lies_in

_STATES = MappingProxyType(
    {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
)


def write_journal(directory: StudyDirectory, out: str | None = None) -> str:
    """Write a study, running or ended, as an Optuna journal: one Optuna study per backbone.

    Args:
        directory: The study.
        out: A file on this machine; None: ``optuna.journal`` in the study.

    Returns:
        The journal's path.

    Raises:
        StudyError: There is no study, or the file cannot be written.
        InputError: The file would lie behind a URI, where optuna-dashboard cannot read it.
    """
    directory.require()
    expected = "a file on this machine: optuna-dashboard opens no other"
    if out is None and not directory.is_local:
        raise InputError(
            Parameter("out"), got=Text("nothing, and a study behind a URI"), expected=expected
        )
    if out is not None and (not out or "://" in out):
        raise InputError(Parameter("out"), got=out, expected=expected)
    events = directory.events()
    state = fold(events)
    status = study_status(state, directory.in_use(), time.time())
    content = journal(directory.name, events, is_running=is_search_running(state, status))
    if out is None:
        directory.write_bytes(JOURNAL_FILE, content)
        return directory.path(JOURNAL_FILE)
    path = Path(out)
    storage_at(str(path.parent)).write(path.name, content)
    return out


def open_command(path: str) -> str:
    """Return the command that shows a journal."""
    return f"optuna-dashboard {shlex.quote(path)}"


def journal(name: str, events: list[Event], *, is_running: bool) -> bytes:
    """Return a study's events as the lines of an Optuna journal.

    Args:
        name: The study's.
        events: Its log.
        is_running: Whether a search is running; otherwise unfinished trials count as interrupted.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    lines = _MemoryBackend()
    storage = JournalStorage(lines)
    state, stored = fold(events), _stored_study(events)
    for backbone in _backbones(stored, state):
        study = optuna.create_study(
            storage=storage, study_name=f"{name}-{backbone or 'unknown'}", direction="maximize"
        )
        _name_values(study, state.metric)
        for key, value in _study_attributes(name, backbone, stored).items():
            study.set_user_attr(key, value)
        for key, value in _beside_attributes(state, backbone).items():
            study.set_user_attr(key, value)
        trials = [trial for trial in state.trials.values() if trial.backbone == backbone]
        spaces = _spaces(sound_dimensions(stored.get("space")), trials)
        for trial in trials:
            study.add_trial(_frozen(trial, spaces, is_running=is_running))
    return lines.content


def _name_values(study: optuna.Study, metric: str) -> None:
    """Let the dashboard show values under the name of their metric."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([column_title(metric)])


class _MemoryBackend(BaseJournalBackend):
    """Journal in memory, in the format of Optuna's files."""

    def __init__(self) -> None:
        self._logs: list[dict[str, Any]] = []

    @property
    def content(self) -> bytes:
        return b"".join(json.dumps(log).encode() + b"\n" for log in self._logs)

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._logs += logs


def _stored_study(events: Iterable[Event]) -> Mapping[str, Any]:
    """Return the study of the newest session as plain data; empty if none is recorded."""
    studies = [event.get("study") for event in events if event["event"] == "session_started"]
    return studies[-1] if studies and isinstance(studies[-1], Mapping) else {}


def _backbones(stored: Mapping[str, Any], state: StudyState) -> list[str]:
    listed = stored.get("backbones")
    names = [
        str(backbone["name"])
        for backbone in (listed if isinstance(listed, list) else [])
        if isinstance(backbone, Mapping) and "name" in backbone
    ]
    return list(dict.fromkeys([*names, *state.backbones]))


def _study_attributes(name: str, backbone: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    search, data = stored.get("search"), stored.get("data")
    found = {"study": name, "backbone": backbone}
    found |= {"metric": str(search.get("metric"))} if isinstance(search, Mapping) else {}
    return found | ({"data": str(data.get("kind"))} if isinstance(data, Mapping) else {})


def _beside_attributes(state: StudyState, backbone: str) -> dict[str, Any]:
    records = controls(state).get(backbone, {})
    found = {f"control/{arm}": _plain(record.value) for arm, record in records.items()}
    alone = stage_one(state, backbone)
    found |= {f"finalist/{one.name}": one.mean for one in state.finalists.get(backbone, ())}
    winner = best(state, backbone)
    if winner is not None and backbone in state.finalists:
        quote = {"trial": winner.name, **quoted(state, winner)._asdict()}
        found |= {f"best/{name}": value for name, value in quote.items()}
    return found | ({} if alone is None else {"control/stage_one": alone})


def _spaces(
    dimensions: Mapping[str, Dimension], trials: Iterable[TrialRecord]
) -> dict[str, BaseDistribution]:
    """Return the distribution of each param's decoded values: Optuna wants one for all trials."""
    values: dict[str, list[Any]] = {}
    for trial in trials:
        for path, value in flat(trial.params).items():
            values.setdefault(path, []).append(_plain(value))
    return {path: _fitting(dimensions.get(path), found) for path, found in values.items()}


def _fitting(dimension: Dimension | None, values: list[Any]) -> BaseDistribution:
    """Return the dimension's own distribution, or one that covers the values tried outside it."""
    own: BaseDistribution | None = None
    if isinstance(dimension, Range) and dimension.or_zero is not None:
        # A log scale has no zero: once zero was tried, a linear scale shows it.
        has_zero = 0 in values
        own = FloatDistribution(0.0 if has_zero else dimension.min, dimension.max, log=not has_zero)
    elif isinstance(dimension, Choice | Range):
        own = distribution(dimension)
    if own is not None and all(lies_in(own, value) for value in values):
        return own
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return FloatDistribution(min(values), max(values))
    return CategoricalDistribution(tuple(dict.fromkeys(values)))


def _frozen(
    trial: TrialRecord, spaces: Mapping[str, BaseDistribution], *, is_running: bool
) -> FrozenTrial:
    params = {path: _plain(value) for path, value in flat(trial.params).items()}
    state = _STATES.get(trial.status, TrialState.RUNNING)
    if state is TrialState.COMPLETE and trial.value is None:
        # Its epochs were lost from the log; Optuna accepts no complete trial without a value.
        state = TrialState.FAIL
    has_value = state in {TrialState.COMPLETE, TrialState.PRUNED}
    frozen = create_trial(
        state=state,
        value=trial.value if has_value else None,
        params=params,
        distributions={path: spaces[path] for path in params},
        user_attrs=_attributes(trial, is_running=is_running),
        intermediate_values={
            epoch: metrics[OBJECTIVE]
            for epoch, metrics in trial.history.items()
            if math.isfinite(metrics.get(OBJECTIVE, math.nan))
        },
    )
    frozen.datetime_start = _moment(trial.started_at)
    if state.is_finished():
        frozen.datetime_complete = _moment(trial.ended_at)
    return frozen


def _attributes(trial: TrialRecord, *, is_running: bool) -> dict[str, Any]:
    """Return the attributes of a trial, beside its params and values."""
    found: dict[str, Any] = {
        "name": trial.name,
        "number": trial.number,
        "state": trial.outcome(is_running=is_running),
    }
    words = {"reason": trial.reason, "detail": trial.detail}
    found |= {key: text for key, text in words.items() if text}
    found |= {"epochs": trial.epochs, "seconds": sum(trial.seconds.values())}
    found |= {f"{SECONDS}{stage}": seconds for stage, seconds in trial.seconds.items()}
    found |= {
        name: _plain(value)
        for name, value in (trial.stage_metrics | trial.metrics).items()
        if name != OBJECTIVE and not name.startswith(SECONDS)
    }
    return found


def _plain(value: Any) -> Any:
    """Return what JSON in a browser can hold: a finite number or text, else the value as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _moment(time: float | None) -> datetime:
    """Return a local time; the start of 1970 if the time was lost or is invalid."""
    try:
        return datetime.fromtimestamp(time or 0.0).astimezone()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0.0).astimezone()
