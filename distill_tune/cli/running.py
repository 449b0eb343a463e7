"""What commands do with a study once it is known to be good: search, confirm, report, fail."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import typer

from distill_tune.errors import DistillTuneError, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from distill_tune.confirmation import Confirmation
    from distill_tune.records import StudyDirectory
    from distill_tune.search.run import Session
    from distill_tune.study import Study
    from distill_tune.trials import StudyState

INTERRUPTED = 130


class Running(NamedTuple):
    """The options that commands which compute have in common."""

    address: str | None
    is_sharing: bool
    as_json: bool
    allow_changed: bool = False


def prepare(address: str | None) -> None:
    """Set Ray's environment, before anything imports it."""
    from distill_tune.search.environment import prepare as set_environment

    set_environment(address)


def new_place(storage: str, name: str) -> "StudyDirectory":
    """Return the directory of a study that may be new."""
    from distill_tune.records import StudyDirectory

    if not storage:
        raise InputError("--storage", got=storage, expected="a folder or a URI")
    directory = StudyDirectory(f"{storage.rstrip('/')}/{name}")
    directory.refuse_unusable()
    return directory


def run_search(study: "Study", directory: "StudyDirectory", images: Any, options: Running) -> None:
    """Search, and confirm if the study asks for it; print what came of it."""
    from distill_tune.search.outcome import resume_command
    from distill_tune.search.progress import Progress
    from distill_tune.search.run import Session

    output = console(as_json=options.as_json)
    with Progress(output, study) as progress:
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
            fail(session.interrupted_message(), INTERRUPTED)
    found = _finish(session, state, output, as_json=options.as_json)
    if study.confirm is not None and state.sessions[-1].status == "finished":
        command = resume_command(directory)
        confirmed = _confirmed(study, directory, images, output, options, go_on=command)
        found |= {"confirmation": confirmed}
    if options.as_json:
        typer.echo(json.dumps(found))


def run_dry(
    study: "Study", directory: "StudyDirectory", images: Any, options: Running, began: float
) -> None:
    """Print what a search would take; it is not begun."""
    from distill_tune.search.dry_run import Setting, dry_run
    from distill_tune.search.dry_run_view import dry_run_json, dry_run_view

    output = console(as_json=options.as_json)
    setting = Setting(directory, options.address, options.is_sharing, began)
    say = partial(output.print, markup=False, soft_wrap=True)
    found = dry_run(study, images, setting, say)
    for part in dry_run_view(found):
        output.print(part)
    if options.as_json:
        typer.echo(json.dumps(dry_run_json(found)))


def run_confirmation(
    study: "Study",
    directory: "StudyDirectory",
    images: Any,
    options: Running,
    *,
    is_again: bool,
) -> None:
    """Confirm, and print what came of it."""
    command = shlex.join(["distill-tune", *sys.argv[1:]])
    output = console(as_json=options.as_json)
    found = _confirmed(study, directory, images, output, options, go_on=command, is_again=is_again)
    if options.as_json:
        typer.echo(json.dumps(found))


def _confirmed(  # noqa: PLR0913 - what both ways to a confirmation differ in
    study: "Study",
    directory: "StudyDirectory",
    images: Any,
    output: "Console",
    options: Running,
    *,
    go_on: str,
    is_again: bool = False,
) -> dict[str, Any]:
    from distill_tune.confirmation_view import as_json, confirmation_view
    from distill_tune.search.confirm import FILES, confirm_study
    from distill_tune.search.confirm_workshop import How

    how = How(options.address, shlex.join(sys.argv), options.is_sharing, is_again)
    try:
        found: Confirmation = confirm_study(study, directory, images, output, how)
    except KeyboardInterrupt:
        fail(f"interrupted; what is done is recorded, go on with:\n  {go_on}", INTERRUPTED)
    for part in confirmation_view(found):
        output.print(part)
    paths = [*(directory.path(name) for name in FILES), *write_page(directory, output)]
    for path in paths:
        output.print(f"written: {path}", markup=False, soft_wrap=True)
    return as_json(found) | {"paths": paths}


def _finish(
    session: "Session", state: "StudyState", output: "Console", *, as_json: bool
) -> dict[str, Any]:
    from distill_tune.search.outcome import outcome_json, outcome_view, require_success

    status = state.sessions[-1].status
    write_page(session.directory, output)
    for part in outcome_view(session.study, session.directory, status):
        output.print(part, soft_wrap=isinstance(part, str))
    found = outcome_json(session.study, session.directory, status)
    if status == "interrupted":
        if as_json:
            typer.echo(json.dumps(found))
        raise typer.Exit(INTERRUPTED)
    if status == "finished":
        try:
            require_success(state)
        except DistillTuneError:
            if as_json:
                typer.echo(json.dumps(found))
            raise
    return found


def write_page(directory: "StudyDirectory", output: "Console") -> list[str]:
    """Write the report of what is done; that it cannot be written ends nothing.

    Returns:
        The page's path; nothing where there is none.
    """
    from distill_tune.report import write_report

    try:
        return [write_report(directory).page]
    except Exception as error:  # noqa: BLE001 - hours of computing came before it
        text = f"warning: the report was not written: {error}"
        output.print(text, style="yellow", markup=False, soft_wrap=True)
        return []


def console(*, as_json: bool) -> "Console":
    """Return where people read: stdout, or stderr when stdout is for a program."""
    from rich.console import Console

    return Console(stderr=as_json, highlight=False)


@contextmanager
def reporting() -> Iterator[None]:
    """Show what a user can cause as a message without a traceback."""
    try:
        yield
    except DistillTuneError as error:
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)


def fail(message: str, code: int) -> NoReturn:
    """Print why on stderr and end with this code."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
