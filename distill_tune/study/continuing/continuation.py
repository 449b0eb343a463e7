"""Trials of other studies that a new study takes over, and a list of what fits and what not."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from distill_tune.errors import (
    DistillTuneError,
    InputError,
    Message,
    Parameter,
    StudyError,
    Text,
    one_line,
)
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.replay import fold
from distill_tune.records.trials import CONTINUED, TrialRecord
from distill_tune.study.continuing.fitting import Fitting, codes_by_trial, why_study_differs
from distill_tune.study.continuing.source_code import running_code
from distill_tune.study.opening import stored_study
from distill_tune.study.study import Study

_WHERE = Parameter("continue_from")
_MOST_REASONS = 8


class Continuation(NamedTuple):
    """Trials that a new study takes over.

    Attributes:
        trials: The trials, numbered -1, -2, ... in their order.
        words: Lines: how many trials of each study fit, and why others do not.
    """

    trials: tuple[TrialRecord, ...]
    words: tuple[str, ...]


class _Candidate(NamedTuple):
    """A trial of another study, and why it does not fit; empty if it does."""

    trial: TrialRecord
    reason: str


def continuation(sources: Sequence[str], study: Study, digest: str) -> Continuation:
    """Return the trials of other studies that are trials of this one.

    A trial fits if its images, its code and every field that this study does not search are the
    same, and its values of the searched fields lie in their dimensions. Trials that a source itself
    has taken over are included.

    Args:
        sources: Directories or URIs of studies.
        study: The new study.
        digest: Digest of its images.

    Raises:
        InputError: A study is missing or unreadable.
        StudyError: No trial of any study fits; the message lists why.
    """
    found: dict[str, TrialRecord] = {}
    words: list[str] = []
    for root in dict.fromkeys(sources):
        directory = StudyDirectory(root)
        candidates = _candidates(directory, study, digest)
        for one in candidates:
            if not one.reason:
                found.setdefault(_identity(one.trial), one.trial)
        words += _words(root, candidates)
    if not found:
        raise _none_fits(sources, words)
    numbered = (replace(one, number=-1 - index) for index, one in enumerate(found.values()))
    return Continuation(tuple(numbered), tuple(words))


def is_untouched(directory: StudyDirectory) -> bool:
    """Return whether a study has neither trials of its own nor any taken over.

    Trials that were taken over by a search which never began do not count.
    """
    if not directory.exists():
        return True
    kinds = {event.get("event") for event in directory.events()}
    return not kinds & {CONTINUED, "trial_started"}


def _none_fits(sources: Sequence[str], words: Sequence[str]) -> StudyError:
    return StudyError(
        Message(
            _WHERE,
            f": got {', '.join(sources)}, expected a study with the same images, fields and code, "
            "of which a trial fits; for other ones there is ",
            Parameter("warm_start"),
            *(f"\n{line}" for line in words),
        )
    )


def _candidates(directory: StudyDirectory, study: Study, digest: str) -> list[_Candidate]:
    directory.require_as(_WHERE)
    events = directory.events()
    try:
        theirs, _ = stored_study(directory)
    except DistillTuneError as error:
        got = Text(f"{directory.root}, which cannot be read ({one_line(str(error))})")
        raise InputError(_WHERE, got=got, expected="a study of this version") from error
    whole = why_study_differs(theirs, study, events, digest)
    state, codes = fold(events), codes_by_trial(events)
    origin = {str(event.get("code", "")) for event in events if event.get("event") == CONTINUED}
    fitting, found = Fitting(theirs, study), []
    for trial in (*state.trials.values(), *state.continued):
        used = codes.get(trial.number, set()) if trial.number >= 0 else origin
        reason = whole or _why_other_code(used)
        name = trial.name if trial.number < 0 else f"{directory.name}/{trial.name}"
        taken = (trial, reason) if reason else fitting.take_over(trial, name)
        found.append(_Candidate(*taken))
    return found


def _why_other_code(codes: set[str]) -> str:
    if codes == {running_code()}:
        return ""
    if codes & {""} or not codes:
        return "the log does not record the code of its stages"
    return "it was computed by other code"


def _identity(trial: TrialRecord) -> str:
    return json.dumps([trial.backbone, trial.params, trial.status, trial.history], sort_keys=True)


def _words(root: str, candidates: Sequence[_Candidate]) -> Iterator[str]:
    fitting = [one.trial.backbone for one in candidates if not one.reason]
    counts = ", ".join(f"{name} {fitting.count(name)}" for name in dict.fromkeys(fitting))
    of = f" ({counts})" if counts else ""
    yield one_line(f"continue from {root}: {len(fitting)} of {len(candidates)} trials count{of}")
    reasons: dict[str, int] = {}
    for one in candidates:
        if one.reason:
            reasons[one.reason] = reasons.get(one.reason, 0) + 1
    for reason, count in list(reasons.items())[:_MOST_REASONS]:
        yield one_line(f"  {count} left out: {reason}")
    rest = sum(list(reasons.values())[_MOST_REASONS:])
    if rest:
        yield f"  {rest} left out for other reasons"
