"""The event log: one JSON object per line, each with a checksum, kept in two copies."""

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
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

    def clear(self) -> None:
        """Empty the log and its copy, if they exist."""
        self._known = None
        for name in (COPY_FILE, LOG_FILE):
            if self._storage.exists(name):
                self._storage.write(name, b"")

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

        A last line torn by a kill is ignored. If another line is damaged, or the log is shorter
        than its copy, the copy is read. If the copy is no better, a ``warning`` event replaces each
        damaged line. Files on a disk that have not changed since the last reading are not read
        again.
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

        Neither file ever gets fewer sound events than it had.

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
        # Every line is appended to the log first: the log is never shorter than its copy was.
        size_before = self._copy_size()
        log = self._read(LOG_FILE)
        is_there = self._storage.exists(LOG_FILE)
        if is_there and not log.damaged and len(log.content) >= size_before:
            return log, ""
        # In this order: a search may be appending to both.
        copy, log = self._read(COPY_FILE), self._read(LOG_FILE)
        merged = _merged(log, copy)
        if not merged and not _is_better(copy, log):
            return log, ""
        found = _reading(LOG_FILE, merged) if merged else copy
        what = _fault(log, found, is_merged=bool(merged)) if is_there else "missing"
        return found, f"{LOG_FILE} is {what}; its copy {COPY_FILE} was read instead"

    def _copy_size(self) -> int:
        """Return the size of the copy in bytes; 0 if there is none."""
        if self._storage.is_local:
            with suppress(OSError):
                return Path(self._storage.path(COPY_FILE)).stat().st_size
        return 0

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
    """Return the log with those of its damaged or missing lines that are sound in its copy.

    Empty if there are none, or if the two do not have the same lines in the same places.
    """
    own, others = (one.content.split(b"\n")[:-1] for one in (log, copy))
    lost, unsound = set(log.damaged), set(copy.damaged)
    while others and (len(others) in unsound or not others[-1].strip()):
        others.pop()
    lines = []
    for number, (line, other) in enumerate(zip_longest(own, others, fillvalue=b""), start=1):
        is_sound = bool(other) and number not in unsound
        if number > len(own) or (is_sound and number in lost):
            lines.append(other)
        elif is_sound and line != other:
            return b""
        else:
            lines.append(line)
    return b"" if lines == own else b"\n".join(lines) + b"\n"


def _is_better(copy: _Reading, log: _Reading) -> bool:
    """Return whether a copy with other lines than the log holds more, or as much without damage."""
    if copy.num_sound == log.num_sound:
        return bool(copy.events and log.damaged and not copy.damaged)
    return copy.num_sound > log.num_sound


def _fault(log: _Reading, found: _Reading, *, is_merged: bool) -> str:
    """Return what is wrong with the log, compared with what was found instead."""
    damaged = [line for line in log.damaged if not is_merged or line not in found.damaged]
    faults = [f"damaged in line {', '.join(map(str, damaged))}"] if damaged else []
    num_lines = log.content.count(b"\n")
    if is_merged and num_lines < found.content.count(b"\n"):
        faults.append(f"cut off before line {num_lines + 1}")
    return " and ".join(faults) or "incomplete"


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
