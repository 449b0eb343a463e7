"""Every private name of Ray that this package uses; ``test_ray_contract`` holds each of them.

``pyproject.toml`` therefore admits one minor version of Ray.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

RAYLET, GCS = "raylet", "gcs_server"
"""Ray's names for the daemons of a node that it starts itself."""
LEFT_OUT = ("start_monitor", "start_log_monitor", "start_api_server")
"""Methods of Ray's node that start what a node of our own does without: the monitor of the
autoscaler, as the node stays alone; that of logs, as none are printed; and the dashboard's server,
for which ``ray.init`` waits even if it is to start without a dashboard."""
_PATIENCE_S, _POLL_S = 10.0, 0.02


def own_node() -> Any:
    """Return the node to which this process is connected; None without one.

    It knows its processes, the addresses of GCS and raylet, and the folder of its logs.
    """
    import ray

    return ray._private.worker._global_node  # noqa: SLF001 - no public name


def own_daemons() -> dict[str, Any]:
    """Return the daemons that this process started, by name; empty if it started no Ray."""
    node = own_node()
    started = {} if node is None else node.all_processes
    if RAYLET not in started or GCS not in started:
        return {}
    return {name: started[name][0].process for name in (RAYLET, GCS)}


@contextmanager
def few_processes() -> Iterator[None]:
    """Let Ray, if it starts a node meanwhile, start no more processes than the work needs.

    Ray also looks for its new node only once a second; here, it begins to look when the node is
    there. Together, Ray starts in 1.4 s instead of 2.4 or 3.5 s (two cores of an Intel Xeon), and
    takes 150 MB less.
    """
    from ray._private.node import Node

    waiting = partialmethod(_start_and_wait, Node.start_ray_processes)
    ours = {**dict.fromkeys(LEFT_OUT, _leave_out), "start_ray_processes": waiting}
    before = {name: getattr(Node, name) for name in ours}
    for name, method in ours.items():
        setattr(Node, name, method)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Node, name, method)


def _leave_out(_node: Any, **_options: Any) -> None:
    """Start nothing."""


def _start_and_wait(node: Any, start: Callable[[Any], None]) -> None:
    """Start the processes of a node and wait until it is known, or its raylet has ended."""
    start(node)
    raylet, until = node.all_processes[RAYLET][0].process, time.monotonic() + _PATIENCE_S
    while raylet.poll() is None and time.monotonic() < until:
        if node.get_gcs_client().get_all_node_info():
            return
        time.sleep(_POLL_S)


def actor_id(trial: Any) -> str:
    """Return Ray's id of the actor that a trial of Ray Tune runs in now; empty without one."""
    actor = trial.temporary_state.ray_actor
    return "" if actor is None else str(actor._actor_id.hex())  # noqa: SLF001 - no public name


def leave() -> None:
    """Leave Ray and, if it was started here, end its processes at once.

    By itself, Ray asks each of its processes to end by SIGTERM, and waits for it. Those that were
    started here are deaf to this signal (see :func:`~.ray_session.start_or_join`).
    """
    import ray

    if raylet := own_daemons().get(RAYLET):
        node = own_node()
        # Not of the node: it may be this function's own, of an earlier call.
        kill = partial(type(node).kill_all_processes, node)

        def kill_at_once(**_options: bool) -> None:
            # Its agents would notice only after a while that it is gone.
            children = _children(raylet.pid)
            kill(check_alive=False, allow_graceful=False)
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

        node.kill_all_processes = kill_at_once
    ray.shutdown()


def _children(number: int) -> list[int]:
    """Return the processes that a process has started; none where there is no ``/proc``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == number:
                found.append(int(folder.name))
    return found
