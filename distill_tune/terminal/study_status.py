"""Status of a study together with the standing of its confirmation: as a view, as data."""

from typing import TYPE_CHECKING, Any

from distill_tune.confirmation.evidence.standing import standing
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.status import StatusInfo, status_info, status_json
from distill_tune.records.trials import Event
from distill_tune.terminal.study_tables import status_table

if TYPE_CHECKING:
    from rich.console import RenderableType


def current_status(directory: StudyDirectory) -> "RenderableType":
    """Read a study's status and return it for the terminal."""
    events = directory.events()
    return status_view(status_info(directory, events), events)


def status_view(info: StatusInfo, events: list[Event]) -> "RenderableType":
    """Return a study's status for the terminal.

    Args:
        info: The status.
        events: The log that it was read from.
    """
    return status_table(info, confirmation_lines(info, events))


def confirmation_lines(info: StatusInfo, events: list[Event]) -> tuple[str, ...]:
    """Return the standing of a study's confirmation in lines; none before one."""
    found = standing(events, info.state)
    return () if found is None else found.lines


def status_data(directory: StudyDirectory) -> dict[str, Any]:
    """Return a study's status as JSON data; ``confirmation`` is None before one."""
    events = directory.events()
    info = status_info(directory, events)
    found = standing(events, info.state)
    return {**status_json(info), "confirmation": None if found is None else found.json}
