"""The event log: one JSON object per line, each with a checksum, kept in two copies."""

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.records.checksums import add_line_checksum, strip_line_checksum
from distill_tune.records.files.local_files import whole_lines
from distill_tune.records.files.storage import Storage
from distill_tune.records.trials import Event

LOG_FILE, COPY_FILE = "events.jsonl", "events.copy.jsonl"


class _Reading(NamedTuple):
    """A log as it was read.

    Attributes:
        content: Its lines, without a last one that a kill left unfinished.
        events: Its events, with a ``warning`` in place of each damaged line.
        damaged: Numbers of the damaged lines, from 1.
    """

    content: bytes
    events: list[Event]
    damaged: list[int]

    @property
    def num_sound(self) -> int:
        return len(self.events) - len(self.damaged)


class _Known(NamedTuple):
    """The events that were read last, and the state of the files at that time."""

    stamp: tuple[object, ...]
    events: list[Event]


class EventLog:
    """The log of one study.

    On a disk, every line is also written to a copy, so that a line that the disk loses or changes
    can be recovered. (Object stores keep their own checksums and copies.)

    Args:
        storage: Storage of the study.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: _Known | None = None

    def exists(self) -> bool:
        """Return whether there is a log, or a copy of it."""
        return self._storage.exists(LOG_FILE) or self._storage.exists(COPY_FILE)

    def append(self, event: Mapping[str, Any]) -> None:
        """Append one event; it is on disk when this returns.

        Args:
            event: ``event`` names its kind; ``time`` (Unix seconds) defaults to now. Numbers may be
                numpy or torch scalars; numbers that are not finite are stored as text.
        """
        whole = {"event": str(event["event"]), "time": time.time(), **event}
        text = json.dumps(_plain(whole), allow_nan=False, ensure_ascii=False)
        # A name that is not UTF-8 contains lone surrogates; JSON has an escape for each.
        line = add_line_checksum(text.encode("utf-8", "backslashreplace"))
        self._known = None
        self._storage.append(LOG_FILE, line)
        if self._storage.is_local:
            self._storage.append(COPY_FILE, line)

    def events(self) -> list[Event]:
        """Return the log, oldest first, with events of any kind.

        A last line torn by a kill is ignored. If another line is damaged, the copy is read. If the
        copy is no better, a ``warning`` event replaces each damaged line. Files on a disk that have
        not changed since the last reading are not read again.
        """
        stamp = self._stamp()
        if not stamp or self._known is None or self._known.stamp != stamp:
            log, complaint = self._best()
            moment = log.events[-1]["time"] if log.events else 0.0
            events = [*log.events, *([_warning(complaint, moment)] if complaint else [])]
            self._known = _Known(stamp, events)
        return list(self._known.events)

    def _stamp(self) -> tuple[object, ...]:
        """Return a value that changes whenever a file does; empty if this cannot be known."""
        stamps: list[object] = []
        for name in (LOG_FILE, COPY_FILE) if self._storage.is_local else ():
            with suppress(OSError):
                found = Path(self._storage.path(name)).stat()
                stamps.append((name, found.st_ino, found.st_size, found.st_mtime_ns))
        return tuple(stamps)

    def repair(self) -> str:
        """Make the log and its copy equal, from the better of the two; requires the lock.

        Returns:
            What was damaged, for the log; empty if nothing was.
        """
        if not self._storage.is_local or not self.exists():
            return ""
        log, complaint = self._best()
        for name in (LOG_FILE, COPY_FILE):
            if self._content(name) != log.content:
                self._storage.write(name, log.content)
        return complaint

    def _best(self) -> tuple[_Reading, str]:
        """Return the log and an empty text, or what its copy has and the reason for using it."""
        log = self._read(LOG_FILE)
        is_there = self._storage.exists(LOG_FILE)
        if is_there and not log.damaged:
            return log, ""
        copy = self._read(COPY_FILE)
        if merged := _merged(log, copy):
            found = _reading(LOG_FILE, merged)
            healed = ", ".join(str(line) for line in log.damaged if line not in found.damaged)
            what = f"damaged in line {healed}"
            return found, f"{LOG_FILE} is {what}; its copy {COPY_FILE} was read instead"
        if copy.num_sound < log.num_sound or not copy.events or copy.damaged:
            return log, ""
        lines = ", ".join(map(str, log.damaged))
        what = f"damaged in line {lines}" if is_there else "missing"
        return copy, f"{LOG_FILE} is {what}; its copy {COPY_FILE} was read instead"

    def _content(self, name: str) -> bytes:
        """Return a file's whole lines; empty if there is no such file."""
        return whole_lines(self._storage.read(name)) if self._storage.exists(name) else b""

    def _read(self, name: str) -> _Reading:
        return _reading(name, self._content(name))


def _reading(name: str, content: bytes) -> _Reading:
    """Return the events of a file's whole lines."""
    events: list[Event] = []
    damaged = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        event = _parsed(line)
        if event is None:
            damaged.append(number)
            moment = events[-1]["time"] if events else 0.0
            event = _warning(f"{name} line {number} is damaged and was skipped", moment)
        events.append(event)
    return _Reading(content, events, damaged)


def _merged(log: _Reading, copy: _Reading) -> bytes:
    """Return the log with those of its damaged lines that are sound in its copy.

    Empty if there are none, or if the two do not have the same lines in the same places.
    """
    own, others = (one.content.removesuffix(b"\n").split(b"\n") for one in (log, copy))
    lost, unsound = set(log.damaged), set(copy.damaged)
    lines = list(own)
    for number, (line, other) in enumerate(zip(own, others, strict=False), start=1):
        if number in unsound or not other:
            continue
        if number in lost:
            lines[number - 1] = other
        elif line != other:
            return b""
    return b"" if lines == own else b"\n".join(lines) + b"\n"


def _parsed(line: bytes) -> Event | None:
    """Return a line's event, or None when it is damaged."""
    try:
        event = json.loads(strip_line_checksum(line) or b"")
    except (ValueError, RecursionError):
        return None
    sound = isinstance(event, dict) and isinstance(event.get("event"), str)
    moment = event.get("time") if sound else None
    # A time that is not a number, or is beyond any calendar, does not come from a clock.
    return event if isinstance(moment, int | float) and abs(moment) < 1e15 else None


def _warning(text: str, moment: float) -> Event:
    return {"event": "warning", "time": moment, "text": text}


def _plain(value: Any) -> Any:
    """Return a value in a form for JSON, which refuses other types with a TypeError."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if hasattr(value, "item"):
        # A numpy or torch scalar; this module may import neither.
        return _plain(value.item())
    return value
