"""Memory of what was sent of a study: one small file per destination."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distill_tune.errors import InputError, Parameter, StudyError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.files.storage import storage_at
from distill_tune.report.following.destination import FollowedRun, Notice, StudyIdentity

FOLDER = "follow"


class Memory:
    """Memory of what was sent of one study to one destination.

    It is written after each run and each message has been sent. If the process is killed in
    between, the destination itself must recognise what it has.

    Args:
        directory: The study.
        study: Its identity; the memory of another study in the same place is not used.
        address: The destination.
        folder: Folder or URI for the file; None: ``follow/`` in the study.

    Raises:
        InputError: The folder has no name.
    """

    def __init__(
        self, directory: StudyDirectory, study: StudyIdentity, address: str, folder: str | None
    ) -> None:
        if folder == "":
            raise InputError(Parameter("memory"), got=folder, expected="a folder or a URI")
        self._storage = storage_at(directory.path(FOLDER) if folder is None else folder)
        digest = hashlib.blake2b(address.encode(), digest_size=4).hexdigest()
        self._name = f"{study.name}-{study.key}-{address.partition('=')[0]}-{digest}.json"
        self._runs: dict[str, tuple[int, str]] = {}
        self._notices: set[str] = set()

    @contextmanager
    def opened(self) -> Iterator["Memory"]:
        """Read the file, check that it can be written, and keep other processes out.

        Raises:
            StudyError: It cannot be written, or another process follows the study to this place.
        """
        if self._storage.is_local:
            from distill_tune.records.files.locks import held

            self._storage.make()
            path = self._storage.path(f"{Path(self._name).stem}.lock")
            with held(path, f"{path}: another process sends this study to the same place"):
                self._read()
                yield self
            return
        self._read()
        yield self

    def _read(self) -> None:
        if self._storage.exists(self._name):
            try:
                found = json.loads(self._storage.read(self._name))
                self._runs = {
                    str(name): (int(step), str(end)) for name, (step, end) in found["runs"].items()
                }
                self._notices = set(map(str, found["notices"]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StudyError(
                    f"{self._storage.path(self._name)}: got damaged content ({error!r}), expected "
                    "what was sent; delete it to send everything again"
                ) from None
        self._write()

    def _write(self) -> None:
        content = {"runs": self._runs, "notices": sorted(self._notices)}
        self._storage.write(self._name, json.dumps(content).encode())

    def rest_of(self, run: FollowedRun) -> FollowedRun | None:
        """Return a run with the rows that were not sent; None if there is nothing to send."""
        step, end = self._runs.get(run.name, (-1, ""))
        if step == 0 and end == "failed":
            # An earlier version sent such a run as an empty row, which stands for nothing.
            step = -1
        rows = tuple(row for row in run.rows if row.step > step)
        is_ended = run.end is None or run.end.status == end
        if run.name in self._runs and not rows and is_ended:
            return None
        return run._replace(rows=rows)

    def has(self, notice: Notice) -> bool:
        """Return whether a message was sent."""
        return notice.id in self._notices

    def add_run(self, run: FollowedRun) -> None:
        """Remember that the rows of a run, and its end, were sent."""
        step, _ = self._runs.get(run.name, (-1, ""))
        last = max([step, *(row.step for row in run.rows)])
        self._runs[run.name] = (last, run.end.status if run.end is not None else "")
        self._write()

    def add_notice(self, notice: Notice) -> None:
        """Remember that a message was sent, or need not be sent any more."""
        self._notices.add(notice.id)
        self._write()
