"""What Ray knows of a trial that failed: its last error, and that error in a word and a line."""

from pathlib import Path

from ray import cloudpickle
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial as RayTrial

from distill_tune.errors import DiskFullError, is_disk_full


def explain(error: object) -> tuple[str, str]:
    """Return reason and last line of what ended a trial's process or its code.

    Raises:
        DiskFullError: It was for want of room, which is no fault of the trial's.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if is_disk_full(error):
        raise DiskFullError(lines[-1])
    is_lost = isinstance(error, RayActorError) and not error.actor_init_failed
    return "worker_lost" if is_lost else "error", lines[-1] if lines else "no message"


def last_error(trial: RayTrial) -> object:
    """Return a trial's last error: itself where Ray kept it, else as text.

    Read where the driver keeps it: the storage has it at Ray's next snapshot only.
    """
    text = Path(trial.error_file).read_text() if trial.error_file else ""
    last = text.rpartition("Failure # ")[2].partition("\n")[2].strip()
    path = trial.pickled_error_file
    if path and Path(path).exists():
        error = cloudpickle.loads(Path(path).read_bytes())
        # Not every error is pickled: this one may be of an earlier failure.
        if str(error).strip() == last:
            return error
    return last
