"""Ray itself: started quietly or joined, and asked beforehand whether a trial can ever run."""

import json
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distill_tune.errors import DistillTuneError, InputError, Text
from distill_tune.packing import RESOLUTION, share
from distill_tune.search.environment import CLIENT, prepare
from distill_tune.study_parts import Resources

_PATIENCE_S, _ATTEMPTS = 5.0, 4
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
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
        address: ``auto`` or ``HOST:PORT`` of a cluster; ``ray://HOST:PORT`` of one for Ray's
            client, in which no search runs from here (see ``client``); None = this machine.

    Raises:
        InputError: There is no cluster at that address.
    """
    prepare(address)
    if not os.access(Path.home(), os.W_OK):
        # Ray keeps its token there, and fails without.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    if address is not None:
        _require_listener(address)
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options["include_dashboard"] = False
    else:
        options["runtime_env"] = _with_this_package()
    try:
        _init(address or "local", options)
    except Exception as error:
        # A node that is too slow to start is a plain Exception of Ray's.
        reason = _reason(error)
        if address is None:
            raise RayError(f"Ray does not start on this machine: {reason}") from error
        expected = f"a running Ray cluster ({reason})"
        raise InputError("--address", got=address, expected=expected) from error
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()


def _with_this_package() -> dict[str, Any]:
    """Return a runtime environment with this package, before what a job of Ray's brings along."""
    of_job = json.loads(os.environ.get(_JOB, "{}")).get("runtime_env", {})
    if "py_modules" in of_job:
        # Otherwise Ray refuses to add to them.
        os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")
    package = str(Path(__file__).parents[1])
    return {"py_modules": [package, *of_job.get("py_modules", [])]}


def _init(address: str, options: dict[str, Any]) -> None:
    """Start or join Ray; through its client, in several attempts.

    The server for clients forks while its threads run, and now and then what it starts never comes
    to life (4 of 9 attempts on two cores, Ray 2.60): half a minute later it says so.
    """
    import ray

    for _ in range(_ATTEMPTS - 1):
        try:
            ray.init(address=address, **options)
        except ConnectionError as error:
            if not str(error).startswith("Initialization failure from server"):
                raise
            ray.shutdown()
        else:
            return
    ray.init(address=address, **options)


def _reason(error: BaseException) -> str:
    """Return in a line why Ray did not let us in; what is behind its error tells of a token."""
    behind: BaseException | None = error
    while behind is not None:
        if "AuthToken" in str(behind):
            return (
                "it wants its token: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token"
            )
        behind = behind.__cause__ or behind.__context__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # What failed on the other side comes with its trace.
    return lines[-1 if lines[0].endswith(":") else 0]


def _require_listener(address: str) -> None:
    """Look whether anybody listens at an address: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError("--address", got=address, expected="auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, UnicodeError) as error:  # A host such as a..b cannot even be encoded.
        reason = getattr(error, "strerror", None) or str(error)
        expected = f"the address of a running Ray cluster ({reason})"
        raise InputError("--address", got=address, expected=expected) from error


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


class RayError(DistillTuneError):
    """Ray itself failed; the study can be resumed."""

    exit_code = 1
