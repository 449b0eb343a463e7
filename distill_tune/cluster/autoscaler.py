"""Room for trials, asked of a cluster's autoscaler and let go at the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from distill_tune.cluster.resources import alive_nodes, bundle_of, fitting, in_words
from distill_tune.study.sections import Resources

_PATIENCE_S, _LOOK_EVERY_S = 900.0, 2.0


@contextmanager
def scaled(resources: Resources, count: int, say: Callable[[str], object]) -> Iterator[None]:
    """Ask Ray's autoscaler for room for trials while the context is open.

    The request stands until the context is left, however that happens; only a process that is
    killed leaves it behind, until the next request. The context opens once a node has room for a
    trial, or after a quarter of an hour. Nodes that come later are used as they join.

    Args:
        resources: The study's resources per trial. ``gpus: auto`` and ``fit`` stand for a GPU only
            if the cluster has one already.
        count: Trials at a time to ask room for.
        say: Takes a line.
    """
    from ray.autoscaler import sdk

    bundle = bundle_of(resources, [node["Resources"] for node in alive_nodes()])
    try:
        sdk.request_resources(bundles=[dict(bundle)] * count)
        say(f"asked the autoscaler for room for {count} trials with {in_words(bundle)} each")
        _wait_for_room(bundle)
        yield
    finally:
        # If Ray itself failed, there is nobody to tell, and its error says more.
        with suppress(Exception):
            sdk.request_resources(bundles=[])


def _wait_for_room(bundle: dict[str, float]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if fitting(bundle, (node["Resources"] for node in alive_nodes()), None):
            return
        time.sleep(_LOOK_EVERY_S)
