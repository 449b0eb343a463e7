"""What an error of Ray's is about, in a word or a line."""

from pathlib import Path

from distill_tune.cluster.failures.memory_kills import is_memory_kill
from distill_tune.errors import DiskFullError, is_disk_full


def cause_of(error: BaseException) -> BaseException:
    """Return what the task's own code raised, else the error itself."""
    return getattr(error, "cause", None) or error


def in_a_line(error: BaseException) -> str:
    """Return the line of an error that says what happened; its type's name where it says nothing.

    It is the last one, but where Ray's memory monitor killed a worker: that ends with advice.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0 if is_memory_kill(error) else -1].strip()


def explain(error: object) -> tuple[str, str]:
    """Return reason and last line of what ended a trial's process or its code.

    Raises:
        DiskFullError: It was for want of room, which is no fault of the trial's.
    """
    from ray.exceptions import RayActorError

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if is_disk_full(error):
        raise DiskFullError(lines[-1])
    is_lost = isinstance(error, RayActorError) and not error.actor_init_failed
    return "worker_lost" if is_lost else "error", lines[-1] if lines else "no message"


def last_error(error_file: str | None, pickled_file: str | None) -> object:
    """Return a trial's last error: itself where Ray kept it, else as text.

    Args:
        error_file: Where Ray keeps the errors as text; None = there was none.
        pickled_file: Where it keeps one of them as an object, if it could.

    Read where the driver keeps it: the storage has it at Ray's next snapshot only.
    """
    text = Path(error_file).read_text() if error_file else ""
    last = text.rpartition("Failure # ")[2].partition("\n")[2].strip()
    if pickled_file and Path(pickled_file).exists():
        from ray import cloudpickle

        error = cloudpickle.loads(Path(pickled_file).read_bytes())
        # Not every error is pickled: this one may be of an earlier failure.
        if str(error).strip() == last:
            return error
    return last
