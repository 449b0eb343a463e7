"""The draft itself: sizes are measured from the best on until the search fits into the time."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from distill_tune import __version__
from distill_tune.cluster.resources import cluster
from distill_tune.datasets.image_pool import Pools
from distill_tune.datasets.images.arrays import fit
from distill_tune.distill.configuration.probe import probe
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training.stages import shared_jobs
from distill_tune.tuning.draft.case import Case, Wish, image_sizes, this_machine
from distill_tune.tuning.draft.images import ImageFacts
from distill_tune.tuning.draft.lengths import LADDER, USUAL, Lengths, scaled
from distill_tune.tuning.draft.sources import blamed_on_options
from distill_tune.tuning.draft.study_text import DECIDE, study_text
from distill_tune.tuning.dry_run.forecast import forecast
from distill_tune.tuning.dry_run.plan import Measured, measure
from distill_tune.tuning.run_options import Views

_FEW = 10
"""Training images of a class below which a warning is given."""


class Draft(NamedTuple):
    """A study that is ready to be searched.

    Attributes:
        text: The study as YAML.
        duration: How long the search should take, in words.
        remarks: Warnings for the user.
        open_points: What only the user can decide: field and question.
    """

    text: str
    duration: str
    remarks: tuple[str, ...]
    open_points: list[tuple[str, str]]


def draft_study(name: str, facts: ImageFacts, wish: Wish, views: Views) -> Draft:
    """Return a study whose search takes about the time that the user wants.

    Raises:
        InputError: A class has too few images, or a backbone does not accept the images.
        RehearsalError: A trial cannot run here, for example for lack of memory.
    """
    with cluster(None), blamed_on_options(facts.fields):
        machine = this_machine()
        for size in image_sizes(facts, machine):
            case = Case(facts, machine, wish, size)
            usual = _study(name, case, case.usual)
            images = usual.data.load(_resized(facts.pools, size))
            for backbone in usual.backbones:
                probe(usual.trial_config(backbone.name, {}), images)
            views.say(f"measuring some steps with images of {size}x{size} pixels")
            found = measure(usual, images, views)
            for lengths in LADDER:
                seconds = _seconds(_study(name, case, lengths), case, lengths, found)
                if seconds <= 60 * case.minutes:
                    break
            if seconds <= 60 * case.minutes and lengths >= USUAL:
                break
    text = study_text(name, case, lengths)
    duration = f"about {seconds / 60:.0f} minutes here (aim: at most {case.minutes:g})"
    points = re.findall(rf"(\w+): \S+ +# {DECIDE}: (.*)", text)
    remarks = (*facts.warnings, *images.warnings, *_remarks(case, lengths, seconds))
    heading = _heading(case, duration, has_points=bool(points))
    return Draft(heading + text, duration, tuple(dict.fromkeys(remarks)), points)


def _study(name: str, case: Case, lengths: Lengths) -> Study:
    return parse(Study, read_yaml_text(study_text(name, case, lengths), f"{name}.yaml"))


def _seconds(study: Study, case: Case, lengths: Lengths, found: Measured) -> float:
    """Return the expected duration of a search, from the costs of trials of the usual lengths."""
    images = sum(case.splits(lengths).train) / sum(case.splits(case.usual).train)
    costs = {key: scaled(cost, case.usual, lengths, images) for key, cost in found.costs.items()}
    shared = [(job, False) for job in shared_jobs(study)]
    return forecast(study, costs, found.slots.count, shared).pruned_s


def _resized(pools: Pools, size: int) -> Pools:
    train, val = replace(pools.train, images=fit(pools.train.images, size)), pools.val
    return Pools(train, val and replace(val, images=fit(val.images, size)))


def _heading(case: Case, duration: str, *, has_points: bool) -> str:
    images = f"{sum(case.facts.counts)} images of {len(case.facts.classes)} classes"
    marked = f"{DECIDE} marks what only you can decide. " if has_points else ""
    return (
        f"# {images}; drafted by distill-tune {__version__} for {case.machine}.\n"
        f"# Its search should take {duration}.\n"
        f"# {marked}Fields that are not listed keep their defaults.\n"
    )


def _remarks(case: Case, lengths: Lengths, seconds: float) -> Iterator[str]:
    train = case.splits(lengths).train
    if seconds > 60 * case.minutes:
        yield f"even the shortest search takes about {seconds / 60:.0f} minutes here"
    if min(train) < _FEW:
        name = case.facts.classes[train.index(min(train))]
        yield f"class {name!r} has {min(train)} images to train on, which is very few"
