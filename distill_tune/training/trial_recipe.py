"""Recipe of a study's trial, to train it again."""

from distill_tune.errors import InputError, Parameter, StudyError, Text
from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import StudyState, TrialRecord, best
from distill_tune.study.opening import stored_study
from distill_tune.study.study import Study
from distill_tune.study.validation import Document
from distill_tune.training.recipe import Recipe


def trial_recipe(
    directory: StudyDirectory, *, trial: str | None = None, backbone: str | None = None
) -> Recipe:
    """Return the configuration of a trial of a study.

    Args:
        directory: The study.
        trial: Its number or name; None: the best one.
        backbone: Backbone of the best trial; None: the only backbone.

    Raises:
        StudyError: There is no study, or no trial has a value yet.
        InputError: There is no such trial or backbone, or several backbones and none was chosen.
    """
    study, _ = stored_study(directory)
    state = directory.state()
    asked = _asked(study, backbone)
    found = _best(directory, study, state, asked) if trial is None else _named(state, trial)
    if asked not in {None, found.backbone}:
        met = Text(f"{asked}, and trial {found.name}")
        raise InputError(
            Parameter("backbone"), got=met, expected=f"{found.backbone}, or another trial"
        )
    config = study.trial_config(found.backbone, found.params)
    return Recipe(
        Document(f"{directory.root}, trial {found.name}", plain(config), None),
        {"study": study.study, "trial": found.name, "params": dict(found.params)},
        _digest(directory),
        max(1, int(study.resources.cpus)),
    )


def _asked(study: Study, backbone: str | None) -> str | None:
    names = [one.name for one in study.backbones]
    if backbone not in {None, *names}:
        expected = f"a backbone of the study: {', '.join(names)}"
        raise InputError(Parameter("backbone"), got=backbone, expected=expected, choices=names)
    return backbone


def _named(state: StudyState, trial: str) -> TrialRecord:
    by_name = {one.name: one for one in state.trials.values()}
    if trial in by_name:
        return by_name[trial]
    # Longer numbers name no trial, and the longest cannot even be parsed.
    number = int(trial) if trial.isdecimal() and len(trial) < 10 else -1
    if number in state.trials:
        return state.trials[number]
    example = next(reversed(by_name), None)
    known = f"; it has {len(by_name)}, such as {example}" if example else "; it has none yet"
    expected = f"the number or the name of a trial of the study{known}"
    raise InputError(Parameter("trial"), got=trial, expected=expected, choices=by_name)


def _best(
    directory: StudyDirectory, study: Study, state: StudyState, backbone: str | None
) -> TrialRecord:
    names = [one.name for one in study.backbones]
    if backbone is None and len(names) > 1:
        expected = f"one of {', '.join(names)}, or a trial: the study has several backbones"
        raise InputError(Parameter("backbone"), got=Text("nothing"), expected=expected)
    winner = best(state, backbone or names[0])
    if winner is None:
        raise StudyError(f"{directory.root}: no trial of {backbone or names[0]} has a value yet")
    return winner


def _digest(directory: StudyDirectory) -> str:
    found = [event["digest"] for event in directory.events() if event["event"] == "data"]
    return str(found[-1]) if found else ""
