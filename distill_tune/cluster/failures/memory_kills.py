"""Workers killed by Ray's memory monitor, as found in Ray's messages."""

import re

_VICTIM = re.compile(r"Actor\(([0-9a-f]+)\).*?actual memory used=([\d.]+)GB")


def is_memory_kill(error: object) -> bool:
    """Return whether an error says that Ray's memory monitor killed a worker."""
    return "killed due to the node running low on memory" in str(error)


def victims(message: str) -> dict[str, float]:
    """Return the actors that the memory monitor killed: Ray's actor id to memory in GB.

    The largest comes first: a smaller one may have been killed without being the cause.
    """
    found = {actor: float(size) for actor, size in _VICTIM.findall(message)}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def is_out_of_memory_error(error: BaseException | None) -> bool:
    """Return whether an exception is the one that Ray raises for a worker killed for memory."""
    from ray.exceptions import OutOfMemoryError

    return isinstance(error, OutOfMemoryError)
