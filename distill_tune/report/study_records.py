"""Source of a report: everything that a study's directory holds, read once."""

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

from distill_tune.confirmation.evidence.findings import Confirmation
from distill_tune.confirmation.evidence.standing import sound_confirmation
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.extras.computing import trial_device
from distill_tune.records.formatting import short_names
from distill_tune.records.replay import fold
from distill_tune.records.running import is_search_running
from distill_tune.records.status import StageInfo, StatusInfo, is_of_search, status_info
from distill_tune.records.tables import flat
from distill_tune.records.trials import StudyState, TrialRecord
from distill_tune.records.words.metric_names import validation_title
from distill_tune.report.axes import Axis, axis_covering, axis_of
from distill_tune.report.study_plan import StudyPlan, study_plan


class Source(NamedTuple):
    """Data of a study for its report.

    Attributes:
        directory: Directory of the study.
        status: Current status.
        state: State folded from the log.
        plan: Plan of the study.
        axes: Dotted path of a param to its axis, in the order of the space.
        confirmation: Results of the confirmation; None before one.
        warnings: Warnings of the search, of reading its log, and of this report.
        made_at: Unix time of the report.
    """

    directory: StudyDirectory
    status: StatusInfo
    state: StudyState
    plan: StudyPlan
    axes: Mapping[str, Axis]
    confirmation: Confirmation | None
    warnings: tuple[str, ...]
    made_at: float

    @property
    def metric(self) -> str:
        """Metric that trials are compared by, in words."""
        return validation_title(self.plan.metric)

    def trials(self, backbone: str) -> list[TrialRecord]:
        """Return a backbone's trials, by number."""
        return [trial for trial in self.state.trials.values() if trial.backbone == backbone]

    def best(self, backbone: str) -> TrialRecord | None:
        """Return a backbone's winner."""
        return self.status.best.get(backbone)

    def outcome(self, trial: TrialRecord) -> str:
        """Return the outcome of a trial; one that a stopped search left running is interrupted."""
        return trial.outcome(is_running=is_search_running(self.state, self.status.state))

    @property
    def device(self) -> tuple[str, float]:
        """Device whose hours are counted, ``GPU`` or ``CPU``, and how many a trial takes."""
        return trial_device(self.plan.at("resources"), self.status.packing)


def source(directory: StudyDirectory) -> Source:
    """Read a study.

    Raises:
        StudyError: There is no study.
    """
    directory.require()
    events = directory.events()
    status, state = status_info(directory, events), fold(events)
    found, complaints = sound_confirmation(events)
    study = study_plan(directory, events)
    return Source(
        directory,
        status,
        state,
        study,
        _axes(study, state),
        found,
        (*status.warnings, *complaints),
        time.time(),
    )


def _axes(study: StudyPlan, state: StudyState) -> dict[str, Axis]:
    """Return an axis for every param: that of its dimension, or one that covers the values."""
    trials = list(state.trials.values())
    names = short_names(trials)
    dimensions = study.dimensions
    values: dict[str, list[object]] = {}
    for trial in trials:
        for path, value in flat(trial.params).items():
            values.setdefault(path, []).append(value)
    known = {path: axis_of(names[path], dimensions[path]) for path in dimensions if path in values}
    others = {
        path: axis_covering(names[path], found)
        for path, found in values.items()
        if path not in known
    }
    return known | others


def is_of(stage: str, backbone: str) -> bool:
    """Return whether a shared stage of the search was computed for a backbone's trials."""
    name, _, rest = stage.partition(" ")[0].partition("/")
    return is_of_search(stage) and bool(name) and rest in {"", backbone}


def spent_s(stage: StageInfo) -> float:
    """Return the seconds that a shared stage took in this study; 0 if it was found ready."""
    return 0.0 if stage.cached or not math.isfinite(stage.seconds) else stage.seconds
