"""Stops of a search by a rule, as recorded in its log."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from distill_tune.records.trials import Event

STOPPED: Final = "search_stopped"
"""Event of a rule that stops the search."""

BUDGETS: Final = frozenset({"gpu_hours", "core_hours"})
"""Rules that limit the cost: nothing more is run after them, not even finalists."""


class Stop(NamedTuple):
    """A rule that stopped a search.

    Attributes:
        rule: Name of its field below ``search.stop``.
        limit: Value of the field.
        words: Why it stopped the search.
        num_trials: How many trials the search was to have.
        num_over: How many had ended.
    """

    rule: str
    limit: float
    words: str
    num_trials: int
    num_over: int

    @classmethod
    def of(cls, event: Event) -> "Stop":
        """Return the stop in an event of the log."""
        numbers = (int(event["num_trials"]), int(event["num_over"]))
        return cls(str(event["rule"]), float(event["limit"]), str(event["words"]), *numbers)

    @property
    def is_budget(self) -> bool:
        """True if nothing more is to be run."""
        return self.rule in BUDGETS


def stop_words(stop: Stop) -> str:
    """Return why a search was stopped, with the field that says so."""
    return f"{stop.words} (search.stop.{stop.rule})"


def latest(stops: Iterable[Stop], rule: str, limit: float) -> Stop | None:
    """Return the last stop by a rule of that limit; None if there was none."""
    return next((one for one in reversed([*stops]) if (one.rule, one.limit) == (rule, limit)), None)


def as_fields(stop: Stop) -> dict[str, Any]:
    """Return the fields of the event."""
    return stop._asdict()
