"""The Python API: typed results, and errors as exceptions of ``distill_tune.errors``.

Errors that a user can cause are an ``InputError``, an ``InputErrors`` or a ``StudyError``, with a
message ``where: got X, expected Y``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from distill_tune.confirmation.evidence.findings import Confirmation
from distill_tune.errors import InputError, NoTrialSucceededError, Parameter, RayError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.files.storage import path_text
from distill_tune.report.study_result import StudyResult, TrainedModel, load_study
from distill_tune.study.python_arguments import (
    FileName,
    assignment_options,
    names_text,
    path_texts,
    require_count,
    require_flag,
    require_text,
    space_argument,
)

if TYPE_CHECKING:
    from rich.console import Console

    from distill_tune.study.opened_study import Opened
    from distill_tune.tuning.run_options import RunOptions


def search(  # noqa: PLR0913 - the options of the command
    space: FileName | Mapping[str, Any],
    *,
    storage: FileName = "runs",
    name: str | None = None,
    num_trials: int | None = None,
    time_budget_s: float | None = None,
    warm_start: FileName | None = None,
    warm_start_trials: int | None = None,
    continue_from: FileName | Sequence[FileName] = (),
    assignments: Mapping[str, object] | None = None,
    resume: bool = False,
    allow_changed: bool = False,
    share_stages: bool = True,
    address: str | None = None,
    scale_to: int | None = None,
    progress: bool = True,
) -> StudyResult:
    """Find the best configuration for every backbone of a study, as ``distill-tune search`` does.

    Args:
        space: The study: a YAML file, or a mapping with the same content.
        storage: Folder or URI under which the study gets a folder of its name.
        name: Name of the study; overrides the one in ``space``.
        num_trials: Trials in total, including those of earlier sessions.
        time_budget_s: Seconds after which to stop; ``resume`` continues.
        warm_start: A study whose best configurations are tried first.
        warm_start_trials: Number of these configurations per backbone; None: 3.
        continue_from: Studies with the same images, fields and code, also with another space: their
            trials that lie in this space are observations and are not run again.
        assignments: Further changes to ``space``: dotted path -> value, such as
            ``{"trial.joint.epochs": 8, "backbones.0.name": "resnet18"}``.
        resume: Resume the study if it already exists.
        allow_changed: Continue even if the version, ``data.root``, ``search.sampler``,
            ``search.seed`` or ``search.num_startup_trials`` changed.
        share_stages: Compute stages that trials have in common only once: same results, faster.
        address: Ray cluster (``auto``, ``HOST:PORT``); None: Ray runs here and stops at the end.
        scale_to: Ask the cluster's autoscaler for room for so many trials, and let go at the end.
        progress: Print progress on stdout.

    Returns:
        The study; its ``status`` is ``finished``, ``time_budget`` or ``stopped``. A study with a
        ``confirm:`` section that is finished, or was stopped by a rule on anything but hours, has
        been confirmed, too.

    Raises:
        InputError, InputErrors: All errors in ``space`` and the other arguments.
        StudyError: It exists and ``resume`` is not set, has other settings, or is in use.
        NoTrialSucceededError: All trials failed; the message gives the reasons.
        DiskFullError: The disk is full; free some space and resume.
        RayError: Ray is already in use in this process, does not start, or failed; the message says
            how to continue.
        KeyboardInterrupt: Finished work is kept; the message says how to continue.
    """
    require_count("scale_to", scale_to)
    options = _options(
        "search", address, progress, share_stages=share_stages, allow_changed=allow_changed
    )
    options = replace(options, scale_to=scale_to)
    from distill_tune.study.opened_study import StudyRequest, WarmStartRequest, open_new

    fields = {"name": name, "num_trials": num_trials, "time_budget_s": time_budget_s}
    changes = assignment_options(assignments)
    source = None if warm_start is None else path_text("warm_start", warm_start)
    warm_start_request = WarmStartRequest(source, warm_start_trials)
    request = StudyRequest(
        space_argument(space),
        path_text("storage", storage),
        changes,
        fields,
        warm_start_request,
        path_texts("continue_from", continue_from),
    )
    opened = open_new(request, resume=resume, allow_changed=allow_changed)
    return _search(opened, options)


def resume(  # noqa: PLR0913 - the options of the command
    study: FileName,
    *,
    num_trials: int | None = None,
    time_budget_s: float | None = None,
    assignments: Mapping[str, object] | None = None,
    allow_changed: bool = False,
    share_stages: bool = True,
    address: str | None = None,
    scale_to: int | None = None,
    progress: bool = True,
) -> StudyResult:
    """Resume an interrupted study, or give it more trials: ``num_trials`` in total.

    ``study`` is the study's directory, or the result of :func:`search` or :func:`load_study`. The
    other arguments, the result and the errors are those of :func:`search`. If the study's images
    have moved, pass their new location as ``assignments={"data.root": path}``.
    """
    require_count("scale_to", scale_to)
    options = _options(
        "resume", address, progress, share_stages=share_stages, allow_changed=allow_changed
    )
    options = replace(options, scale_to=scale_to)
    from distill_tune.study.opened_study import open_stored

    fields = {"num_trials": num_trials, "time_budget_s": time_budget_s}
    opened = open_stored(path_text("study", study), fields, assignment_options(assignments))
    return _search(opened, options)


def confirm(  # noqa: PLR0913 - the options of the command
    study: FileName,
    *,
    top: int | None = None,
    seeds: int | None = None,
    arms: Sequence[str] | None = None,
    rival: str | None = None,
    redraw: bool | None = None,
    assignments: Mapping[str, object] | None = None,
    tune_arms: bool = False,
    read_test_again: bool = False,
    share_stages: bool = True,
    address: str | None = None,
    progress: bool = True,
) -> Confirmation:
    """Test whether the gain is real, as ``distill-tune confirm`` does; the same call resumes it.

    Args:
        study: The study's directory, or the result of ``search`` or ``load_study``.
        top: Number of best configurations per backbone that are trained again to choose one.
        seeds: Fresh seeds per arm; an interval needs three.
        arms: Names of the arms to compare, or ``"all"``; None: those of the study.
        rival: Name of the arm that the verdict is about besides the baseline; None: that of the
            study, or else the arm with the highest mean.
        redraw: Draw new training and validation images for every seed, the same for all arms; None:
            as set in the study, by default yes.
        assignments: ``{"data.root": path}``: where the same images are now, if they have moved.
        tune_arms: Give each arm its own search, with the method's budget, over those dimensions of
            the study that affect the arm.
        read_test_again: Train and test again what was already tested; the records show it.
        share_stages: As for :func:`search`.
        address: As for :func:`search`.
        progress: As for :func:`search`.

    Returns:
        Per backbone: the arms' accuracies on the test split by seed, in [0, 1], paired gains with
        95 % intervals, and a verdict in words. Tables are in ``confirm/`` of the study.

    Raises:
        InputError: There is no such arm or rival, or there are no test images.
        StudyError: There is no study, none of its trials has a value, or it is in use.
        RayError: As for :func:`search`.
        KeyboardInterrupt: Recorded results are kept; the message says how to continue.
    """
    require_count("top", top)
    require_count("seeds", seeds)
    require_flag("redraw", redraw)
    require_flag("tune_arms", tune_arms)
    options = _options(
        "confirm", address, progress, share_stages=share_stages, is_again=read_test_again
    )
    from distill_tune.confirmation.commands import open_to_confirm

    asked = {"top": top, "seeds": seeds, "arms": names_text("arms", arms), "rival": rival}
    asked |= {"redraw": redraw, "tune_arms": tune_arms or None}
    opened = open_to_confirm(path_text("study", study), asked, assignment_options(assignments))
    return _confirm(opened, options, hint="the same call")


def train(  # noqa: PLR0913 - the options of the command
    config: FileName,
    out: FileName,
    *,
    trial: int | str | None = None,
    backbone: str | None = None,
    seed: int | None = None,
    assignments: Mapping[str, object] | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> TrainedModel:
    """Train one configuration through all stages and write the model.

    If the training is stopped in any way, the same call resumes it.

    Args:
        config: A trial's whole configuration, such as ``study.best["resnet50"].config``, or the
            directory of a study.
        out: The model's folder; created, and refused if it holds anything but part of this
            training.
        trial: For a study: the trial's number or name; None: the best one.
        backbone: For a study: the backbone whose best trial to take; required if there are several.
        seed: Seed that replaces the configuration's.
        assignments: Changes to the configuration: dotted path -> value.
        threads: CPU threads (default: those of the study's trial, with which its results are
            reproduced exactly, else torch's own number).
        progress: Print a line per report on stdout.

    Raises:
        InputError, InputErrors: The configuration is invalid, or the folder is not empty.
        StudyError: There is no such study or trial, or the folder holds part of another training.
        DivergedError: The training diverged and cannot continue.
    """
    require_count("threads", threads)
    require_text("backbone", backbone)
    from distill_tune.cluster.user_environment import provide_user
    from distill_tune.terminal.training_view import TrainingView
    from distill_tune.training.devices import torch_threads
    from distill_tune.training.recipe import read_recipe
    from distill_tune.training.train import train_model

    provide_user()
    given, folder = path_text("config", config), Path(path_text("out", out))
    if Path(given).is_dir() or "://" in given:
        from distill_tune.training.trial_recipe import trial_recipe

        name = None if trial is None else str(trial)
        directory = StudyDirectory(given)
        recipe = trial_recipe(directory, trial=name, backbone=backbone)
    else:
        for parameter, value in (("trial", trial), ("backbone", backbone)):
            if value is not None:
                expected = "it with the directory of a study, not with a file"
                raise InputError(Parameter(parameter), got=value, expected=expected)
        recipe = read_recipe(Path(given))
    recipe = recipe.changed(assignment_options(assignments), seed)
    with (
        torch_threads(threads or recipe.threads),
        TrainingView(_console(progress=progress)) as view,
    ):
        made = train_model(recipe, folder, say=view.say, listen=view.listen, expect=view.expect)
    paths = {what: Path(path) for what, path in made["paths"].items()}
    accuracy, metric, value = (made[name] for name in ("validation_accuracy", "metric", "value"))
    return TrainedModel(validation_accuracy=accuracy, metric=metric, value=value, **paths)


def _search(opened: "Opened", options: "RunOptions") -> StudyResult:
    from distill_tune.study.opening import resume_command
    from distill_tune.tuning.commands import search_study
    from distill_tune.tuning.outcome import is_over, require_success

    state = search_study(opened, options)
    root, status = opened.directory.root, state.sessions[-1].status
    hint = f"resume({root!r}), or in a terminal with:\n  {resume_command(opened.directory)}"
    if status == "interrupted":
        _interrupted(hint)
    if is_over(state):
        require_success(state)
        if opened.study.confirm is not None:
            _confirm(opened, options, hint=hint)
    return load_study(root)


def _confirm(opened: "Opened", options: "RunOptions", *, hint: str) -> Confirmation:
    from distill_tune.confirmation.commands import confirm_opened
    from distill_tune.tuning.commands import with_resume_hint

    try:
        return confirm_opened(opened, options)
    except KeyboardInterrupt:
        _interrupted(hint)
    except (RayError, NoTrialSucceededError) as error:
        raise with_resume_hint(error, hint) from error


def _interrupted(hint: str) -> NoReturn:
    raise KeyboardInterrupt(f"interrupted; what is done is recorded, go on with {hint}") from None


def _options(
    verb: str,
    address: str | None,
    progress: bool,
    *,
    share_stages: bool,
    allow_changed: bool = False,
    is_again: bool = False,
) -> "RunOptions":
    """Set Ray's environment before anything imports Ray, and return the run options."""
    from distill_tune.cluster.environment import prepare

    require_text("address", address)
    prepare(address)
    from distill_tune.terminal.views import ConsoleViews
    from distill_tune.tuning.run_options import RunOptions

    return RunOptions(
        command=f"distill_tune.{verb}()",
        views=ConsoleViews(_console(progress=progress)),
        address=address,
        is_sharing=share_stages,
        allow_changed=allow_changed,
        is_again=is_again,
    )


def _console(*, progress: bool) -> "Console":
    """Return the console for progress: live in a terminal, one line per event in a notebook."""
    from distill_tune.terminal.study_tables import console_on

    return console_on(quiet=not progress)
