"""Which trials of another study are trials of this one, and why others are not."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from distill_tune.errors import DistillTuneError, show
from distill_tune.interfaces import INFEASIBLE, plain
from distill_tune.records.tables import flat
from distill_tune.records.trials import OBJECTIVE, Event, TrialRecord
from distill_tune.study.dimensions import Dimension
from distill_tune.study.study import Study

_NEUTRAL = ("data.", "backbone.weights", "preset", "joint.monitor_every")
"""Fields of a trial that change no result: the digests cover the images and the weights, the other
fields the preset."""

_COMPARED = ("data.flip", "backbone.weights_sha256")
"""Fields that are compared all the same."""

_MONITORED = "joint.monitor_images"
_HEEDLESS = {"joint.collapse_policy": "continue", "joint.unfit_policy": "warn"}
"""Policies with which nothing is decided by the images that monitors look at."""

_INHERITED = {"gan.triplet_margin": "joint.margin", "gan.triplet_threshold": "joint.hard_threshold"}
"""Fields of stage 2 that have the value of another one if they are null."""

_KEPT = (OBJECTIVE, "val/", "seconds/")
"""Beginnings of the names of metrics that are taken over."""


def why_study_differs(theirs: Study, ours: Study, events: Iterable[Event], digest: str) -> str:
    """Return why no trial of a study can be one of this study; empty if some may be.

    Args:
        theirs: The other study.
        ours: This study.
        events: Its log.
        digest: Digest of our images.
    """
    images = next((event["digest"] for event in events if event.get("event") == "data"), None)
    if images != digest:
        return f"it has other images (digest {images or 'not recorded'}, here {digest})"
    if theirs.search.metric != ours.search.metric:
        return f"it compares trials by {theirs.search.metric}, this study by {ours.search.metric}"
    return ""


def codes_by_trial(events: Iterable[Event]) -> dict[int, set[str]]:
    """Return the digests of the source with which each trial of a log was computed, by number."""
    found: dict[int, set[str]] = {}
    code = ""
    for event in events:
        if event.get("event") == "session_started":
            code = str(event.get("code", ""))
        elif event.get("event") in {"trial_started", "epoch"}:
            found.setdefault(int(event["trial"]), set()).add(code)
    return found


class Fitting:
    """Comparison of the trials of another study with those of this one.

    Args:
        theirs: The other study.
        ours: This study.
    """

    def __init__(self, theirs: Study, ours: Study) -> None:
        self._theirs, self._ours = theirs, ours
        self._here = {one.name: configuration(ours, one.name, {}) for one in ours.backbones}

    def take_over(self, trial: TrialRecord, name: str) -> tuple[TrialRecord, str]:
        """Return a trial as one of this study, and why it is none; empty if it is.

        The params of a trial that fits are those searched here; others are returned as they are.

        Args:
            trial: One of the other study.
            name: Name that it gets here.
        """
        if trial.backbone not in self._here:
            return trial, f"{trial.backbone} is no backbone of this study"
        reason = _why_not_over(trial, self._ours)
        if reason:
            return trial, reason
        there = configuration(self._theirs, trial.backbone, trial.params)
        here = self._here[trial.backbone]
        if there is None or here is None:
            return trial, "its params do not fit its own study"
        there |= {path: there[own] for path, own in _INHERITED.items() if there.get(path) is None}
        reason = _why_other(there, here, self._ours.space.dimensions)
        if reason:
            return trial, reason
        return _taken_over(trial, there, self._ours, name), ""


def _why_not_over(trial: TrialRecord, ours: Study) -> str:
    if trial.ended_at is None:
        return "it is not over"
    if trial.status == "failed":
        lost = f"it failed for a reason outside its params ({trial.reason or 'unknown'})"
        return "" if trial.reason in INFEASIBLE else lost
    if trial.value is None:
        return "it has no value"
    if trial.status == "pruned" and trial.epochs < ours.min_epochs:
        return f"it was pruned before the first rung of this study, epoch {ours.min_epochs}"
    return ""


def _why_other(
    there: Mapping[str, Any], here: Mapping[str, Any], dimensions: Mapping[str, Dimension]
) -> str:
    """Compare whole configurations, searched fields with the dimensions of this study."""
    # Those inherited come last: where the field itself differs, that is the reason.
    for path in dict.fromkeys([*sorted(here, key=_INHERITED.__contains__), *there]):
        if path in dimensions or _is_neutral(path, there):
            continue
        value = here.get(path)
        if value is None and path in _INHERITED:
            own = _INHERITED[path]
            value = there[own] if own in dimensions else here[own]
        if there.get(path) != value:
            return f"{path} is {show(there.get(path))} there, {show(value)} here"
    for path, dimension in dimensions.items():
        if not dimension.holds(there.get(path)):
            return f"{path} is outside {dimension.describe()}"
    return ""


def _is_neutral(path: str, there: Mapping[str, Any]) -> bool:
    """Return whether a field changed no result of a trial with that configuration."""
    if path == _MONITORED:
        has_gan = there.get("joint.extra_images") == "synthetic"
        return not has_gan or all(there.get(name) == value for name, value in _HEEDLESS.items())
    return path.startswith(_NEUTRAL) and path not in _COMPARED


def configuration(
    study: Study, backbone: str, params: Mapping[str, object]
) -> dict[str, Any] | None:
    """Return the fields of a trial by dotted path; None if the params do not fit."""
    try:
        return flat(plain(study.trial_config(backbone, params)))
    except (DistillTuneError, ValueError):
        return None


def _taken_over(
    trial: TrialRecord, there: Mapping[str, Any], ours: Study, name: str
) -> TrialRecord:
    history = {
        epoch: {
            key: value
            for key, value in metrics.items()
            if key.startswith(_KEPT) and math.isfinite(value)
        }
        for epoch, metrics in trial.history.items()
    }
    params = {path: there[path] for path in ours.space.dimensions}
    return replace(trial, name=name, params=params, history=history)
