"""Start of Ray, or connection to a cluster, with workers that import what the command imports.

Ray puts the working folder of its driver and the folder of the driver's script first on the path of
its workers, so an ``optuna.py`` in one of them would be imported. Here, workers get the path of the
Python that runs them and nothing else.
"""

import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from distill_tune.cluster.failures.slow_start import start_watched
from distill_tune.cluster.ray_private import few_processes, own_daemons
from distill_tune.cluster.user_environment import short_temporary_folder
from distill_tune.errors import InputError, Parameter, RayError
from distill_tune.plugins import variables

_PATIENCE_S = 5.0
_KILLED_AFTER_S = 0.2
"""Age at which an actor is killed whose process is wanted: Ray has begun to start that process, and
it is not ready. At a wrong moment, no process is kept, and work only starts later."""
_IMPORTED = ("distill_tune.training.runner", "torchvision.models")
"""Modules that stages and trials need. Ray Tune, which only trials need, is not among them."""
_MOST_CORES = 16
"""Number of cores up to which every worker imports them: Ray starts a worker per core, and each
takes hundreds of MB then."""
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
_PACKAGE = Path(__file__).parents[1]
_IN_USE = (
    "Ray is already running in this process (ray.init() was called before): call ray.shutdown() "
    "first, so that Ray can be started, or joined, as needed here"
)
_SLOW = "timed out during startup"
"""Text in Ray's error if one of its processes does not answer in time."""
_BUSY = "The machine may be very busy: try again once it is less so"


class _Folders(list[str]):
    """Folders on the workers' path, to which Ray cannot add its driver's."""

    def __bool__(self) -> bool:
        # Ray would replace an empty list by its own.
        return True

    def extend(self, more: Iterable[str]) -> None:
        """Ignore what Ray would add."""


def start_or_join(address: str | None, *, is_importing: bool = False) -> None:
    """Start Ray on this machine, or join a cluster.

    Args:
        address: As for :func:`distill_tune.cluster.resources.cluster`.
        is_importing: The same.

    Raises:
        InputError: There is no cluster at that address, or no folder for Ray's files.
        RayError: Ray is already in use in this process, or does not start.
    """
    import ray

    if ray.is_initialized():
        raise RayError(_IN_USE)
    try:
        if address is None:
            variables = _of_start(is_importing=is_importing)
            with _variables(variables), _deaf_to_termination(), start_watched(), few_processes():
                _start()
        else:
            _init(address, {"runtime_env": _with_this_package(), "job_config": _job([])})
    except InputError:
        raise
    except Exception as error:
        # For a node that is too slow to start, Ray raises a plain Exception.
        reason = _reason(error)
        if address is None:
            advice = f". {_BUSY}" if _SLOW in reason else ""
            raise RayError(f"Ray does not start on this machine: {reason}{advice}") from error
        expected = f"a running Ray cluster ({reason})"
        raise InputError(Parameter("address"), got=address, expected=expected) from error


class _Nothing:
    """Actor without methods."""


class WorkersAhead:
    """Start of worker processes for actors, before there is work for them.

    A worker needs seconds to start and to import torch, and Ray runs no actor in the process of a
    task. But it keeps a process that it started for an actor that was killed meanwhile, and gives
    it to the next one. On a cluster that was joined, nothing is started: its own settings say how
    long it keeps an idle process.

    Args:
        count: How many processes.
        environment: Runtime environment of the actors.
    """

    def __init__(self, count: int, environment: Mapping[str, Any]) -> None:
        self._left, self._environment = count, dict(environment)
        self._actors: list[Any] = []
        self._due = 0.0

    def start(self) -> None:
        """Start the processes at the first call; at a later one, kill actors that are due.

        All at once: an actor that is made later would get, and end, the process of an earlier one.
        """
        import ray

        if self._left > 0 and own_daemons():
            actor = ray.remote(num_cpus=0, runtime_env=self._environment)(_Nothing)
            self._actors = [actor.remote() for _ in range(self._left)]
            self._due = time.monotonic() + _KILLED_AFTER_S
        self._left = 0
        if time.monotonic() >= self._due:
            self.close()

    def close(self) -> None:
        """Kill the actors that are left; their processes stay."""
        import ray

        for actor in self._actors:
            ray.kill(actor)
        self._actors = []


