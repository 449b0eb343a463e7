"""Ray clusters: started quietly or joined, and checked beforehand for room for a trial."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distill_tune.cluster.environment import prepare
from distill_tune.cluster.failures.interruptible import interruptible
from distill_tune.cluster.failures.ray_daemon_watch import daemons_of_ray, watched
from distill_tune.cluster.failures.ray_errors import in_a_line
from distill_tune.cluster.ray_private import leave
from distill_tune.cluster.ray_session import require_listener, start_or_join
from distill_tune.distill.trial_config import Compute
from distill_tune.errors import DistillTuneError, InputError, RayError, Text
from distill_tune.records.gpu_use import RESOLUTION, GpuUse, share, trials_per_gpu
from distill_tune.study.sections import Resources
from distill_tune.study.study import Study

# A node has an amount of 1 of "accelerator_type:H100", however many GPUs it has. A task that wants
# the type takes a trace of it, as Ray's own option for tasks does.
_ACCELERATOR, _TRACE = "accelerator_type:", 0.001
_WITH_NOTICE = frozenset({1, 3, 4})
"""Ray's numbers for a node's death that was announced: expected, drained for preemption or idle."""
_NOISY = ("ray", "ray.tune", "ray.train", "ray.air", "ray.data")


@dataclass(frozen=True)
class Slots:
    """Resources of a trial, and how many trials fit at a time.

    Attributes:
        bundle: Per trial, by Ray's names: ``CPU``, ``GPU`` if it takes any, and a trace of the
            accelerator type, if one is asked for.
        count: Trials at a time, at least 1.
        nodes: Ray's ids of the nodes at the start; a node that joins later must be checked first
            (see ``node_guard``).
        most: Most trials at a time that the user wants, however many would fit; None = no limit.
        compute: The trials', which a node must be able to do.
    """

    bundle: dict[str, float]
    count: int
    nodes: frozenset[str] = field(default=frozenset(), compare=False)
    most: int | None = field(default=None, compare=False)
    compute: Compute = field(default_factory=Compute, compare=False)


@contextmanager
def cluster(address: str | None, *, is_importing: bool = False) -> Iterator[None]:
    """Start Ray on this machine or join a cluster, and leave it at the end.

    The processes of a joined cluster run this very package, which is uploaded. The nodes need its
    dependencies; any version of the package that they have installed is ignored.

    Args:
        address: ``auto`` or ``HOST:PORT`` of a cluster; None = this machine.
        is_importing: Whether workers on this machine import what stages and trials need as they
            start, before they have work.

    Raises:
        InputError: There is no cluster at that address.
        RayError: Ray does not start, already runs in this process, or fails later.
    """
    prepare(address)
    if not os.access(Path.home(), os.W_OK):
        # Ray keeps its token in the home folder, and fails if it cannot.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    if address is not None:
        require_listener(address)
    import ray

    start_or_join(address, is_importing=is_importing)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with watched(daemons_of_ray()):
            yield
    except ray.exceptions.RayError as error:
        if isinstance(error, DistillTuneError):
            # An error of this package that a task raised is both.
            raise
        raise RayError(f"Ray failed: {in_a_line(error)}") from error
    finally:
        leave()


def slots(resources: Resources, compute: Compute | None = None) -> Slots:
    """Return a trial's resources and how many trials fit at a time.

    Args:
        resources: The study's resources per trial.
        compute: The study's; None: the default.

    Raises:
        InputError: No node can ever hold a trial (Ray would wait for one forever).
    """
    alive = alive_nodes()
    nodes = [node["Resources"] for node in alive]
    bundle = bundle_of(resources, nodes)
    count = fitting(bundle, nodes, resources.max_concurrent)
    if count == 0:
        expected = "at most what one node has: " + "; ".join(
            _of_node(node, bundle) for node in nodes
        )
        raise InputError("resources", got=Text(f"{in_words(bundle)} per trial"), expected=expected)
    ids = frozenset(node["NodeID"] for node in alive)
    return Slots(bundle, count, ids, resources.max_concurrent, compute or Compute())


def bundle_of(resources: Resources, nodes: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return a trial's resources by Ray's names.

    Args:
        resources: The study's resources per trial.
        nodes: What each node has.
    """
    has_gpus = any(node.get("GPU", 0) > 0 for node in nodes)
    gpus = float(has_gpus) if isinstance(resources.gpus, str) else resources.gpus
    bundle = {"CPU": resources.cpus, **({"GPU": gpus} if gpus else {})}
    if resources.accelerator is not None:
        bundle[f"{_ACCELERATOR}{resources.accelerator}"] = _TRACE
    return bundle


