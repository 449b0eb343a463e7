"""The commands for Python: what they return is typed, what goes wrong is an exception of ours.

Exceptions are those of ``distill_tune.errors``; what a user can cause is an ``InputError``, an
``InputErrors`` or a ``StudyError``, its message ``where: got X, expected Y``.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from distill_tune.confirmation.evidence.summary import Confirmation
from distill_tune.errors import NoTrialSucceededError, RayError
from distill_tune.records.directory import StudyDirectory
from distill_tune.report.study_result import StudyResult, TrainedModel, load_study
from distill_tune.study.python_arguments import (
    FileName,
    assignment_options,
    require_count,
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
    assignments: Mapping[str, object] | None = None,
    resume: bool = False,
    allow_changed: bool = False,
    share_stages: bool = True,
    address: str | None = None,
    progress: bool = True,
) -> StudyResult:
    """Find the best configuration of every backbone of a study, as ``distill-tune search`` does.

    Args:
        space: The study: a YAML file, or the mapping that would stand in one.
        storage: Folder or URI below which the study gets a folder of its name.
        name: Of the study, instead of the one in ``space``.
        num_trials: In total, those of an earlier session included.
        time_budget_s: Seconds after which to stop; ``resume`` goes on.
        warm_start: A study whose best configurations are tried first.
        warm_start_trials: How many of them for each backbone; None: 3.
        assignments: Further changes of ``space``: dotted path -> value, such as
            ``{"trial.joint.epochs": 8, "backbones.0.name": "resnet18"}``.
        resume: Go on with the study if it is there already.
        allow_changed: Go on though version, ``data.root``, ``search.seed`` or
            ``search.num_startup_trials`` changed.
        share_stages: Compute what trials have in common once; the same numbers, sooner.
        address: Of a Ray cluster (``auto``, ``HOST:PORT``); None: Ray is started on
            this machine and stopped at the end.
        progress: Print what happens, on stdout.

    Returns:
        The study; its ``status`` is ``finished``, or ``time_budget``. Where the study has a
        ``confirm:``, the confirmation is done, too.

    Raises:
        InputError, InputErrors: Of everything that is wrong in ``space`` or an argument.
        StudyError: It is there and ``resume`` is not set, was begun otherwise, or is in use.
        NoTrialSucceededError: All trials failed; the message has the reasons.
        DiskFullError: No room; make some and resume.
        RayError: Ray is in use in this process already, does not start, or failed; the message says
            how to go on.
        KeyboardInterrupt: What is done is kept; the message says how to go on.
    """
    options = _options(
        "search", address, progress, share_stages=share_stages, allow_changed=allow_changed
    )
    from distill_tune.study.opened_study import StudyRequest, WarmStartRequest, open_new

    fields = {"name": name, "num_trials": num_trials, "time_budget_s": time_budget_s}
    changes = assignment_options(assignments)
    source = None if warm_start is None else os.fspath(warm_start)
    warmth = WarmStartRequest(source, warm_start_trials)
    wish = StudyRequest(space_argument(space), os.fspath(storage), changes, fields, warmth)
    opened = open_new(wish, resume=resume, allow_changed=allow_changed)
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
    progress: bool = True,
) -> StudyResult:
    """Go on with a study that was interrupted, or give it more trials: ``num_trials`` in total.

    ``study`` is its directory, or what :func:`search` or :func:`load_study` returned; the other
    arguments, the result and the errors are as for :func:`search`. Where its images have moved,
    ``assignments={"data.root": path}`` says where they are.
    """
    options = _options(
        "resume", address, progress, share_stages=share_stages, allow_changed=allow_changed
    )
    from distill_tune.study.opened_study import open_stored

    fields = {"num_trials": num_trials, "time_budget_s": time_budget_s}
    opened = open_stored(os.fspath(study), fields, assignment_options(assignments))
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
    """Say whether the gain is real, as ``distill-tune confirm`` does; the same call resumes it.

    Args:
        study: Its directory, or what ``search`` or ``load_study`` returned.
        top: How many of each backbone's best configurations are trained anew to choose one.
        seeds: Fresh seeds of every arm; an interval needs three.
        arms: Names of what to compare, or ``"all"``; None: as the study says.
        rival: Name of the arm that the verdict is about beside the baseline; None: as the study
            says, otherwise the arm with the highest mean.
        redraw: Draw training and validation images anew with every seed, the same for all arms;
            None: as the study says, by default yes.
        assignments: ``{"data.root": path}``: where the same images are now, if they have moved.
        tune_arms: Give each arm a search of its own, with the budget that the method had, over
            what the study searches and makes a difference to it.
        read_test_again: Train and test once more what was tested already; the records show it.
        share_stages: As for :func:`search`.
        address: As for :func:`search`.
        progress: As for :func:`search`.

    Returns:
        Per backbone the arms with accuracies on the test split by seed, in [0, 1], paired gains
        with their 95 % intervals, and a verdict in words. Tables lie in ``confirm/`` of the study.

    Raises:
        InputError: There is no such arm or rival, or there are no test images.
        StudyError: There is no study, no trial of it has a value, or it is in use.
        RayError: As for :func:`search`.
        KeyboardInterrupt: What is recorded stays; the message says how to go on.
    """
    require_count("top", top)
    require_count("seeds", seeds)
    options = _options("confirm", address, progress, share_stages=share_stages)
    from distill_tune.confirmation.commands import open_to_confirm

    names = arms if arms is None or isinstance(arms, str) else ",".join(arms)
    asked = {"top": top, "seeds": seeds, "arms": names, "rival": rival, "redraw": redraw}
    asked |= {"tune_arms": tune_arms or None}
    opened = open_to_confirm(os.fspath(study), asked, assignment_options(assignments))
    options = options.again() if read_test_again else options
    return _confirm(opened, options, go_on="the same call")


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

    Stopped in any way, it goes on by the same call.

    Args:
        config: A trial's whole configuration, such as ``study.best["resnet50"].config``, or the
            directory of a study.
        out: The model's folder; made, and refused if it holds anything but its own beginning.
        trial: Of a study: the trial's number or name; None: the best one.
        backbone: Of a study: whose best trial; needed where there are several.
        seed: Another seed than the configuration's.
        assignments: Changes of the configuration: dotted path -> value.
        threads: CPU threads meanwhile; a trial's own give its very numbers.
        progress: Print a line per report, on stdout.

    Raises:
        InputError, InputErrors: A configuration that is not usable, a folder that is not empty.
        StudyError: No such study or trial; the beginning of another training.
        DivergedError: The training cannot go on.
    """
    with _threads(threads):
        from distill_tune.cluster.user_environment import provide_user
        from distill_tune.terminal.training_view import TrainingView
        from distill_tune.training.recipe import read_recipe
        from distill_tune.training.train import train_model

        provide_user()
        if Path(config).is_dir() or "://" in os.fspath(config):
            from distill_tune.training.trial_recipe import trial_recipe

            name = None if trial is None else str(trial)
            directory = StudyDirectory(os.fspath(config))
            recipe = trial_recipe(directory, trial=name, backbone=backbone)
        else:
            recipe = read_recipe(Path(config))
        recipe = recipe.changed(assignment_options(assignments), seed)
        with TrainingView(_console(progress=progress)) as view:
            made = train_model(recipe, Path(out), say=view.say, listen=view.listen)
    paths = {what: Path(path) for what, path in made["paths"].items()}
    return TrainedModel(validation_accuracy=made["validation_accuracy"], **paths)


