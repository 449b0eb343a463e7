"""GPU sharing: the measured use of one trial, and how many trials fit."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from distill_tune.records.trials import Event

PACKING = "packing"
"""The kind of event that records what a trial uses."""

USABLE_MEMORY = 0.9
"""Share of a GPU's memory that trials may fill; the rest is for peaks that were not measured."""

RESOLUTION = 10_000
"""Ray divides a GPU into this many parts and truncates finer shares."""

_MOST, _MOST_UNSEEN = 16, 4
_GIB = 2.0**30


class GpuUse(NamedTuple):
    """GPU use of one trial that has the GPU to itself.

    Attributes:
        memory_bytes: Peak memory, including what the process and others hold besides tensors.
        total_bytes: Total memory of the GPU.
        utilisation: Share of the time in which the GPU computed, in [0, 1]; None if it cannot be
            measured.
    """

    memory_bytes: int
    total_bytes: int
    utilisation: float | None


def fitting(use: GpuUse) -> int:
    """Return how many such trials share a GPU: at least 1, at most 16.

    More trials than keep the GPU busy are of no use. If the utilisation is unknown, the limit is 4:
    trials that only wait for each other end later, and there is less to learn from while they run.
    """
    by_memory = int(USABLE_MEMORY * use.total_bytes / max(1, use.memory_bytes))
    if use.utilisation is None:
        by_time = _MOST_UNSEEN
    else:
        by_time = math.ceil(1 / max(use.utilisation, 1 / _MOST))
    return max(1, min(by_memory, by_time))


def share(num_trials: int) -> float:
    """Return the share of a GPU, in (0, 1], at which this many trials fit as Ray counts them."""
    return RESOLUTION // num_trials / RESOLUTION


def trials_per_gpu(uses: Mapping[str, GpuUse], backbones: Iterable[str]) -> int | None:
    """Return how many trials of any of these backbones share a GPU; None until all are measured."""
    names = set(backbones)
    return min(fitting(uses[name]) for name in names) if names <= uses.keys() else None


def gpu_uses(events: Iterable[Event]) -> dict[str, GpuUse]:
    """Return what a trial of each backbone uses, by the newest event that records it.

    Invalid events are ignored.
    """
    found: dict[str, GpuUse] = {}
    for event in events:
        if event.get("event") == PACKING:
            use = _use(event)
            if use is not None:
                found[str(event.get("backbone"))] = use
    return found


def _use(event: Event) -> GpuUse | None:
    try:
        memory, total = int(event["memory_bytes"]), int(event["total_bytes"])
        value = event["utilisation"]
        utilisation = None if value is None else float(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    is_sound = 0 < memory < 2**63 and 0 < total < 2**63
    if not is_sound or (utilisation is not None and not 0 <= utilisation <= 1):
        return None
    return GpuUse(memory, total, utilisation)


def packing_words(backbone: str, use: GpuUse) -> str:
    """Return a line on what a trial uses, how many fit, and how to request that."""
    took = f"{use.memory_bytes / _GIB:.1f} GiB of {use.total_bytes / _GIB:.1f} GiB"
    if use.utilisation is None:
        took += " of its GPU (how busy that is cannot be seen)"
    else:
        took += f" and {100 * use.utilisation:.0f} % of the time of its GPU"
    count = fitting(use)
    how = "1 fits" if count == 1 else f"{count} fit (resources.gpus: {share(count):g})"
    return f"{backbone}: one trial takes {took}: {how}"
