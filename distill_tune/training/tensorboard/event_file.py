"""File of TensorBoard events, named so that TensorBoard reads it after the earlier ones."""

import os
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

_BEGUN = re.compile(r"tfevents\.(\d+)\.")


class TensorBoardFile:
    """New file of events in a run's folder; every write leaves this process at once.

    TensorBoard reads a run's files in the order of their names, which begin with the second of
    their creation. Where steps go back, its fast loader drops those it has read. torch's own writer
    ends the name in a counter, so of two files of one second the tenth sorts before the ninth. A
    run that resumes on a machine whose clock is behind would sort before its own start. Here, a
    name's second is always later than that of every file beside it.

    Args:
        folder: The run's folder; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        begun = [int(found[1]) for path in folder.iterdir() if (found := _BEGUN.search(path.name))]
        second = max([int(time.time()), *(earlier + 1 for earlier in begun)])
        name = f"events.out.tfevents.{second:010d}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))

    def add(self, summary: "Summary", step: int) -> None:
        """Write a summary at a step, with the current time."""
        self._write(Event(summary=summary, step=step))

    def close(self) -> None:
        """Finish the file; a second call has no effect."""
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()
