"""Every private name of Ray that this package uses; ``test_ray_contract`` holds each of them.

``pyproject.toml`` therefore admits one minor version of Ray.
"""

from typing import Any


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
