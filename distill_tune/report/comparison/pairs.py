"""Paired differences between studies whose configurations were confirmed on the same seeds."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from distill_tune.confirmation.evidence.findings import BackboneEvidence
from distill_tune.confirmation.evidence.statistics import (
    Effect,
    Gain,
    effect,
    gain_words,
    holm,
    paired_gain,
)
from distill_tune.records.confirm_log import EVIDENCE, run_records
from distill_tune.report.study_records import Source

_NO_PAIRS = Gain(0, float("nan"))


class StudyPair(NamedTuple):
    """Comparison of the confirmed configurations of two studies, paired by seed.

    Attributes:
        first: Name of a study.
        second: Name of the study that it is compared with.
        backbones: Backbone of the first and of the second study.
        gain: Gain of the first over the second on the test split, over the seeds for which both
            were trained on the same images.
        adjusted_p: Its p-value, corrected for all pairs (Holm); None for fewer than three seeds.
        effect: What the gain shows: ``helps`` if the first is better.
        reason: Why nothing is paired; empty if there is a pair.
        metric: Metric of the gain; empty if nothing is paired.
    """

    first: str
    second: str
    backbones: tuple[str, str]
    gain: Gain
    adjusted_p: float | None
    effect: Effect
    reason: str
    metric: str = ""

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        one, other = self.backbones
        what = one if one == other else f"{one} against {other}"
        names = f"{what}: {self.first} over {self.second}"
        if self.reason:
            return f"{names}: not paired, {self.reason}"
        shown = {"helps": f"{self.first} is better", "harms": f"{self.second} is better"}
        verdict = shown.get(self.effect, "no evidence of a difference")
        return f"{names}: {gain_words(self.gain, self.adjusted_p, self.metric)}: {verdict}"


def study_pairs(sources: Mapping[str, Source]) -> tuple[StudyPair, ...]:
    """Return a comparison of every two studies that were confirmed, by name of the study.

    The method's arms of the same backbone are compared. Two studies without a common backbone are
    compared if each has confirmed one.
    """
    drafts = [
        _pair(names, two, [sources[name] for name in names])
        for names in itertools.combinations(sources, 2)
        for two in _comparable(*(_confirmed(sources[name]) for name in names))
    ]
    adjusted = holm([draft.gain.p_value for draft in drafts])
    return tuple(
        draft._replace(adjusted_p=p_value, effect=effect(draft.gain, p_value))
        for draft, p_value in zip(drafts, adjusted, strict=True)
    )


def _confirmed(source: Source) -> dict[str, BackboneEvidence]:
    found = source.confirmation.backbones if source.confirmation else ()
    return {one.backbone: one for one in found}


def _comparable(
    ours: Mapping[str, BackboneEvidence], theirs: Mapping[str, BackboneEvidence]
) -> Iterator[tuple[BackboneEvidence, BackboneEvidence]]:
    common = [name for name in ours if name in theirs]
    if not common and len(ours) == len(theirs) == 1:
        yield next(iter(ours.values())), next(iter(theirs.values()))
    yield from ((ours[name], theirs[name]) for name in common)


def _pair(
    names: Sequence[str], two: tuple[BackboneEvidence, BackboneEvidence], sources: Sequence[Source]
) -> StudyPair:
    values, reason = _values(two, sources)
    found = paired_gain(*values) if not reason else _NO_PAIRS
    backbones = two[0].backbone, two[1].backbone
    confirmed = [one.confirmation for one in sources if one.confirmation is not None]
    metric = confirmed[0].metric if confirmed and not reason else ""
    return StudyPair(names[0], names[1], backbones, found, None, "no evidence", reason, metric)


def _values(
    two: tuple[BackboneEvidence, BackboneEvidence], sources: Sequence[Source]
) -> tuple[tuple[dict[int, float], dict[int, float]], str]:
    """Return the accuracies of both by seed, for the seeds with the same images."""
    first, second = (dict(one.method.accuracies) if one.method else {} for one in two)
    metrics = [one.confirmation.metric for one in sources if one.confirmation is not None]
    if len(set(metrics)) > 1:
        return (first, second), f"one reports {metrics[0]}, the other {metrics[1]}"
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return (first, second), "they have no seed in common"
    ours, theirs = (_images(*one) for one in zip(sources, two, strict=True))
    alike = [seed for seed in seeds if ours[seed].trained == theirs[seed].trained]
    if not alike:
        return (first, second), "they were trained on other images"
    alike = [seed for seed in alike if _are_tested_alike(ours[seed], theirs[seed])]
    if not alike:
        return (first, second), "they were tested on other images"
    values = tuple({seed: one[seed] for seed in alike} for one in (first, second))
    return (values[0], values[1]), ""


class _Images(NamedTuple):
    """Images of a run.

    Attributes:
        trained: Digest of its training and validation images.
        tested: Digest of its test images; empty in logs of older versions.
        counts: Test images of every class; empty if unknown.
    """

    trained: str
    tested: str
    counts: tuple[int, ...]


def _are_tested_alike(one: _Images, other: _Images) -> bool:
    """Return whether two runs have the same test images, as far as their logs tell."""
    if one.tested and other.tested:
        return one.tested == other.tested
    return not (one.counts and other.counts) or one.counts == other.counts


def _images(source: Source, one: BackboneEvidence) -> dict[int, _Images]:
    """Return the images of each of the method's runs, by seed."""
    name = one.method.arm if one.method else ""
    own = str(source.plan.data.get("digest"))
    runs = [
        run
        for run in run_records(source.directory.events())
        if run.phase == EVIDENCE and run.backbone == one.backbone and run.arm == name
        if run.reading <= 1
        if source.confirmation is not None and run.is_redrawn == source.confirmation.is_redrawn
    ]
    tested = next((run for run in reversed(runs) if run.class_counts), None)
    found = {}
    for run in runs:
        # A run that failed has read nothing: its value is chance on the study's test images.
        read = run if run.test or tested is None else tested
        counts = tuple(read.class_counts)
        found[run.seed] = _Images(run.images or own, read.test_images, counts)
    return found
