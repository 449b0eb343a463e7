"""Which trials of another study are trials of this one, and why others are not."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from distill_tune.errors import DistillTuneError, show
from distill_tune.interfaces import INFEASIBLE, plain
from distill_tune.records.tables import flat
from distill_tune.records.trials import OBJECTIVE, Event, TrialRecord
from distill_tune.study.study import Study

_NEUTRAL = ("data.root", "data.unlabelled", "data.value_range", "preset", "joint.monitor_images")
"""Fields of a trial that change no result: the digest covers the images, the other fields the
preset."""

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


def why_not(trial: TrialRecord, theirs: Study, ours: Study) -> str:
    """Return why a trial of another study is no trial of this one; empty if it is."""
    if trial.backbone not in [one.name for one in ours.backbones]:
        return f"{trial.backbone} is no backbone of this study"
    return _why_not_over(trial, ours) or _why_other(trial, theirs, ours)


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


def _why_other(trial: TrialRecord, theirs: Study, ours: Study) -> str:
    """Compare the whole configurations, searched fields with the dimensions of this study."""
    there = configuration(theirs, trial.backbone, trial.params)
    here = configuration(ours, trial.backbone, {})
    if there is None or here is None:
        return "its params do not fit its own study"
    dimensions = ours.space.dimensions
    for path in [*here, *(path for path in there if path not in here)]:
        if path in dimensions or path.startswith(_NEUTRAL):
            continue
        if there.get(path) != here.get(path):
            return f"{path} is {show(there.get(path))} there, {show(here.get(path))} here"
    for path, dimension in dimensions.items():
        if not dimension.holds(there.get(path)):
            return f"{path} is outside {dimension.describe()}"
    return ""


def configuration(
    study: Study, backbone: str, params: Mapping[str, object]
) -> dict[str, Any] | None:
    """Return the fields of a trial by dotted path; None if the params do not fit."""
    try:
        return flat(plain(study.trial_config(backbone, params)))
    except (DistillTuneError, ValueError):
        return None


def taken_over(trial: TrialRecord, theirs: Study, ours: Study, name: str) -> TrialRecord:
    """Return a trial that fits as one of this study: its params are those searched here."""
    there = configuration(theirs, trial.backbone, trial.params) or {}
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
