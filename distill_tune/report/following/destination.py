"""Interface of a destination, and the records of a study that are sent to it."""

import hashlib
from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from distill_tune.errors import DistillTuneError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import Event


class StudyIdentity(NamedTuple):
    """A study, wherever its directory is.

    Attributes:
        name: Name of the study.
        key: 12 hex digits that tell it from every other study.
    """

    name: str
    key: str


class Row(NamedTuple):
    """Metrics of one epoch.

    Attributes:
        step: Epoch, from 1; 0 for a run without epochs.
        time: Unix time.
        metrics: Finite values by name.
    """

    step: int
    time: float
    metrics: dict[str, float]


class RunEnd(NamedTuple):
    """End of a run.

    Attributes:
        status: ``complete``, ``pruned``, ``failed``, or ``interrupted`` if it may go on.
        reason: Short name of why it was pruned or failed.
        detail: The reason in words.
        time: Unix time.
    """

    status: str
    reason: str
    detail: str
    time: float


class FollowedRun(NamedTuple):
    """A trial, a run beside the trials, or a run of a confirmation.

    Attributes:
        name: Name, such as ``resnet50-0003``; unique in the study.
        kind: ``trial``, ``confirmation``, or that of a run beside the trials, such as ``control``.
        params: Params by dotted path, and fields that tell runs apart, such as ``backbone``.
        started_at: Unix time.
        rows: Metrics by epoch, in ascending order.
        end: None while it runs.
    """

    name: str
    kind: str
    params: dict[str, Any]
    started_at: float
    rows: tuple[Row, ...]
    end: RunEnd | None


class Notice(NamedTuple):
    """A message about a study.

    Attributes:
        id: Unique in the study.
        kind: ``new_best``, ``trial_failed``, ``search_ended`` or ``confirmation_ended``.
        text: The message in words.
        time: Unix time of the event.
        fields: Further values, such as ``trial`` and ``value``.
    """

    id: str
    kind: str
    text: str
    time: float
    fields: dict[str, Any]


class Destination(Protocol):
    """A place that a study is sent to. Any exception means: not sent, try again."""

    @property
    def address(self) -> str:
        """Return the place, which tells its memory from that of others; may be secret."""

    @property
    def title(self) -> str:
        """Return the place in words, without secrets."""

    @property
    def takes(self) -> str:
        """Return what it takes: ``runs`` or ``notices``."""

    def send_run(self, run: FollowedRun) -> None:
        """Send the rows of a run and its end, if it has ended; they were not sent before."""

    def send_notice(self, notice: Notice) -> None:
        """Send a message."""

    def close(self) -> None:
        """Wait until everything has arrived."""


def identity(directory: StudyDirectory, events: Iterable[Event]) -> StudyIdentity:
    """Return the identity of a study: it follows from its name and its first event."""
    first = next(iter(events), {"time": 0.0})
    text = f"{directory.name}/{first['time']!r}"
    return StudyIdentity(
        directory.name, hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
    )


def tracker_package(name: str) -> Any:
    """Return the package of a tracker, whose optional dependency has its name.

    Raises:
        DistillTuneError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise DistillTuneError(
            f"{name}: got none ({error}), expected it to follow a study: "
            f"pip install 'distill-tune[{name}]'"
        ) from error
