"""Search and confirm as the terminal and Python share them: what is shown is the caller's."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from distill_tune.confirmation import Confirmation
from distill_tune.errors import NoTrialSucceededError, RayError
from distill_tune.records import StudyDirectory
from distill_tune.search.confirm import confirm_study
from distill_tune.search.confirm_plan import planned
from distill_tune.search.confirm_workshop import How
from distill_tune.search.opened import Opened
from distill_tune.search.opening import (
    load_images,
    located,
    require_only_moved,
    require_utf8,
    stored_study,
    with_absolute_root,
)
from distill_tune.search.outcome import resume_command
from distill_tune.search.progress import Progress
from distill_tune.search.run import Session
from distill_tune.trials import StudyState

if TYPE_CHECKING:
    from rich.console import Console


class Terms(NamedTuple):
    """How a search or a confirmation runs.

    Attributes:
        command: As the user typed it, for the records.
        address: Of a Ray cluster, or None for this machine.
        is_sharing: Whether stages that trials have in common are computed once for all of them.
        allow_changed: Go on though something harmless differs from how the study began.
    """

    command: str
    address: str | None = None
    is_sharing: bool = True
    allow_changed: bool = False


def search_study(opened: Opened, console: "Console", terms: Terms) -> StudyState:
    """Search until every trial is over, the time is, or the user interrupts.

    Raises:
        KeyboardInterrupt: It came before the first trial or after the last; says how to go on.
        InputError, StudyError, RayError: As of :meth:`Session.run`, with the place in the file.
    """
    with Progress(console, opened.study) as progress, located(opened.document):
        session = Session(
            opened.study,
            opened.directory,
            opened.images,
            progress,
            address=terms.address,
            command=terms.command,
            allow_changed=terms.allow_changed,
            is_sharing=terms.is_sharing,
        )
        if opened.remark:
            progress.say(opened.remark)
        try:
            return session.run()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(session.interrupted_message()) from None
        except (RayError, NoTrialSucceededError) as error:
            if not opened.directory.exists():
                raise
            raise with_way_on(error, resume_command(opened.directory)) from error


def with_way_on(
    error: RayError | NoTrialSucceededError, command: str
) -> RayError | NoTrialSucceededError:
    """Return an error with the command that goes on after it."""
    return type(error)(f"{error}\nGo on with:\n  {command}")


def open_to_confirm(root: str, asked: Mapping[str, Any], assignments: Sequence[str] = ()) -> Opened:
    """Return a study that is there, with the confirmation that is asked for.

    Args:
        root: Its directory.
        asked: As for :func:`planned`.
        assignments: ``path=value`` changes, as for a resumed search.

    Raises:
        InputError: There is no such arm, or nothing to compare with.
        StudyError: There is no study, or more is changed of it than where its images lie.
    """
    directory = StudyDirectory(root)
    require_utf8(directory)
    stored, document = stored_study(directory, assignments=assignments)
    moved = with_absolute_root(stored)
    if assignments:
        require_only_moved(directory, moved)
    study = moved.model_copy(update={"confirm": planned(moved, asked)})
    images = load_images(study, document, f"distill-tune confirm {shlex.quote(root)}", directory)
    return Opened(study, directory, images, document)


def confirm_opened(
    opened: Opened, console: "Console", terms: Terms, *, is_again: bool = False
) -> Confirmation:
    """Train what a confirmation still lacks; see :func:`confirm_study`."""
    how = How(terms.address, terms.command, terms.is_sharing, is_again)
    with located(opened.document):
        return confirm_study(opened.study, opened.directory, opened.images, console, how)
