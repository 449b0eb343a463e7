"""Commands that the command line and Python share."""

from distill_tune.errors import NoTrialSucceededError, RayError
from distill_tune.records.trials import StudyState
from distill_tune.study.opened_study import Opened
from distill_tune.study.opening import (
    located,
    resume_command,
)
from distill_tune.tuning.run_options import RunOptions
from distill_tune.tuning.session import Session


def search_study(opened: Opened, options: RunOptions) -> StudyState:
    """Search until every trial has ended, the time is up, or the user interrupts.

    Raises:
        KeyboardInterrupt: It came before the first trial or after the last; the message says how to
            resume.
        InputError, StudyError, RayError: As in :meth:`Session.run`, with the position in the file.
    """
    with options.views.search(opened.study) as view, located(opened.document):
        session = Session(
            opened.study, opened.directory, opened.images, view, options, opened.continuation
        )
        if opened.remark:
            view.say(opened.remark)
        try:
            return session.run()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(session.interrupted_message()) from None
        except (RayError, NoTrialSucceededError) as error:
            if not opened.directory.exists():
                raise
            raise with_resume_hint(error, resume_command(opened.directory)) from error


def with_resume_hint(
    error: RayError | NoTrialSucceededError, command: str
) -> RayError | NoTrialSucceededError:
    """Return an error with the command that resumes after it."""
    return type(error)(f"{error}\nGo on with:\n  {command}")
