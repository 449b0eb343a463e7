"""The command line. Each command imports what it needs inside itself: --help answers at once."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from distill_tune import __version__
from distill_tune.errors import DistillTuneError, InputError, StudyError

if TYPE_CHECKING:
    from rich.console import Console

    from distill_tune.records import StudyDirectory
    from distill_tune.search.run import Session
    from distill_tune.study import Study
    from distill_tune.trials import StudyState

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Search the hyperparameters of GAN distillation, on a laptop or a GPU cluster.",
)

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a field of the file; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object last, on stdout.")]
NumTrials = Annotated[
    int | None, typer.Option(metavar="TOTAL", help="Trials in total, finished ones included.")
]
TimeBudget = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Stop after this time; resumable.")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="An existing Ray cluster: auto, HOST:PORT or ray://."),
]
AllowChanged = Annotated[
    bool,
    typer.Option(
        "--allow-changed",
        help="Go on though version, data.root, search.seed or num_startup_trials changed.",
    ),
]


NoSharedStages = Annotated[
    bool,
    typer.Option(
        "--no-shared-stages",
        help="Let every trial compute all of its stages itself: the same numbers, later.",
    ),
]


class Running(NamedTuple):
    """The options that a new search and one that goes on have in common."""

    address: str | None
    allow_changed: bool
    is_sharing: bool
    as_json: bool


@app.callback(invoke_without_command=True)
def _root(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(f"distill-tune {__version__}")
        raise typer.Exit


@app.command()
def search(  # noqa: PLR0913 - the options of the command line
    *,
    space: Annotated[Path, typer.Option(metavar="FILE", help="The study as a YAML file.")],
    storage: Annotated[str, typer.Option(metavar="DIR|URI", help="Where studies go.")] = "runs",
    name: Annotated[str | None, typer.Option(help="Name of the study, not the file's.")] = None,
    num_trials: NumTrials = None,
    time_budget: TimeBudget = None,
    assignments: Sets = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on if it exists.")] = False,
    allow_changed: AllowChanged = False,
    no_shared_stages: NoSharedStages = False,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Find the best configuration of every backbone of a study."""
    with _reporting():
        _prepare(address)
        from distill_tune.search.opening import (
            check_same,
            load_images,
            located,
            read_study,
            with_absolute_root,
        )
        from distill_tune.search.outcome import resume_command

        changes = {"--name": name, "--num-trials": num_trials, "--time-budget": time_budget}
        typed, document = read_study(space, assignments or [], changes)
        study = with_absolute_root(typed)
        directory = _place(storage, study.study)
        if directory.exists():
            if not resume:
                raise StudyError(
                    f"{directory.root}: got a study that is there already, expected "
                    f"another --name, or --resume (the same as: {resume_command(directory)})"
                )
            check_same(directory, study, allow_changed=allow_changed)
        images = load_images(typed, document)
        options = Running(address, allow_changed, not no_shared_stages, as_json)
        with located(document):
            _run(study, directory, images, options)


@app.command()
def resume(  # noqa: PLR0913 - the options of the command line
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    num_trials: NumTrials = None,
    time_budget: TimeBudget = None,
    allow_changed: AllowChanged = False,
    no_shared_stages: NoSharedStages = False,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Go on with a study that was interrupted, or give it more trials."""
    with _reporting():
        _prepare(address)
        from distill_tune.records import StudyDirectory
        from distill_tune.search.opening import load_images, located, stored_study

        directory = StudyDirectory(study_dir)
        changes = {"--num-trials": num_trials, "--time-budget": time_budget}
        study, document = stored_study(directory, changes)
        images = load_images(study, document)
        options = Running(address, allow_changed, not no_shared_stages, as_json)
        with located(document):
            _run(study, directory, images, options)


@app.command()
def status(
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    as_json: Json = False,
) -> None:
    """Say how a study stands; reads plain files only."""
    with _reporting():
        from distill_tune.records import StudyDirectory
        from distill_tune.report import status_info, status_json, status_table

        directory = StudyDirectory(study_dir)
        directory.require()
        info = status_info(directory)
        if as_json:
            typer.echo(json.dumps(status_json(info)))
        else:
            _console(as_json=False).print(status_table(info))


@app.command()
def train(
    *,
    config: Annotated[Path, typer.Option(metavar="FILE", help="Such as best/resnet50.yaml.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the model.")],
    assignments: Sets = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; a trial's own give its very numbers.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train one configuration through all stages and write the model."""
    with _reporting():
        import torch

        from distill_tune.training import train_model

        if threads is not None:
            torch.set_num_threads(threads)
        console = _console(as_json=as_json)
        # As it stands: names of files are in it, whose brackets are no markup.
        say = partial(console.print, markup=False, soft_wrap=True)
        result = train_model(config, out, assignments or [], say=say)
        for path in result["paths"].values():
            say(f"written: {path}")
        if as_json:
            typer.echo(json.dumps(result))


def _prepare(address: str | None) -> None:
    """Set Ray's environment, before anything imports it."""
    from distill_tune.search.environment import prepare

    prepare(address)


def _place(storage: str, name: str) -> "StudyDirectory":
    """Return the directory of a study that may be new."""
    from distill_tune.records import StudyDirectory

    if not storage:
        raise InputError("--storage", got=storage, expected="a folder or a URI")
    directory = StudyDirectory(f"{storage.rstrip('/')}/{name}")
    directory.refuse_unusable()
    return directory


def _run(study: "Study", directory: "StudyDirectory", images: Any, options: "Running") -> None:
    from distill_tune.search.progress import Progress
    from distill_tune.search.run import Session

    console = _console(as_json=options.as_json)
    with Progress(console, study) as progress:
        session = Session(
            study,
            directory,
            images,
            progress,
            address=options.address,
            command=shlex.join(sys.argv),
            allow_changed=options.allow_changed,
            is_sharing=options.is_sharing,
        )
        try:
            state = session.run()
        except KeyboardInterrupt:
            _fail(session.interrupted_message(), INTERRUPTED)
    _finish(session, state, console, as_json=options.as_json)


def _finish(session: "Session", state: "StudyState", console: "Console", *, as_json: bool) -> None:
    from distill_tune.search.outcome import outcome_json, outcome_view, require_success

    status = state.sessions[-1].status
    for part in outcome_view(session.study, session.directory, status):
        console.print(part, soft_wrap=isinstance(part, str))
    if as_json:
        typer.echo(json.dumps(outcome_json(session.study, session.directory, status)))
    if status == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if status == "finished":
        require_success(state)


def _console(*, as_json: bool) -> "Console":
    """Return where people read: stdout, or stderr when stdout is for a program."""
    from rich.console import Console

    return Console(stderr=as_json, highlight=False)


@contextmanager
def _reporting() -> Iterator[None]:
    """Show what a user can cause as a message without a traceback."""
    try:
        yield
    except DistillTuneError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
