"""Whether every node of a cluster sees the folder in which a study lies, asked beforehand."""

import secrets
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distill_tune.errors import InputError, Text
from distill_tune.records import StudyDirectory
from distill_tune.search.cluster import alive_nodes

_PATIENCE_S = 60.0


def require_shared(directory: StudyDirectory) -> None:
    """Look from every other node of the cluster whether it sees what is written here.

    A trial on a node that does not would lose its checkpoints, and end with an error of Ray's.
    What lies in an object store is seen by all.

    Raises:
        InputError: A node does not see the folder, may not write to it, or does not answer.
    """
    others = _other_nodes()
    if not others or not directory.is_local:
        return
    # Beside the study, which is not there yet if it is a new one.
    folder = Path(directory.path()).parent
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-by-all-{secrets.token_hex(8)}"
    mark.touch()
    try:
        blind = _blind(others, mark)
    finally:
        mark.unlink()
    if blind:
        told = "; ".join(f"{address}: {why}" for address, why in blind.items())
        expected = f"a folder that every node of the cluster sees, or a URI such as s3:// ({told})"
        raise InputError("--storage", got=Text(repr(str(folder))), expected=expected)


def _other_nodes() -> dict[str, str]:
    """Return the nodes that are not this process's own: their ids and their addresses."""
    own = ray.get_runtime_context().get_node_id()
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in alive_nodes()
        if node["NodeID"] != own
    }


def _blind(nodes: dict[str, str], mark: Path) -> dict[str, str]:
    """Return the address of each node that cannot use the folder of a mark, and why it cannot."""
    look = ray.remote(num_cpus=0, max_retries=0)(_obstacle)
    calls = {
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            str(mark)
        ): address
        for node, address in nodes.items()
    }
    ready, late = ray.wait(list(calls), num_returns=len(calls), timeout=_PATIENCE_S)
    blind = {calls[call]: f"no answer within {_PATIENCE_S:.0f} s" for call in late}
    for call in ready:
        try:
            why = ray.get(call)
        except ray.exceptions.RayError as error:
            why = (str(getattr(error, "cause", None) or error).strip().splitlines() or ["?"])[-1]
        if why:
            blind[calls[call]] = why
    return blind


def _obstacle(mark: str) -> str:
    """Return what keeps this node from using the folder of a mark; empty: nothing."""
    own = Path(mark).with_name(f"{Path(mark).name}-{secrets.token_hex(8)}")
    try:
        if not Path(mark).exists():
            return "does not see it"
        own.touch()
        own.unlink()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
