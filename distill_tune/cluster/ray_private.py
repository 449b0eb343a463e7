"""Every private name of Ray that this package uses; ``test_ray_contract`` holds each of them.

``pyproject.toml`` therefore admits one minor version of Ray.
"""

import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

RAYLET, GCS = "raylet", "gcs_server"
"""Ray's names for the daemons of a node that it starts itself."""


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
