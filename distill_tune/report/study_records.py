"""What a report is made from: everything that a study's directory holds, read once."""

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

from distill_tune.confirmation.evidence.summary import Confirmation, confirmation
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.formatting import short_names
from distill_tune.records.gpu_use import GpuUse, fitting, share
from distill_tune.records.replay import fold
from distill_tune.records.status import StageInfo, StatusInfo, status_info
from distill_tune.records.tables import flat
from distill_tune.records.trials import Event, StudyState, TrialRecord
from distill_tune.report.axes import Axis, axis_covering, axis_of
from distill_tune.report.study_plan import StudyPlan, study_plan


class Source(NamedTuple):
    """A study as a report sees it.

    Attributes:
        directory: Where it lies.
        status: Where it stands.
        state: What its log adds up to.
        plan: What it set out to do.
        axes: Param by dotted path to the axis that shows it, in the order of the space.
        confirmation: What was found out about its best; None before.
        warnings: Of the search, of reading its log, and of this report.
        made_at: Unix time.
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
        """What trials are compared by, in words."""
        return self.plan.metric.replace("val/", "validation ").replace("_", " ")

    def trials(self, backbone: str) -> list[TrialRecord]:
        """Return a backbone's trials, by number."""
        return [trial for trial in self.state.trials.values() if trial.backbone == backbone]

    def best(self, backbone: str) -> TrialRecord | None:
        """Return a backbone's winner."""
        return self.status.best.get(backbone)

    def outcome(self, trial: TrialRecord) -> str:
        """Return what became of a trial; of one that was running when the search was left, that."""
        return trial.outcome(is_running=self.status.state == "running")

    @property
    def device(self) -> tuple[str, float]:
        """What hours are counted in, ``GPU`` or ``CPU``, and how many of it one trial takes."""
        asked = self.plan.at("resources.gpus")
        uses: Mapping[str, GpuUse] = self.status.packing
        if isinstance(asked, int | float) and not isinstance(asked, bool) and 0 < asked < 1e6:
            return "GPU", float(asked)
        if uses and asked in {"auto", "fit"}:
            return "GPU", share(min(map(fitting, uses.values()))) if asked == "fit" else 1.0
        cpus = self.plan.number("resources.cpus")
        return "CPU", cpus if cpus is not None and cpus > 0 else 1.0


def source(directory: StudyDirectory) -> Source:
    """Read a study.

    Raises:
        StudyError: There is none.
    """
    directory.require()
    events = directory.events()
    status, state = status_info(directory, events), fold(events)
    found, complaints = _confirmation(events)
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


def _confirmation(events: list[Event]) -> tuple[Confirmation | None, tuple[str, ...]]:
    try:
        return confirmation(events), ()
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return None, (f"the confirmation's records make no sense and were skipped ({error!r})",)


def _axes(study: StudyPlan, state: StudyState) -> dict[str, Axis]:
    """Return an axis for every param: its dimension's, or one that covers what was tried."""
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


def is_of_search(stage: str) -> bool:
    """Tell whether a shared stage is one of the search: those of a confirmation name their seed."""
    return " seed=" not in stage


def is_of(stage: str, backbone: str) -> bool:
    """Tell whether a shared stage of the search was computed for the trials of a backbone."""
    name, _, rest = stage.partition(" ")[0].partition("/")
    return is_of_search(stage) and bool(name) and rest in {"", backbone}


def spent_s(stage: StageInfo) -> float:
    """Return the seconds that a shared stage took in this study: none where it was found ready."""
    return 0.0 if stage.cached or not math.isfinite(stage.seconds) else stage.seconds
