"""Ray itself: started quietly or joined, and asked beforehand whether a trial can ever run."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distill_tune.cluster.environment import prepare
from distill_tune.cluster.failures.daemon_watch import daemons_of_ray, watched
from distill_tune.cluster.failures.ray_errors import in_a_line
from distill_tune.cluster.ray_session import require_listener, start_or_join
from distill_tune.errors import DistillTuneError, InputError, RayError, Text
from distill_tune.records.gpu_sharing import RESOLUTION, share
from distill_tune.study.sections import Resources

# A node has one of "accelerator_type:H100" whatever it has of GPUs; who wants the type takes a
# trace of it, as Ray's own option of tasks does.
_ACCELERATOR, _TRACE = "accelerator_type:", 0.001
_NOISY = ("ray", "ray.tune", "ray.train", "ray.air", "ray.data")


@dataclass(frozen=True)
class Slots:
    """What a trial takes and how many fit at a time.

    Attributes:
        bundle: Per trial, as Ray names resources: ``CPU``, ``GPU`` where it takes any, and a trace
            of the type of accelerator, if one is asked for.
        count: Trials at a time, at least 1.
        nodes: Ray's ids of the nodes that were there; one that joins later has to be asked first
            whether it can run a trial (see ``node_guard``).
    """

    bundle: dict[str, float]
    count: int
    nodes: frozenset[str] = field(default=frozenset(), compare=False)


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Start Ray on this machine, or join a cluster, and leave it again.

    What the processes of a cluster run is the very package that joins it, which goes along: its
    nodes need what that imports, and whatever version of it they have installed stays unused.

    Args:
        address: ``auto`` or ``HOST:PORT`` of a cluster; None = this machine.

    Raises:
        InputError: There is no cluster at that address.
        RayError: Ray does not start, runs in this process already, or fails later on.
    """
    prepare(address)
    if not os.access(Path.home(), os.W_OK):
        # Ray keeps its token there, and fails without.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    if address is not None:
        require_listener(address)
    import ray

    start_or_join(address)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with watched(daemons_of_ray()):
            yield
    except ray.exceptions.RayError as error:
        if isinstance(error, DistillTuneError):
            # An error of ours that a task raised is both.
            raise
        raise RayError(f"Ray failed: {in_a_line(error)}") from error
    finally:
        ray.shutdown()


def slots(resources: Resources) -> Slots:
    """Return what a trial takes here and how many fit at a time.

    Raises:
        InputError: No node can ever hold a single trial (Ray would wait for one without end).
    """
    alive = alive_nodes()
    nodes = [node["Resources"] for node in alive]
    has_gpus = any(node.get("GPU", 0) > 0 for node in nodes)
    gpus = float(has_gpus) if isinstance(resources.gpus, str) else resources.gpus
    bundle = {"CPU": resources.cpus, **({"GPU": gpus} if gpus else {})}
    if resources.accelerator is not None:
        bundle[f"{_ACCELERATOR}{resources.accelerator}"] = _TRACE
    count = fitting(bundle, nodes, resources.max_concurrent)
    if count == 0:
        expected = "at most what one node has: " + "; ".join(
            _of_node(node, bundle) for node in nodes
        )
        raise InputError("resources", got=Text(f"{in_words(bundle)} per trial"), expected=expected)
    return Slots(bundle, count, frozenset(node["NodeID"] for node in alive))


def alive_nodes() -> list[dict[str, Any]]:
    """Return the nodes that are there, each as Ray describes it."""
    import ray

    every = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in every if node["Alive"]]


def free_resources() -> dict[str, float]:
    """Return what is free now on all nodes together, as Ray names resources."""
    import ray

    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return free


def own_address() -> str:
    """Return the address of the node that this process runs on."""
    import ray

    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address


def fitting(
    bundle: Mapping[str, float], nodes: Iterable[Mapping[str, float]], most: int | None
) -> int:
    """Return how many trials run at a time.

    Args:
        bundle: What each takes.
        nodes: What each node has.
        most: How many the user wants at most; None = no limit.
    """
    count = sum(_fitting(node, bundle) for node in nodes)
    return min(count, most or count)


def task_options(bundle: Mapping[str, float]) -> dict[str, Any]:
    """Return what ``ray.remote`` takes to give a task the resources of a trial."""
    rest = {kind: amount for kind, amount in bundle.items() if kind not in {"CPU", "GPU"}}
    return {"num_cpus": bundle["CPU"], "num_gpus": bundle.get("GPU", 0), "resources": rest}


def packed(resources: Resources, whole: Slots, num_trials: int) -> Slots:
    """Return slots in which so many trials share a GPU.

    Args:
        resources: What the study says of a trial's.
        whole: Slots in which a trial has a GPU for itself; they stay where sharing does not let
            more trials run at a time, for want of cores or because no more are wanted.
        num_trials: At least 1.
    """
    shared = slots(resources.model_copy(update={"gpus": share(num_trials)}))
    return replace(shared, nodes=whole.nodes) if shared.count > whole.count else whole


def _fitting(node: Mapping[str, float], bundle: Mapping[str, float]) -> int:
    return min(_times(kind, node.get(kind, 0), amount) for kind, amount in bundle.items())


def _times(kind: str, there: float, amount: float) -> int:
    """Return how often an amount is there; a share of a GPU is a share of one and the same."""
    parts = max(1, round(amount * RESOLUTION))
    if kind == "GPU" and amount < 1:
        return int(there) * (RESOLUTION // parts)
    return round(there * RESOLUTION) // parts


def in_words(bundle: Mapping[str, float]) -> str:
    """Return resources in words, such as ``1 CPU, 0.5 GPU of type H100``."""
    amounts = [f"{amount:g} {kind}" for kind, amount in bundle.items() if not _is_type(kind)]
    types = [kind.removeprefix(_ACCELERATOR) for kind in bundle if _is_type(kind)]
    return ", ".join(amounts) + (f" of type {' or '.join(types)}" if types else "")


def _of_node(node: Mapping[str, float], bundle: Mapping[str, float]) -> str:
    """Return in words what a node has of each kind that a bundle asks for."""
    there = {kind: node.get(kind, 0) for kind in bundle if not _is_type(kind)}
    if any(map(_is_type, bundle)):
        there |= {kind: amount for kind, amount in node.items() if _is_type(kind)}
    return in_words(there)


def _is_type(kind: str) -> bool:
    return kind.startswith(_ACCELERATOR)
