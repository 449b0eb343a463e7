"""Findings of a comparison of studies: best, confirmed, cost, differences."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from distill_tune.errors import InputError, StudyError, Text
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.extras.computing import computing_s, hours
from distill_tune.records.files.storage import path_text
from distill_tune.report.comparison.course import Courses, courses
from distill_tune.report.comparison.fields import FieldDifference, field_differences
from distill_tune.report.comparison.pairs import StudyPair, study_pairs
from distill_tune.report.figures import best_so_far
from distill_tune.report.headline import Confirmed, headlines
from distill_tune.report.study_records import Source, source


class ComparedStudy(NamedTuple):
    """A study of a comparison.

    Attributes:
        name: Name of the study or, if several have the same name, its path as it was given.
        path: Absolute path or URI.
        status: ``new``, ``running``, ``interrupted``, ``time_budget``, ``stopped``, ``failed`` or
            ``finished``.
        metric: Metric that its trials are compared by.
        images: Digest of its images; empty if not recorded.
        search_s: Seconds in which a search ran.
    """

    name: str
    path: str
    status: str
    metric: str
    images: str
    search_s: float


class ComparedBackbone(NamedTuple):
    """Result of one study on one backbone.

    Attributes:
        study: Name of the study.
        trial: Name of the winner; None while no trial has a value.
        status: Outcome of the winner; ``complete`` if it was not pruned.
        value: Value of the winner in the search: biased upwards by the choice. With finalists, the
            mean over their seeds.
        spread: Standard deviation of ``value`` over the finalists' seeds; None for one seed.
        num_seeds: Number of seeds of which ``value`` is the mean.
        origin: ``mean of 3 seeds``; empty for the value of one seed.
        confirmed: Results with fresh seeds; None before a confirmation.
        num_trials: Number of trials that are over.
        hours: Hours computed by the trials, their controls and finalists, and by the shared stages
            that they use.
        unit: Unit of the hours: ``core-hour`` or ``GPU-hour``.
    """

    study: str
    backbone: str
    trial: str | None
    status: str
    value: float | None
    spread: float | None
    num_seeds: int
    origin: str
    confirmed: Confirmed | None
    num_trials: int
    hours: float
    unit: str


class Comparison(NamedTuple):
    """Comparison of studies.

    Attributes:
        studies: In the order in which they were given.
        backbones: One result per study and backbone, by backbone.
        differences: Fields in which the studies differ.
        pairs: Paired differences of confirmed configurations.
        course: Best value so far against hours; None if no trial has a value.
        remarks: In words: what limits the comparison.
    """

    studies: tuple[ComparedStudy, ...]
    backbones: tuple[ComparedBackbone, ...]
    differences: tuple[FieldDifference, ...]
    pairs: tuple[StudyPair, ...]
    course: Courses | None
    remarks: tuple[str, ...]


def comparison(studies: Sequence["str | os.PathLike[str]"]) -> Comparison:
    """Compare studies: running, interrupted or finished.

    Raises:
        InputError: There are fewer than two.
        StudyError: One of them is missing or given twice.
    """
    paths = [path_text("compare", one) for one in studies]
    if len(studies) < 2:
        got = Text(f"{len(studies) or 'no'} study")
        raise InputError("compare", got=got, expected="the directories of two studies or more")
    directories = [StudyDirectory(path) for path in paths]
    sources = {name: source(one) for name, one in _named(directories).items()}
    found = tuple(_study(name, one) for name, one in sources.items())
    rows = [row for name, one in sources.items() for row in _rows(name, one)]
    order = list(dict.fromkeys(row.backbone for row in rows))
    steps = [
        (name, backbone, one)
        for name, own in sources.items()
        for backbone in own.state.backbones
        if (one := best_so_far.info(own, backbone)) is not None
    ]
    return Comparison(
        studies=found,
        backbones=tuple(sorted(rows, key=lambda row: order.index(row.backbone))),
        differences=field_differences({name: one.plan for name, one in sources.items()}),
        pairs=study_pairs(sources),
        course=courses(list(sources), steps),
        remarks=tuple(
            _remarks(found, rows, has_extras=any(one.state.extras for one in sources.values()))
        ),
    )


def _named(directories: Sequence[StudyDirectory]) -> Mapping[str, StudyDirectory]:
    """Return the studies by a name that tells them apart."""
    found: dict[str, StudyDirectory] = {}
    names = [one.name for one in directories]
    paths = [os.path.realpath(one.path()) if one.is_local else one.path() for one in directories]
    for index, one in enumerate(directories):
        one.require()
        if paths[index] in paths[:index]:
            raise StudyError(f"{one.root}: got the same study twice, expected different ones")
        found[one.name if names.count(one.name) == 1 else one.root] = one
    return found


def _study(name: str, one: Source) -> ComparedStudy:
    return ComparedStudy(
        name,
        one.directory.path(),
        one.status.state,
        one.plan.metric,
        str(one.plan.data.get("digest") or ""),
        one.status.elapsed_s,
    )


def _rows(name: str, one: Source) -> Iterator[ComparedBackbone]:
    for found in headlines(one):
        trials = one.trials(found.backbone)
        cost = hours(computing_s(one.state, found.backbone), one.device)
        yield ComparedBackbone(
            study=name,
            backbone=found.backbone,
            trial=found.trial,
            status=found.status,
            value=found.value,
            spread=found.spread,
            num_seeds=found.num_seeds,
            origin=found.origin,
            confirmed=found.confirmed,
            num_trials=sum(trial.ended_at is not None for trial in trials),
            hours=cost.total,
            unit=cost.unit,
        )


def _remarks(
    studies: Sequence[ComparedStudy], rows: Sequence[ComparedBackbone], *, has_extras: bool
) -> Iterator[str]:
    if len({one.images for one in studies}) > 1:
        yield "The studies have different images, so their values are not of the same task."
    if len({one.metric for one in studies}) > 1:
        found = ", ".join(f"{one.name}: {one.metric}" for one in studies)
        yield f"The studies compare trials by different metrics ({found})."
    if len({row.unit for row in rows}) > 1:
        yield "Some hours are of GPUs, others of cores; they cannot be compared."
    unfinished = [f"{one.name} ({one.status})" for one in studies if one.status != "finished"]
    if unfinished:
        yield f"Not finished: {', '.join(unfinished)}."
    if has_extras:
        yield (
            "Hours in the table include controls and finalists; the course against hours is that "
            "of the trials and the stages that they share."
        )
    if any(row.origin for row in rows):
        yield (
            "The best of a search with finalists is a mean over seeds; its course is that of the "
            "first seed."
        )
    if any(row.value is not None and math.isfinite(row.value) for row in rows):
        yield (
            "The best value of a search is optimistic, the more so the more trials it has; "
            "distill-tune confirm gives values to compare."
        )
