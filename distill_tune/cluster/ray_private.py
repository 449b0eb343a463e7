"""Every private name of Ray that this package uses; ``test_ray_contract`` holds each of them.

``pyproject.toml`` therefore admits one minor version of Ray.
"""

import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

_RAYLET = "raylet"


def own_node() -> Any:
    """Return the node to which this process is connected; None without one.

    It knows its processes, the addresses of GCS and raylet, and the folder of its logs.
    """
    import ray

    return ray._private.worker._global_node  # noqa: SLF001 - no public name


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

    node = own_node()
    if node is not None and _RAYLET in node.all_processes:
        # Not of the node: it may be this function's own, of an earlier call.
        kill = partial(type(node).kill_all_processes, node)

        def kill_at_once(**_options: bool) -> None:
            raylets = {info.process.pid for info in node.all_processes[_RAYLET]}
            # Its agents would notice only after a while that it is gone.
            children = _children(raylets)
            kill(check_alive=False, allow_graceful=False)
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

        node.kill_all_processes = kill_at_once
    ray.shutdown()


def _children(parents: set[int]) -> list[int]:
    """Return the processes that these processes have started; none where there is no ``/proc``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents:
                found.append(int(folder.name))
    return found
