"""A command that runs in a cluster which only Ray's client reaches, with what it says shown here.

Ray's client would run all of Tune in the cluster and leave the study's records here. So it is the
whole command that goes there: as a process on the head, beside which an actor of Ray's stands. It
runs this very package, which went along as that actor's environment.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import ray

from distill_tune.cluster.ray_errors import in_a_line
from distill_tune.errors import RayError
from distill_tune.search.cluster import cluster
from distill_tune.search.run import terminate_as_interrupt

_LOOK_EVERY_S = 0.1
# A trace of what only the head has, as Ray's own jobs take it.
_ON_THE_HEAD = {"node:__internal_head__": 0.001}


class Command(NamedTuple):
    """What is to be run.

    Attributes:
        arguments: Of ``distill-tune``, without an address.
        files: Name to content of what lies in its working directory.
        environment: Variables beside those of the node.
    """

    arguments: Sequence[str]
    files: dict[str, str]
    environment: dict[str, str]


class Said(NamedTuple):
    """What a command has said since the last time, and how it ended if it is over.

    Attributes:
        stdout: As it wrote it.
        stderr: As it wrote it.
        status: None while it runs; negative for a signal.
    """

    stdout: bytes
    stderr: bytes
    status: int | None


class _Host:
    """An actor beside a command's process; with it the process ends."""

    def __init__(self, command: Command) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="distill-tune-")
        top = Path(self._scratch.name)
        folder = top / "work"
        folder.mkdir()
        for name, content in command.files.items():
            (folder / name).write_text(content, encoding="utf-8")
        self._shown = {top / "stdout": 0, top / "stderr": 0}
        address = ray.get_runtime_context().gcs_address
        # Without the folder that it runs in among those where Python looks for modules.
        program = [sys.executable, "-P", "-m", "distill_tune.cli"]
        # Ray's workers have it blocked, and what they start inherits that.
        blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        with (top / "stdout").open("wb") as stdout, (top / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [*program, *command.arguments, "--address", address],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=os.environ | command.environment,
                start_new_session=True,
            )
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def listen(self) -> Said:
        """Return what is new."""
        # Asked before reading: of what is over, everything has been read then.
        status = self._process.poll()
        stdout, stderr = (self._news(path) for path in self._shown)
        return Said(stdout, stderr, status)

    def _news(self, path: Path) -> bytes:
        with path.open("rb") as file:
            file.seek(self._shown[path])
            news = file.read()
        self._shown[path] += len(news)
        return news

    def interrupt(self) -> None:
        """End it as Ctrl-C does."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)


def run_in_cluster(address: str, command: Command, show: Callable[[Said], None]) -> int:
    """Run a command on the head of a cluster to its end, and show what it says.

    Ctrl-C or SIGTERM here is Ctrl-C there: the command ends as it does on one machine.

    Args:
        address: ``ray://HOST:PORT``, the port that of Ray's client, 10001 unless told otherwise.
        command: What to run.
        show: Takes what is new.

    Returns:
        Its exit status.

    Raises:
        InputError: No cluster is there.
        RayError: The connection was lost; what the study has on record stays.
    """
    with cluster(address), terminate_as_interrupt():
        options: dict[str, Any] = {"num_cpus": 0, "resources": _ON_THE_HEAD}
        try:
            actor: Any = ray.remote(**options)(_Host)
            return _shown_to_the_end(actor.remote(command), show)
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise RayError(
                f"{address}: the command there is lost ({in_a_line(error)}); what is on record "
                f"stays, go on with distill-tune resume STUDY_DIR --address {address}"
            ) from error


def _shown_to_the_end(host: Any, show: Callable[[Said], None]) -> int:
    while True:
        try:
            said: Said = ray.get(host.listen.remote())
            show(said)
            if said.status is not None:
                return said.status
            time.sleep(_LOOK_EVERY_S)
        except KeyboardInterrupt:
            host.interrupt.remote()