def _search(opened: "Opened", options: "RunOptions") -> StudyResult:
    from distill_tune.study.opening import resume_command
    from distill_tune.tuning.commands import search_study
    from distill_tune.tuning.outcome import require_success

    state = search_study(opened, options)
    root, status = opened.directory.root, state.sessions[-1].status
    go_on = f"resume({root!r}), or in a terminal with:\n  {resume_command(opened.directory)}"
    if status == "interrupted":
        _interrupted(go_on)
    if status == "finished":
        require_success(state)
        if opened.study.confirm is not None:
            _confirm(opened, options, go_on=go_on)
    return load_study(root)


def _confirm(opened: "Opened", options: "RunOptions", *, go_on: str) -> Confirmation:
    from distill_tune.confirmation.commands import confirm_opened
    from distill_tune.tuning.commands import with_way_on

    try:
        return confirm_opened(opened, options)
    except KeyboardInterrupt:
        _interrupted(go_on)
    except (RayError, NoTrialSucceededError) as error:
        raise with_way_on(error, go_on) from error


def _interrupted(go_on: str) -> NoReturn:
    raise KeyboardInterrupt(f"interrupted; what is done is recorded, go on with {go_on}") from None


def _options(
    verb: str,
    address: str | None,
    progress: bool,
    *,
    share_stages: bool,
    allow_changed: bool = False,
) -> "RunOptions":
    """Set Ray's environment, before anything imports it, and return how to run."""
    from distill_tune.cluster.environment import prepare

    prepare(address)
    from distill_tune.terminal.views import ConsoleViews
    from distill_tune.tuning.run_options import RunOptions

    return RunOptions(
        command=f"distill_tune.{verb}()",
        views=ConsoleViews(_console(progress=progress)),
        address=address,
        is_sharing=share_stages,
        allow_changed=allow_changed,
    )


def _console(*, progress: bool) -> "Console":
    """Return where progress goes: a live view in a terminal, in a notebook a line per event."""
    from distill_tune.terminal.study_tables import console_on

    return console_on(quiet=not progress)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads meanwhile."""
    require_count("threads", count)
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
