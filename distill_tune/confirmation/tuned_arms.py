"""Searches of the arms that searched params affect, each with the method's budget."""

from collections.abc import Iterable, Mapping
from typing import Any

from distill_tune.distill.trial_config import TrialTemplate
from distill_tune.errors import InputError, Parameter, Text
from distill_tune.interfaces import ImageData
from distill_tune.records.directory import ARMS_FOLDER, StudyDirectory
from distill_tune.records.trials import StudyState, best
from distill_tune.study.arms import METHOD, Arm, known_arms
from distill_tune.study.dimensions import Dimension
from distill_tune.study.opening import stored_study
from distill_tune.study.sampler_needs import fits_grid, most_trials, require_package
from distill_tune.study.sections import SamplerName, Search, Stop
from distill_tune.study.space import SearchSpace
from distill_tune.study.study import Study
from distill_tune.tuning.extras.open_runs import num_open_trials
from distill_tune.tuning.run_options import RunOptions
from distill_tune.tuning.session import Session

Tuned = dict[str, dict[str, dict[str, Any]]]
"""Arm -> backbone -> params."""

UNCONCERNED = "none, because no searched param affects it"


def arm_study(
    study: Study, arm: Arm, num_trials: int | None = None, sampler: SamplerName | None = None
) -> Study | None:
    """Return the study that searches an arm as the method was searched.

    Args:
        study: Study of the method.
        arm: The arm.
        num_trials: How many trials the method had; None: as many as the study asks for.
        sampler: That of the arm's search, if it has begun; None: each point once if they are few,
            otherwise that of the method.

    Returns:
        None for the method itself; for an arm that ends with stage 1, whose epochs no rung
        compares; and for an arm that no searched param affects.

    Raises:
        InputError: The arm trains backbones with different settings, which one search cannot.
    """
    dimensions = arm.dimensions(study.space.dimensions)
    if arm.name == METHOD or arm.is_stage_one_only or not dimensions:
        return None
    whole = [
        arm.config(study.trial_config(one.name, {}), study.arm_weights(one.name))
        for one in study.backbones
    ]
    fields = {name: getattr(whole[0], name) for name in TrialTemplate.model_fields}
    for one in whole:
        if any(getattr(one, name) != value for name, value in fields.items()):
            names = " and ".join(found.name for found in study.backbones)
            raise InputError(
                Parameter("tune_arms"),
                got=Text(f"{arm.name} of {names}, whose settings differ (one is pre-trained)"),
                expected="backbones that are all pre-trained or all not, or another arm",
            )
    changes = {
        "backbones": tuple(one.backbone for one in whole),
        "study": f"{study.study}-{arm.name}",
        "trial": TrialTemplate(**fields),
        "space": SearchSpace(dimensions),
        "confirm": None,
        "search": _arm_search(study, dimensions, num_trials or study.search.num_trials, sampler),
    }
    return study.model_copy(update=changes)


def _arm_search(
    study: Study,
    dimensions: Mapping[str, Dimension],
    num_trials: int,
    sampler: SamplerName | None,
) -> Search:
    """Return how an arm is searched; nothing ends it early: a time budget is the method's own."""
    if sampler is None:
        is_small = fits_grid(dimensions, num_trials, len(study.backbones))
        sampler = "grid" if is_small else study.search.sampler
    search = study.search.model_copy(
        update={
            "num_trials": num_trials,
            "sampler": sampler,
            "first_points": _first_points(study, dimensions),
            "controls": (),
            "stop": Stop(),
            "time_budget_s": None,
        }
    )
    most = most_trials(search, dimensions, len(study.backbones))
    return search.model_copy(update={"num_trials": most})


def _first_points(study: Study, paths: Iterable[str]) -> dict[str, Any]:
    """Return the method's first points, reduced to the params that affect an arm."""
    kept = {
        backbone: [{path: point[path] for path in paths if path in point} for point in points]
        for backbone, points in study.search.first_points.items()
    }
    return {backbone: tuple(filter(None, points)) for backbone, points in kept.items()}


def tune_arms(
    study: Study,
    directory: StudyDirectory,
    images: ImageData,
    names: tuple[str, ...],
    options: RunOptions,
) -> Tuned:
    """Start or resume the search of every arm, in ``arms/<arm>/`` of the study.

    Args:
        study: Study of the method.
        directory: Directory of the study.
        images: Images of the study.
        names: Names of the arms.
        options: How to run.

    Raises:
        InputError: This machine lacks the package of the study's sampler, or an arm cannot be
            searched.
        KeyboardInterrupt: A search was interrupted; the same command resumes it.
    """
    require_package(study.search)
    tuned = {}
    num_trials = _num_trials(study, directory.state())
    places = {name: StudyDirectory(directory.path(f"{ARMS_FOLDER}/{name}")) for name in names}
    studies = {
        name: arm_study(study, known_arms()[name], num_trials, _sampler(place))
        for name, place in places.items()
    }
    for name, own in studies.items():
        if not known_arms()[name].dimensions(study.space.dimensions):
            options.views.say(f"search of {known_arms()[name].title}: {UNCONCERNED}")
        if own is None:
            continue
        with options.views.search(own) as view:
            view.say(f"search of {known_arms()[name].title}: {own.search.num_trials} trials")
            state = Session(own, places[name], images, view, options).run()
        if state.sessions[-1].status != "finished":
            raise KeyboardInterrupt
        winners = {backbone: best(state, backbone) for backbone in state.backbones}
        tuned[name] = {backbone: won.params for backbone, won in winners.items() if won}
    return tuned


def _sampler(place: StudyDirectory) -> SamplerName | None:
    """Return the sampler of an arm's search; None if it has not begun.

    An earlier version may have taken another one, and so may more trials of the method.
    """
    return stored_study(place)[0].search.sampler if place.exists() else None


def _num_trials(study: Study, state: StudyState) -> int:
    """Return how many trials the method had: fewer than asked for if its search was stopped."""
    return max(len(study.backbones), study.search.num_trials - num_open_trials(study, state))
