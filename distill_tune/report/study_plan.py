"""Plan of a study, read from plain data; missing and invalid fields are None."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from distill_tune.errors import DistillTuneError
from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from distill_tune.records.trials import OBJECTIVE, Event
from distill_tune.study.dimensions import Dimension
from distill_tune.study.rungs import default_min_epochs, rung_epochs
from distill_tune.study.space import sound_dimensions
from distill_tune.study.validation import read_yaml_text


class StudyPlan(NamedTuple):
    """Plan of a study: its space, its settings and its images.

    Attributes:
        study: Every field of the study as plain data; empty if no record is left.
        version: Version of this package in the newest session; None if not recorded.
        environment: Versions and machine of the newest session.
        data: Record of the images in the log: name, digest, classes, numbers.
    """

    study: Mapping[str, Any]
    version: str | None
    environment: Mapping[str, Any]
    data: Mapping[str, Any]

    def at(self, path: str) -> Any:
        """Return the field of the study at a dotted path; None if there is none."""
        found: Any = self.study
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def number(self, path: str) -> float | None:
        """Return the number at a dotted path; None if there is none."""
        found = self.at(path)
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        return found if is_number and abs(found) < 1e9 else None

    @property
    def metric(self) -> str:
        """Metric that trials are compared by."""
        found = self.at("search.metric")
        return found if isinstance(found, str) else OBJECTIVE

    @property
    def max_epochs(self) -> int | None:
        """Epochs of a trial that is not pruned."""
        found = self.number("trial.joint.epochs")
        return int(found) if found is not None else None

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared; empty if unknown."""
        last = self.max_epochs
        if last is None or not 1 <= last <= 100_000:
            return ()
        first = self.number("search.min_epochs") or default_min_epochs(last)
        try:
            factor = self.number("search.reduction_factor") or 3.0
            return rung_epochs(int(first), last, max(factor, 1.01))
        except DistillTuneError:
            return ()

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """Searched dimensions by dotted path, without invalid ones."""
        return sound_dimensions(self.at("space"))


def study_plan(directory: StudyDirectory, events: Iterable[Event]) -> StudyPlan:
    """Return the plan in the newest session's record, or else in the study file."""
    session: Mapping[str, Any] = {}
    data: Mapping[str, Any] = {}
    for event in events:
        session = event if event["event"] == "session_started" else session
        data = event if event["event"] == "data" else data
    study = session.get("study")
    if not isinstance(study, Mapping):
        study = _stored(directory)
    version = session.get("version")
    environment = session.get("environment")
    return StudyPlan(
        study,
        version if isinstance(version, str) else None,
        environment if isinstance(environment, Mapping) else {},
        data,
    )


def _stored(directory: StudyDirectory) -> Mapping[str, Any]:
    if not directory.has(STUDY_FILE):
        return {}
    try:
        text = directory.read_text(STUDY_FILE)
        return read_yaml_text(text, STUDY_FILE).value
    except DistillTuneError:
        return {}
