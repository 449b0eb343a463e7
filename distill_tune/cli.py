"""The command line. Each command imports what it needs inside itself: --help answers at once."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from distill_tune import __version__
from distill_tune.errors import DistillTuneError

if TYPE_CHECKING:
    from rich.console import Console

    from distill_tune.records import StudyDirectory
    from distill_tune.search.run import Session
    from distill_tune.study import Study

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
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Find the best configuration of every backbone of a study."""
    with _reporting():
        from distill_tune.records import StudyDirectory
        from distill_tune.search.opening import check_same, load_images, read_study

        given = [*(assignments or [])]
        given += [] if name is None else [f"study={name}"]
        given += [] if num_trials is None else [f"search.num_trials={num_trials}"]
        given += [] if time_budget is None else [f"search.time_budget_s={time_budget}"]
        study, document = read_study(space, given)
        directory = StudyDirectory(f"{storage.rstrip('/')}/{study.study}")
        if directory.exists():
            if not resume:
                directory.create()
            check_same(directory, study)
        images = load_images(study, document)
        _run(study, directory, images, address=address, as_json=as_json)


@app.command()
def resume(
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    num_trials: NumTrials = None,
    time_budget: TimeBudget = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Go on with a study that was interrupted, or give it more trials."""
    with _reporting():
        from distill_tune.records import StudyDirectory
        from distill_tune.search.opening import load_images, stored_study, with_changes

        directory = StudyDirectory(study_dir)
        study, document = stored_study(directory)
        study = with_changes(study, {"num_trials": num_trials, "time_budget_s": time_budget})
        images = load_images(study, document)
        _run(study, directory, images, address=address, as_json=as_json)


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
        result = train_model(config, out, assignments or [], say=_console(as_json=as_json).print)
        if as_json:
            typer.echo(json.dumps(result))


def _run(
    study: "Study", directory: "StudyDirectory", images: Any, *, address: str | None, as_json: bool
) -> None:
    from distill_tune.search.progress import Progress
    from distill_tune.search.run import Session

    console = _console(as_json=as_json)
    with Progress(console, study) as progress:
        session = Session(study, directory, images, progress, address, shlex.join(sys.argv))
        state = session.run()
    _finish(session, state.sessions[-1].status, console, as_json=as_json)


def _finish(session: "Session", status: str, console: "Console", *, as_json: bool) -> None:
    from distill_tune.search.outcome import outcome_json, outcome_view

    console.print(outcome_view(session.study, session.directory, status))
    if as_json:
        typer.echo(json.dumps(outcome_json(session.study, session.directory, status)))
    if status == "interrupted":
        raise typer.Exit(INTERRUPTED)


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
    for line in message.splitlines():
        typer.echo(f"error: {line}" if line == message.splitlines()[0] else line, err=True)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
