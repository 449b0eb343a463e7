"""Workers that Ray's memory monitor killed, as Ray says it."""

import re

_VICTIM = re.compile(r"Actor\(([0-9a-f]+)\).*?actual memory used=([\d.]+)GB")


def is_memory_kill(error: object) -> bool:
    """Tell whether an error says that Ray's memory monitor killed a worker."""
    return "killed due to the node running low on memory" in str(error)


def victims(said: str) -> dict[str, float]:
    """Return whom the memory monitor killed, as it said: Ray's id of the actor to GB that it had.

    In the order of their size, the largest first: an innocent one may have been killed with it.
    """
    found = {actor: float(size) for actor, size in _VICTIM.findall(said)}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def is_out_of_memory_error(error: BaseException | None) -> bool:
    """Tell whether an exception is the one that Ray raises for a worker killed for memory."""
    from ray.exceptions import OutOfMemoryError

    return isinstance(error, OutOfMemoryError)
