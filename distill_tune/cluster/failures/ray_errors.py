"""What a task's error of Ray's is about, in a line."""

from distill_tune.cluster.failures.memory_kills import is_memory_kill


def cause_of(error: BaseException) -> BaseException:
    """Return what the task's own code raised, else the error itself."""
    return getattr(error, "cause", None) or error


def in_a_line(error: BaseException) -> str:
    """Return the line of an error that says what happened; its type's name where it says nothing.

    It is the last one, but where Ray's memory monitor killed a worker: that ends with advice.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0 if is_memory_kill(error) else -1].strip()
