"""The study directory: all that a search writes and a report reads, in plain files.

``study.yaml`` is the resolved study. ``events.jsonl`` is the log, from which all else follows, and
``events.copy.jsonl`` its copy. ``trials.csv`` and ``epochs.csv`` are for users and pandas.
``best/<backbone>.yaml`` are the winners. ``stages/`` holds what trials share, with a picture of
what each warmed generator draws. ``arms/<arm>/`` is a study directory, that of the search of an
arm. There are also ``tensorboard/<trial>/``, ``ray/`` with the checkpoints of trials,
``checkpoints/<run>/`` with those of a confirmation, and ``lock``.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from distill_tune.errors import InputError, Parameter, StudyError, closest
from distill_tune.records.event_log import EventLog
from distill_tune.records.files.storage import storage_at
from distill_tune.records.replay import fold
from distill_tune.records.tables import epochs_csv, trials_csv
from distill_tune.records.trials import CONTINUED, Event, StudyState

STUDY_FILE = "study.yaml"
TRIALS_FILE = "trials.csv"
EPOCHS_FILE = "epochs.csv"
PAGE_FILE = "report.html"
JOURNAL_FILE = "optuna.journal"
LOCK_FILE = "lock"
STAGES_FOLDER = "stages"
ARMS_FOLDER = "arms"
FIGURES_FOLDER = "confirm/figures"

# Checking whether a study is in use takes its lock for an instant; a search waits for that.
_LOCK_PATIENCE_S = 1.0


def stage_picture(stage: str, key: str) -> str:
    """Return the path, within a study, of the picture of a shared stage's generator.

    Args:
        stage: Name or kind of the stage, such as ``warmup`` or ``warmup lr=0.001``.
        key: Key of its product.
    """
    kind = stage.partition(" ")[0].partition("/")[0]
    return f"{STAGES_FOLDER}/{kind}-{key}.png"


def file_part(backbone: str) -> str:
    """Return a backbone's name as a part of file names: ``timm-resnet10t`` of timm's resnet10t."""
    return backbone.replace("/", "-")


class StudyDirectory:
    """One study on disk or in an object store.

    Args:
        root: A path, or a URI such as ``s3://bucket/runs/resnet``.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or root
        self._storage = storage_at(self.root)
        self._log = EventLog(self._storage)

    @property
    def name(self) -> str:
        """The last part of the path, such as ``resnet``."""
        return self._storage.path("").partition("?")[0].replace("\\", "/").rpartition("/")[2]

    @property
    def is_local(self) -> bool:
        """Whether the study lies on this machine; otherwise it is behind a URI and has no lock."""
        return self._storage.is_local

    def path(self, name: str = "") -> str:
        """Return the absolute path, or the URI, of an entry; of the directory itself for ``""``."""
        return self._storage.path(name)

    def exists(self) -> bool:
        """Return whether the directory holds a study that has begun.

        A search that was killed or found no room before its first session was recorded leaves a log
        that is empty, or holds trials of other studies alone. That is no study yet.
        """
        if self._storage.exists(STUDY_FILE):
            return True
        if not self._log.exists():
            return False
        kinds = {event["event"] for event in self._log.events()}
        return bool(kinds - {CONTINUED} or self.results())

    def results(self) -> list[str]:
        """Return the names of files and folders that only a study with trials has."""
        return [name for name in ("ray", "tensorboard", TRIALS_FILE) if self.has(name)]

    def has(self, name: str) -> bool:
        """Return whether the directory holds a file of that name."""
        return self._storage.exists(name)

    def create(self) -> None:
        """Create the folder of a new study, which exists once its first session is recorded.

        The log of a search that never got so far is emptied.

        Raises:
            StudyError: A study already exists; the message says how to resume it.
        """
        if self.exists():
            raise StudyError(
                f"{self.root}: a study already exists here; resume it with "
                f"`distill-tune resume {shlex.quote(self.root)}`, or give the new one another name"
            )
        self._storage.make()
        self._log.clear()

    def refuse_unusable(self) -> None:
        """Raise StudyError if no study can be written here, or only through a symbolic link."""
        obstacle = self._storage.obstacle()
        if obstacle:
            raise StudyError(f"{self.root}: {obstacle}, expected a folder that can be written to")
        target = self._storage.link_target()
        if target and not self.exists():
            raise StudyError(
                f"{self.root}: got a symbolic link to {target}, expected a new name or the "
                "folder of a study: a new study is written only below its own name"
            )

    def require(self) -> None:
        """Raise StudyError if there is no study here; suggest a neighbour with a similar name."""
        if self.exists():
            return
        near = closest(self.name, self.siblings()) if self.is_local else None
        suggestion = f". Did you mean {near!r}?" if near else ""
        raise StudyError(f"{self.root}: no study here (no {STUDY_FILE}){suggestion}")

    def require_as(self, where: Parameter) -> None:
        """Raise InputError, with the nearest name, if a parameter names no study."""
        if self.exists():
            return
        folder = self.root[: len(self.root) - len(self.name)]
        near = [f"{folder}{name}" for name in self.siblings()] if self.is_local else []
        expected = "the directory of a study"
        raise InputError(where, got=self.root, expected=expected, choices=near)

    def siblings(self) -> list[str]:
        """Return the names of the studies next to this one, on this machine."""
        from pathlib import Path

        parent = Path(self.path()).parent
        with suppress(OSError):
            return [found.parent.name for found in parent.glob(f"*/{STUDY_FILE}")]
        return []

    def append(self, event: Mapping[str, Any]) -> None:
        """Append one event; see :meth:`distill_tune.records.event_log.EventLog.append`."""
        self._log.append(event)

    def events(self) -> list[Event]:
        """Return the log, oldest first; see :class:`~distill_tune.records.event_log.EventLog`."""
        return self._log.events()

    def repair_log(self) -> str:
        """See :meth:`distill_tune.records.event_log.EventLog.repair`."""
        return self._log.repair()

    def has_log(self) -> bool:
        """Return whether there is a log, or a copy of it."""
        return self._log.exists()

    def state(self) -> StudyState:
        """Return the state folded from the log."""
        return fold(self.events())

    def read_text(self, name: str) -> str:
        """Return a file's text; raise StudyError if it is missing or not UTF-8."""
        content = self._storage.read(name)
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise StudyError(f"{self.path(name)}: got non-UTF-8 text ({error.reason})") from None

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file atomically, as :meth:`write_text` does."""
        self._storage.write(name, content)

    def write_text(self, name: str, text: str) -> None:
        """Write a file atomically: neither a reader nor a kill ever leaves a part of it visible."""
        self._storage.write(name, text.encode())

    def write_tables(self, state: StudyState | None = None) -> None:
        """Rewrite ``trials.csv`` and ``epochs.csv``.

        Args:
            state: State folded from the log, if it is known; None: the log is read.
        """
        state = self.state() if state is None else state
        self.write_text(TRIALS_FILE, trials_csv(state))
        self.write_text(EPOCHS_FILE, epochs_csv(state))

    def disk_bytes(self) -> int:
        """Return the total size of all its files in bytes."""
        return self._storage.size()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other searches out; the lock ends with the process, however it ends.

        An object store has no lock: two searches there must have different names.

        Raises:
            StudyError: Another search holds the lock, or this user or the disk has no locks there.
        """
        if not self.is_local:
            yield
            return
        from distill_tune.records.files.locks import held

        self._storage.make()
        busy = f"study {self.root} is in use by another search"
        with held(self.path(LOCK_FILE), busy, patience_s=_LOCK_PATIENCE_S):
            yield

    def in_use(self) -> bool | None:
        """Return whether a search holds the lock; None if this cannot be known."""
        if not self.is_local:
            return None
        if not self._storage.exists(LOCK_FILE):
            return False
        from distill_tune.records.files.locks import UNAVAILABLE, FileLock, Timeout

        try:
            with FileLock(self.path(LOCK_FILE)).acquire(timeout=0):
                return False
        except Timeout:
            return True
        except UNAVAILABLE:
            return None
