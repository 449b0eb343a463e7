"""Short descriptions of Ray's errors: a reason of one word, or a line."""

from pathlib import Path

from distill_tune.cluster.failures.memory_kills import is_memory_kill
from distill_tune.errors import DiskFullError, StorageError, is_disk_full

STORAGE_LOST = (
    "have read/write access to the configured storage path",
    "Could not recover from checkpoint as it does not exist on",
)
"""Texts in Ray's errors if the folder of an experiment or of a checkpoint has disappeared."""
_TAKEN_BACK = ("node was preempted:", "node was terminated expectedly:")


def cause_of(error: BaseException) -> BaseException:
    """Return what the task's own code raised; the error itself if there is no such cause."""
    return getattr(error, "cause", None) or error


def in_a_line(error: BaseException) -> str:
    """Return the line of an error that says what happened; its type's name if it has no text.

    This is the last line, except for memory kills: Ray ends those messages with advice.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0 if is_memory_kill(error) else -1].strip()


def names_taken_node(error: object) -> bool:
    """Return whether an error says that the cluster took the node of a process back with notice.

    This happens to spot instances, and when a node is drained or Ray is stopped on it.
    """
    is_preempted = bool(getattr(error, "preempted", False))
    return is_preempted or any(text in str(error) for text in _TAKEN_BACK)


def explain(error: object) -> tuple[str, str]:
    """Return the reason and the last line of the error that ended a trial's process or code.

    Raises:
        DiskFullError: The disk was full, which is not the trial's fault.
        StorageError: The folder of the study cannot be reached, which is not its fault either.
    """
    from ray.exceptions import RayActorError

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if is_disk_full(error):
        raise DiskFullError(lines[-1])
    if any(text in str(error) for text in STORAGE_LOST):
        raise StorageError(
            "Ray cannot reach a trial's checkpoints in the study's folder: is the folder still in "
            "its place, for every node?"
        )
    is_lost = isinstance(error, RayActorError) and not error.actor_init_failed
    return "worker_lost" if is_lost else "error", lines[-1] if lines else "no message"


def last_error(error_file: str | None, pickled_file: str | None) -> object:
    """Return a trial's last error: the object if Ray kept it, else its text.

    The files are read where the driver keeps them: the storage gets them only with Ray's next
    snapshot.

    Args:
        error_file: Where Ray keeps the errors as text; None = there was none.
        pickled_file: Where Ray keeps one of them as an object, if it could be pickled.
    """
    text = Path(error_file).read_text() if error_file else ""
    last = text.rpartition("Failure # ")[2].partition("\n")[2].strip()
    if pickled_file and Path(pickled_file).exists():
        from ray import cloudpickle

        error = cloudpickle.loads(Path(pickled_file).read_bytes())
        # Not every error is pickled: this one may belong to an earlier failure.
        if str(error).strip() == last:
            return error
    return last
