"""The study directory: everything that a search writes and a report reads, in plain files.

``study.yaml`` the study as resolved; ``events.jsonl`` the log, from which all else follows;
``trials.csv`` and ``epochs.csv`` for people and pandas; ``best/<backbone>.yaml`` the winners;
``tensorboard/<trial>/``, ``stages/``, ``ray/`` and ``lock``.
"""

import json
import math
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from distill_tune.errors import StudyError, closest
from distill_tune.seal import seal_line, unseal_line
from distill_tune.storage import storage_at, whole_lines
from distill_tune.tables import epochs_csv, trials_csv
from distill_tune.trials import Event, StudyState, fold

STUDY_FILE = "study.yaml"
EVENTS_FILE = "events.jsonl"
TRIALS_FILE = "trials.csv"
EPOCHS_FILE = "epochs.csv"
LOCK_FILE = "lock"

# Looking whether a study is in use takes its lock for an instant: a search outwaits that.
_LOCK_PATIENCE_S = 1.0


class StudyDirectory:
    """One study on disk or in an object store.

    Args:
        root: A path, or a URI such as ``s3://bucket/runs/resnet``.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or root
        self._storage = storage_at(self.root)

    @property
    def name(self) -> str:
        """The last part of the path, such as ``resnet``."""
        return self._storage.path("").partition("?")[0].replace("\\", "/").rpartition("/")[2]

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine; otherwise it is behind a URI and has no lock."""
        return self._storage.is_local

    def path(self, name: str = "") -> str:
        """Return the absolute path, or the URI, of something in it; of itself for ``""``."""
        return self._storage.path(name)

    def exists(self) -> bool:
        """Tell whether it holds a study; a folder without one does not count."""
        return self._storage.exists(STUDY_FILE) or self._storage.exists(EVENTS_FILE)

    def has(self, name: str) -> bool:
        """Tell whether it holds a file of that name."""
        return self._storage.exists(name)

    def create(self) -> None:
        """Make the folder of a new study; it holds a study once its first file is written.

        Raises:
            StudyError: There is a study already; the message says how to go on with it.
        """
        if self.exists():
            raise StudyError(
                f"{self.root}: there is a study already; go on with it by "
                f"`distill-tune resume {shlex.quote(self.root)}`, or give the new one another name"
            )
        self._storage.make()

    def refuse_unusable(self) -> None:
        """Raise StudyError where no study can be written, or only elsewhere, through a link."""
        obstacle = self._storage.obstacle()
        if obstacle:
            raise StudyError(f"{self.root}: {obstacle}, expected a folder that can be written to")
        target = self._storage.link_target()
        if target and not self.exists():
            raise StudyError(
                f"{self.root}: got a symbolic link to {target}, expected a new name or the "
                "folder of a study: a new study is written nowhere but below its own name"
            )

    def require(self) -> None:
        """Raise StudyError unless it holds a study, naming one nearby that is spelt alike."""
        if self.exists():
            return
        near = closest(self.name, self._siblings()) if self.is_local else None
        suggestion = f". Did you mean {near!r}?" if near else ""
        raise StudyError(f"{self.root}: no study here (no {STUDY_FILE}){suggestion}")

    def _siblings(self) -> list[str]:
        from pathlib import Path

        parent = Path(self.path()).parent
        with suppress(OSError):
            return [found.parent.name for found in parent.glob(f"*/{STUDY_FILE}")]
        return []

    def append(self, event: Mapping[str, Any]) -> None:
        """Add one event to the log; it is on disk when this returns.

        Args:
            event: ``event`` names its kind; ``time`` (unix seconds) is now unless given. Numbers
                may be numpy's or torch's; those that are not finite are kept as text.
        """
        whole = {"event": str(event["event"]), "time": time.time(), **event}
        line = json.dumps(_plain(whole), allow_nan=False, ensure_ascii=False)
        # A name that is no UTF-8 holds halves of signs: JSON has an escape for each.
        content = line.encode("utf-8", "backslashreplace")
        self._storage.append(EVENTS_FILE, seal_line(content))

    def events(self) -> list[Event]:
        """Return the log, oldest first, of whatever kind the events are.

        A last line torn by a kill is passed over; in the place of any other line whose checksum
        is wrong stands a ``warning`` event that names it.
        """
        if not self._storage.exists(EVENTS_FILE):
            return []
        log = whole_lines(self._storage.read(EVENTS_FILE))
        events: list[Event] = []
        for number, line in enumerate(log.split(b"\n"), start=1):
            if line.strip():
                before = events[-1]["time"] if events else 0.0
                events.append(_parsed(line) or _damage(number, before))
        return events

    def state(self) -> StudyState:
        """Return what the log adds up to."""
        return fold(self.events())

    def read_text(self, name: str) -> str:
        """Return a file's text; StudyError when there is none, or it is no text in UTF-8."""
        content = self._storage.read(name)
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise StudyError(f"{self.path(name)}: got no text in UTF-8 ({error.reason})") from None

    def write_text(self, name: str, text: str) -> None:
        """Write a file as a whole: a reader, or a kill, never sees a part of it."""
        self._storage.write(name, text.encode())

    def write_tables(self) -> None:
        """Write ``trials.csv`` and ``epochs.csv`` anew from the log."""
        state = self.state()
        self.write_text(TRIALS_FILE, trials_csv(state))
        self.write_text(EPOCHS_FILE, epochs_csv(state))

    def disk_bytes(self) -> int:
        """Return the size of all its files together."""
        return self._storage.size()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other searches out; ends with the process, however that dies.

        An object store has no lock: there two searches must be kept apart by their names.

        Raises:
            StudyError: Another search holds it.
        """
        if not self.is_local:
            yield
            return
        from filelock import FileLock, Timeout

        self._storage.make()
        lock = FileLock(self.path(LOCK_FILE))
        try:
            lock.acquire(timeout=_LOCK_PATIENCE_S)
        except Timeout as error:
            raise StudyError(f"study {self.root} is in use by another search") from error
        try:
            yield
        finally:
            lock.release()

    def in_use(self) -> bool | None:
        """Tell whether a search holds the lock; None where that cannot be known."""
        if not self.is_local:
            return None
        if not self._storage.exists(LOCK_FILE):
            return False
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.path(LOCK_FILE)).acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return None


def _parsed(line: bytes) -> Event | None:
    """Return a line's event, or None when it is damaged."""
    try:
        event = json.loads(unseal_line(line) or b"")
    except (ValueError, RecursionError):
        return None
    sound = isinstance(event, dict) and isinstance(event.get("event"), str)
    moment = event.get("time") if sound else None
    # A moment that is no number, or beyond every calendar, comes of no clock.
    return event if isinstance(moment, int | float) and abs(moment) < 1e15 else None


def _damage(number: int, moment: float) -> Event:
    text = f"{EVENTS_FILE} line {number} is damaged and was skipped"
    return {"event": "warning", "time": moment, "text": text}


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; TypeError names what it cannot."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if hasattr(value, "item"):
        # A number of numpy's or torch's, neither of which this module may import.
        return _plain(value.item())
    return value