def is_taken_back(node: str) -> bool:
    """Return whether the cluster took a node back with notice, by Ray's id of the node."""
    return any(
        one["NodeID"] == node and one.get("DeathReason") in _WITH_NOTICE for one in every_node()
    )


def alive_nodes() -> list[dict[str, Any]]:
    """Return the nodes that are alive, as Ray describes them."""
    return [node for node in every_node() if node["Alive"]]


def every_node() -> list[dict[str, Any]]:
    """Return the nodes of the cluster, lost ones too, as Ray describes them."""
    import ray

    return interruptible(ray.nodes)


def free_resources() -> dict[str, float]:
    """Return the resources that are free now on all nodes together, by Ray's names."""
    import ray

    return interruptible(ray.available_resources)


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
        bundle: What each trial takes.
        nodes: What each node has.
        most: Most trials at a time that the user wants; None = no limit.
    """
    count = sum(_fitting(node, bundle) for node in nodes)
    return min(count, most or count)


def task_options(bundle: Mapping[str, float]) -> dict[str, Any]:
    """Return the options of ``ray.remote`` that give a task the resources of a trial."""
    rest = {kind: amount for kind, amount in bundle.items() if kind not in {"CPU", "GPU"}}
    return {"num_cpus": bundle["CPU"], "num_gpus": bundle.get("GPU", 0), "resources": rest}


def packed(resources: Resources, whole: Slots, num_trials: int) -> Slots:
    """Return slots in which ``num_trials`` trials share a GPU.

    Args:
        resources: The study's resources per trial.
        whole: Slots in which a trial has a GPU for itself; returned unchanged if sharing does not
            let more trials run at a time, because cores are lacking or no more are wanted.
        num_trials: At least 1.
    """
    shared = slots(resources.model_copy(update={"gpus": share(num_trials)}), whole.compute)
    return replace(shared, nodes=whole.nodes) if shared.count > whole.count else whole


def present_slots(study: Study, whole: Slots, uses: Mapping[str, GpuUse]) -> Slots:
    """Return the slots that a study has now.

    Args:
        study: The whole search.
        whole: Slots in which a trial has a GPU for itself, if there is any.
        uses: Backbone to what one of its trials takes. With ``gpus: fit``, trials share GPUs as
            soon as that is known of every backbone.
    """
    if study.resources.gpus != "fit" or "GPU" not in whole.bundle:
        return whole
    count = trials_per_gpu(uses, (backbone.name for backbone in study.backbones))
    return whole if count is None else packed(study.resources, whole, count)


def _fitting(node: Mapping[str, float], bundle: Mapping[str, float]) -> int:
    return min(_times(kind, node.get(kind, 0), amount) for kind, amount in bundle.items())


def _times(kind: str, there: float, amount: float) -> int:
    """Return how often an amount fits; a share of a GPU must come from a single GPU."""
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
    """Return in words what a node has of each resource that a bundle asks for."""
    there = {kind: node.get(kind, 0) for kind in bundle if not _is_type(kind)}
    if any(map(_is_type, bundle)):
        there |= {kind: amount for kind, amount in node.items() if _is_type(kind)}
    return in_words(there)


def _is_type(kind: str) -> bool:
    return kind.startswith(_ACCELERATOR)
