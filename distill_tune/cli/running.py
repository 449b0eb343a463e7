"""Execution of the commands on a valid study: search, confirmation, report, failure."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import typer

from distill_tune.cli.options import option
from distill_tune.errors import DistillTuneError, NoTrialSucceededError, RayError

if TYPE_CHECKING:
    from rich.console import Console

    from distill_tune.confirmation.evidence.findings import Confirmation
    from distill_tune.records.directory import StudyDirectory
    from distill_tune.records.trials import StudyState
    from distill_tune.study.opened_study import Opened
    from distill_tune.tuning.run_options import RunOptions

INTERRUPTED, BROKEN_PIPE = 130, 141


class CommandOptions(NamedTuple):
    """Options shared by the commands that compute."""

    address: str | None
    is_sharing: bool
    as_json: bool
    allow_changed: bool = False
    scale_to: int | None = None

    def on(self, output: "Console", *, is_again: bool = False) -> "RunOptions":
        """Return the run options, with a console for progress."""
        from distill_tune.terminal.views import ConsoleViews
        from distill_tune.tuning.run_options import RunOptions

        return RunOptions(
            command=shlex.join(sys.argv),
            views=ConsoleViews(output),
            address=self.address,
            is_sharing=self.is_sharing,
            allow_changed=self.allow_changed,
            is_again=is_again,
            scale_to=self.scale_to,
        )


def prepare(address: str | None, study: str | None = None) -> None:
    """Set Ray's environment before anything imports Ray.

    Args:
        address: Address of a Ray cluster; None: this machine.
        study: Folder of the study that the command takes, which must exist.

    Raises:
        StudyError: There is no study.
    """
    if study is not None:
        from distill_tune.records.directory import StudyDirectory

        StudyDirectory(study).require()
    from distill_tune.cluster.environment import prepare as set_environment

    set_environment(address)


def run_search(opened: "Opened", options: CommandOptions) -> None:
    """Search, confirm if the study asks for it, and print the result."""
    from distill_tune.study.opening import resume_command
    from distill_tune.tuning.commands import search_study
    from distill_tune.tuning.outcome import is_over

    output = console(as_json=options.as_json)
    try:
        state = search_study(opened, options.on(output))
    except KeyboardInterrupt as interrupt:
        fail(str(interrupt), INTERRUPTED)
    found = _finish(opened, state, output, as_json=options.as_json)
    if opened.study.confirm is not None and is_over(state):
        command = resume_command(opened.directory)
        found |= {"confirmation": _confirmed(opened, output, options, hint=command)}
    if options.as_json:
        typer.echo(json.dumps(found))


def run_dry(opened: "Opened", options: CommandOptions) -> None:
    """Print what a search would take, without starting it."""
    from distill_tune.study.opening import located
    from distill_tune.terminal.dry_run_view import dry_run_json, dry_run_view
    from distill_tune.tuning.dry_run.plan import dry_run

    output = console(as_json=options.as_json)
    run_options = options.on(output)
    if opened.remark:
        run_options.views.say(opened.remark)
    with located(opened.document):
        continued = opened.continuation.trials if opened.continuation is not None else ()
        found = dry_run(opened.study, opened.directory, opened.images, run_options, continued)
    for part in dry_run_view(found):
        output.print(part, soft_wrap=isinstance(part, str))
    if options.as_json:
        typer.echo(json.dumps(dry_run_json(found)))


def run_confirmation(opened: "Opened", options: CommandOptions, *, is_again: bool) -> None:
    """Confirm a study and print the result."""
    command = shlex.join(["distill-tune", *sys.argv[1:]])
    output = console(as_json=options.as_json)
    found = _confirmed(opened, output, options, hint=command, is_again=is_again)
    if options.as_json:
        typer.echo(json.dumps(found))


def _confirmed(
    opened: "Opened",
    output: "Console",
    options: CommandOptions,
    *,
    hint: str,
    is_again: bool = False,
) -> dict[str, Any]:
    from distill_tune.confirmation.commands import confirm_opened
    from distill_tune.confirmation.evidence.tables import as_json
    from distill_tune.confirmation.session import FILES
    from distill_tune.terminal.confirmation_tables import confirmation_view
    from distill_tune.tuning.commands import with_resume_hint

    try:
        found: Confirmation = confirm_opened(opened, options.on(output, is_again=is_again))
    except KeyboardInterrupt:
        fail(f"interrupted; what is done is recorded, go on with:\n  {hint}", INTERRUPTED)
    except (RayError, NoTrialSucceededError) as error:
        raise with_resume_hint(error, hint) from error
    for part in confirmation_view(found):
        output.print(part)
    paths = [opened.directory.path(name) for name in FILES]
    paths += write_page(opened.directory, output)
    for path in paths:
        output.print(f"written: {path}", markup=False, soft_wrap=True)
    return as_json(found) | {"paths": paths}


def _finish(
    opened: "Opened", state: "StudyState", output: "Console", *, as_json: bool
) -> dict[str, Any]:
    from distill_tune.terminal.outcome_view import outcome_view
    from distill_tune.tuning.outcome import is_over, outcome_json, require_success

    status = state.sessions[-1].status
    write_page(opened.directory, output)
    _write_journal(opened.directory, output)
    for part in outcome_view(opened.study, opened.directory, status):
        output.print(part, soft_wrap=isinstance(part, str))
    found = outcome_json(opened.study, opened.directory, status)
    if status == "interrupted":
        if as_json:
            typer.echo(json.dumps(found))
        raise typer.Exit(INTERRUPTED)
    if is_over(state):
        try:
            require_success(state)
        except DistillTuneError:
            if as_json:
                typer.echo(json.dumps(found))
            raise
    return found


def write_page(directory: "StudyDirectory", output: "Console") -> list[str]:
    """Write the report so far; an error only causes a warning.

    Returns:
        The page's path; an empty list if it was not written.
    """
    from distill_tune.report import write_report
    from distill_tune.terminal.waiting import patience

    with _as_a_warning("the report", output), patience(output, "writing the report"):
        return [write_report(directory).page]
    return []


def _write_journal(directory: "StudyDirectory", output: "Console") -> None:
    """Write the study for Optuna's dashboard; an error only causes a warning."""
    from distill_tune.tuning.sampling.optuna_journal import write_journal

    if directory.is_local:
        with _as_a_warning("the journal for optuna-dashboard", output):
            write_journal(directory)


@contextmanager
def _as_a_warning(what: str, output: "Console") -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - hours of computing must not be lost
        why = error.spelled(option) if isinstance(error, DistillTuneError) else str(error)
        text = f"warning: {what} was not written: {why}"
        output.print(text, style="yellow", markup=False, soft_wrap=True)


@contextmanager
def opening(*, as_json: bool) -> Iterator[None]:
    """Show that a study and its images are being read, if that takes long."""
    from distill_tune.terminal.waiting import patience

    with patience(console(as_json=as_json), "reading the study and its images"):
        yield


def console(*, as_json: bool) -> "Console":
    """Return the console for users: stdout, or stderr if stdout is read by a program."""
    from distill_tune.terminal.study_tables import console_on

    return console_on(stderr=as_json)


@contextmanager
def reporting(**arguments: str) -> Iterator[None]:
    """Show errors that a user can cause as messages without a traceback.

    Args:
        arguments: Parameters that are arguments of the command, not options, with their names.
    """
    try:
        yield
    except DistillTuneError as error:
        fail(
            error.spelled(lambda name: arguments.get(name) or option(name)),
            error.exit_code,
        )
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)


def fail(message: str, code: int) -> NoReturn:
    """Print a message on stderr and exit with a code."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
