"""Warm starts: the best configurations of another study, tried first, and their effect."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from distill_tune.errors import InputError, Parameter, Text, one_line
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.tables import flat
from distill_tune.records.trials import StudyState, TrialRecord, top, top_of_one_seed
from distill_tune.study.dimensions import Dimension, Scalar
from distill_tune.study.validation import scalar_text

WARM_START_TRIALS = 3
"""Default number of first configurations per backbone."""

_WHERE = Parameter("warm_start")


class WarmStart(NamedTuple):
    """Configurations taken over from another study.

    Attributes:
        points: Backbone -> the points that it tries first, by dotted path; missing values are
            sampled.
        words: The same in one line, with what was left out.
    """

    points: dict[str, tuple[dict[str, Scalar], ...]]
    words: str


def warm_start(
    source: StudyDirectory,
    backbones: Sequence[str],
    dimensions: Mapping[str, Dimension],
    count: int = WARM_START_TRIALS,
) -> WarmStart:
    """Choose the configurations that each backbone of a study tries first.

    A backbone that the source has searched too gets its own best configurations. Any other
    backbone, or one with too few, gets those of the source's backbones in turn, winners first.

    Args:
        source: The other study.
        backbones: Backbones of this study.
        dimensions: Dimensions of this study, by dotted path.
        count: Configurations per backbone.

    Raises:
        InputError: There is no such study, or none of its values can be tried here.
    """
    source.require_as(_WHERE)
    state = source.state()
    searched = _searched(source, state)
    if not searched & dimensions.keys():
        got = Text(f"{source.root}, which searched {', '.join(sorted(searched)) or 'nothing'}")
        names = ", ".join(dimensions) or "none: its space is empty"
        expected = f"a study that shares a dimension of this one ({names})"
        raise InputError(_WHERE, got=got, expected=expected)
    chosen = {name: _chosen(_ranked(state, name), dimensions, count) for name in backbones}
    if not any(chosen.values()):
        got = Text(f"{source.root}, whose values all lie outside this study's space")
        raise InputError(_WHERE, got=got, expected="a study with a value inside of it")
    words = _words(source.root, chosen, dimensions, searched)
    return WarmStart(
        {name: tuple(point for _, point in own) for name, own in chosen.items()}, words
    )


def _searched(source: StudyDirectory, state: StudyState) -> set[str]:
    """Return the paths searched by trials that have a value."""
    over = [trial for name in state.backbones for trial in top(state, name, len(state.trials))]
    if not over:
        got = Text(f"{source.root}, none of whose {len(state.trials)} trials ended with a value")
        raise InputError(_WHERE, got=got, expected="a study with results")
    return {path for trial in over for path in flat(trial.params)}


def _ranked(state: StudyState, backbone: str) -> Iterator[TrialRecord]:
    everything = len(state.trials)
    others = [top(state, name, everything) for name in state.backbones if name != backbone]
    in_turn = (trial for rank in zip_longest(*others) for trial in rank if trial is not None)
    return chain(top(state, backbone, everything), in_turn)


Chosen = list[tuple[TrialRecord, dict[str, Scalar]]]


def _chosen(
    ranked: Iterator[TrialRecord], dimensions: Mapping[str, Dimension], count: int
) -> Chosen:
    """Return the first trials, each with its values that lie in the space, without duplicates."""
    found: Chosen = []
    for trial in ranked:
        params = flat(trial.params)
        point = {
            path: params[path]
            for path, dimension in dimensions.items()
            if path in params and dimension.holds(params[path])
        }
        if len(found) < count and point and point not in [other for _, other in found]:
            found.append((trial, point))
    return found


def _words(
    root: str,
    chosen: Mapping[str, Chosen],
    dimensions: Mapping[str, Dimension],
    searched: set[str],
) -> str:
    parts = [
        f"{backbone} tries {', '.join(trial.name for trial, _ in own)} first"
        for backbone, own in chosen.items()
        if own
    ]
    new = [path for path in dimensions if path not in searched]
    parts += [f"not searched there, so sampled: {', '.join(new)}"] if new else []
    outside = {
        f"{path}={scalar_text(flat(trial.params)[path])}": None
        for trial, point in chain(*chosen.values())
        for path in dimensions
        if path in flat(trial.params) and path not in point
    }
    parts += [f"outside the space, so left out: {', '.join(outside)}"] if outside else []
    return one_line(f"warm start from {root}: {'; '.join(parts)}")


class WarmStartOutcome(NamedTuple):
    """Effect of a backbone's warm start.

    Attributes:
        num_warm: Ended warm-started trials, including failed ones.
        warm: The best of them; None if none has a value.
        num_others: The backbone's other ended trials.
        others: The best of those; None if none has a value.
    """

    backbone: str
    num_warm: int
    warm: TrialRecord | None
    num_others: int
    others: TrialRecord | None

    @property
    def sentence(self) -> str:
        """The outcome as a sentence."""
        start = f"warm start of {self.backbone}: "
        if self.warm is None or self.others is None:
            missing = "warm-started" if self.warm is None else "other"
            return f"{start}nothing to compare, as no {missing} trial ended with a value"
        lead = (self.warm.value or 0.0) - (self.others.value or 0.0)
        verdict = "gave the study's best" if lead > 0 else "did not give the study's best"
        return (
            f"{start}the best of {self.num_warm} warm-started "
            f"trial{'' if self.num_warm == 1 else 's'} has {_result(self.warm)}, "
            f"the best of {_others(self.num_others)} {_result(self.others)}; it "
            f"{'was as good as the others' if lead == 0 else verdict} (validation values of one "
            "search, subject to chance)"
        )


def _others(count: int) -> str:
    return "1 other" if count == 1 else f"{count} others"


def _result(trial: TrialRecord) -> str:
    state = "" if trial.status == "complete" else f", {trial.status}"
    return f"{trial.value:.4f} (trial {trial.number}{state})"


def warm_start_outcomes(
    plain_study: Mapping[str, Any], state: StudyState
) -> tuple[WarmStartOutcome, ...]:
    """Return the effect of the warm start for each backbone that had one.

    Args:
        plain_study: The study as plain data, as in its log and ``study.yaml``.
        state: State folded from its log.
    """
    search, listed = plain_study.get("search"), plain_study.get("backbones")
    points = search.get("first_points") if isinstance(search, Mapping) else None
    if not isinstance(points, Mapping) or not isinstance(listed, Sequence):
        return ()
    names = [str(one.get("name")) for one in listed if isinstance(one, Mapping)]
    return tuple(
        _outcome(state, name, len(points[name]) * len(names))
        for name in names
        if isinstance(points.get(name), Sequence) and points[name]
    )


def _outcome(state: StudyState, backbone: str, end: int) -> WarmStartOutcome:
    """Compare a backbone's trials with a number below ``end`` with its others."""
    over = [t for t in state.trials.values() if t.backbone == backbone and t.ended_at is not None]
    groups = [
        {trial.number: trial for trial in over if (trial.number < end) is is_warm}
        for is_warm in (True, False)
    ]
    bests = [
        top_of_one_seed(dataclasses.replace(state, trials=group), backbone, 1) for group in groups
    ]
    warm, others = (best[0] if best else None for best in bests)
    return WarmStartOutcome(backbone, len(groups[0]), warm, len(groups[1]), others)