def require_listener(address: str) -> None:
    """Check that something listens at an address: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(Parameter("address"), got=address, expected="auto or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, UnicodeError) as error:  # A host such as a..b cannot even be encoded.
        reason = getattr(error, "strerror", None) or str(error)
        expected = f"the address of a running Ray cluster ({reason})"
        raise InputError(Parameter("address"), got=address, expected=expected) from error


def _of_start(*, is_importing: bool) -> dict[str, str]:
    """Return environment variables for the processes that Ray starts here."""
    # These processes do not import modules from their working folder or their script's folder.
    variables = {"PYTHONSAFEPATH": "1"}
    if is_importing and (os.cpu_count() or 1) <= _MOST_CORES:
        variables["RAY_preload_python_modules"] = ",".join(_IMPORTED)
    temporary = short_temporary_folder()
    return variables | ({"RAY_TMPDIR": temporary} if temporary else {})


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while; processes started meanwhile keep them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _deaf_to_termination() -> Iterator[None]:
    """Let processes that are started meanwhile ignore SIGTERM, as Ray lets them ignore Ctrl-C.

    ``timeout``, Slurm and systemd send it to every process of a job, at the same moment. It would
    end Ray while this process still waits for the trials to finish their epoch: its GCS and its
    raylet wait for each other then, and every call to the GCS blocks.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _job(folders: Iterable[str]) -> Any:
    """Return a job whose workers have these folders before the path of their Python."""
    from ray.job_config import JobConfig

    return JobConfig(_py_driver_sys_path=_Folders(folders))


def _folders() -> list[str]:
    """Return the folder of this package if only this process has it on its path.

    That is so when a copy that is not installed is run from its own folder.
    """
    library = str(Path(os.__file__).parent)
    first = {_absolute(entry) for entry in takewhile(lambda e: e != library, sys.path)}
    given = os.environ.get("PYTHONPATH")
    inherited = {_absolute(entry) for entry in given.split(os.pathsep)} if given else set()
    parent = str(_PACKAGE.parent)
    return [parent] if parent in first - inherited else []


def _absolute(entry: str) -> str:
    try:
        return str(Path(entry).absolute())
    except OSError:
        # The current folder has been deleted.
        return entry


def _with_this_package() -> dict[str, Any]:
    """Return a runtime environment with this package, followed by the modules of a Ray job."""
    of_job = json.loads(os.environ.get(_JOB, "{}")).get("runtime_env", {})
    if "py_modules" in of_job:
        # Ray refuses to add to them otherwise.
        os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")
    of_plugins = {"env_vars": dict(found)} if (found := variables()) else {}
    return {"py_modules": [str(_PACKAGE), *of_job.get("py_modules", [])], **of_plugins}


def _start() -> None:
    """Start Ray here; once more if the machine was too busy for it to start in time."""
    options = {"include_dashboard": False, "job_config": _job(_folders())}
    try:
        _init("local", options)
    except Exception as error:
        if _SLOW not in str(error):
            raise
        import ray

        ray.shutdown()
        _init("local", options)


def _init(address: str, options: dict[str, Any]) -> None:
    import ray

    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)


def _reason(error: BaseException) -> str:
    """Return in a line why Ray could not be started or joined.

    A missing token shows only in the error's causes.
    """
    behind: BaseException | None = error
    while behind is not None:
        if "AuthToken" in str(behind):
            return (
                "it wants its token: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token"
            )
        behind = behind.__cause__ or behind.__context__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # An error from the other side comes with its traceback.
    return lines[-1 if lines[0].endswith(":") else 0]
