"""Ray itself: started quietly or joined, and asked beforehand whether a trial can ever run."""

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_tune.errors import DistillTuneError, InputError, Text
from distill_tune.packing import RESOLUTION, share
from distill_tune.search.environment import prepare
from distill_tune.study_parts import Resources

_PATIENCE_S = 5.0
_NOISY = ("ray", "ray.tune", "ray.train", "ray.air", "ray.data")


@dataclass(frozen=True)
class Slots:
    """What a trial takes and how many fit at a time.

    Attributes:
        bundle: ``{"CPU": c, "GPU": g}`` per trial.
        count: Trials at a time, at least 1.
    """

    bundle: dict[str, float]
    count: int


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Start Ray on this machine, or join a cluster, and leave it again.

    Args:
        address: ``auto``, ``HOST:PORT`` or ``ray://...`` of a cluster; None = this machine.

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
    try:
        ray.init(address=address or "local", **options)
    except Exception as error:
        # A node that is too slow to start is a plain Exception of Ray's.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
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


def _require_listener(address: str) -> None:
    """Look whether anybody listens at an address: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
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
    import ray

    every = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [node["Resources"] for node in every if node["Alive"]]
    has_gpus = any(node.get("GPU", 0) > 0 for node in nodes)
    gpus = float(has_gpus) if isinstance(resources.gpus, str) else resources.gpus
    bundle = {"CPU": resources.cpus, **({"GPU": gpus} if gpus else {})}
    count = sum(_fitting(node, bundle) for node in nodes)
    if count == 0:
        raise InputError(
            "resources",
            got=Text(f"{_words(bundle)} per trial"),
            expected="at most what one node has: "
            + "; ".join(_words({kind: node.get(kind, 0) for kind in bundle}) for node in nodes),
        )
    return Slots(bundle, min(count, resources.max_concurrent or count))


def packed(resources: Resources, whole: Slots, num_trials: int) -> Slots:
    """Return slots in which so many trials share a GPU.

    Args:
        resources: What the study says of a trial's.
        whole: Slots in which a trial has a GPU for itself; they stay where sharing does not let
            more trials run at a time, for want of cores or because no more are wanted.
        num_trials: At least 1.
    """
    shared = slots(resources.model_copy(update={"gpus": share(num_trials)}))
    return shared if shared.count > whole.count else whole


def _fitting(node: Mapping[str, float], bundle: Mapping[str, float]) -> int:
    return min(_times(kind, node.get(kind, 0), amount) for kind, amount in bundle.items())


def _times(kind: str, there: float, amount: float) -> int:
    """Return how often an amount is there; a share of a GPU is a share of one and the same."""
    parts = max(1, round(amount * RESOLUTION))
    if kind == "GPU" and amount < 1:
        return int(there) * (RESOLUTION // parts)
    return round(there * RESOLUTION) // parts


def _words(bundle: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:g} {kind}" for kind, amount in bundle.items())


class RayError(DistillTuneError):
    """Ray itself failed; the study can be resumed."""

    exit_code = 1
