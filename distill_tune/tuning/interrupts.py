"""The end of an experiment in which no epoch is lost: every trial ends its epoch and is saved.

The first Ctrl-C, a SIGTERM or the end of the time budget begins it. Only a second Ctrl-C stops
everything at once: schedulers may send SIGTERM repeatedly, and shortly before or after the budget
ends.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.stopper import NoopStopper

from distill_tune.records.trials import INTERRUPTED, TrialRecord

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EPOCHS, _REST_S = 2.0, 5.0


class Drain:
    """Drain of an experiment: its scheduler pauses each trial at its next result.

    Ray saves a trial that is paused. The experiment is over once none runs; after twice the longest
    epoch and five seconds, once none is being saved. What still runs then, Ray stops within another
    five.

    Attributes:
        epoch_s: Seconds of the longest epoch so far.
        is_interrupted: Whether the user or the time budget ends the session, not only a rule the
            trials.
        is_over: Whether the experiment is to end now.
    """

    def __init__(self) -> None:
        self.epoch_s = 0.0
        self.is_interrupted = False
        self.is_over = False
        self._until: float | None = None

    @property
    def is_begun(self) -> bool:
        """Whether trials are to be paused."""
        return self._until is not None

    def begin(self) -> None:
        """Begin, unless it has begun."""
        if self._until is None:
            self._until = time.monotonic() + _REST_S + _EPOCHS * self.epoch_s

    def interrupt(self) -> None:
        """Begin, unless it has begun, and end the session with it."""
        self.is_interrupted = True
        self.begin()

    def look(self, trials: Iterable[RayTrial]) -> None:
        """See whether it is over."""
        if self._until is not None:
            is_late = time.monotonic() >= self._until
            running = [trial for trial in trials if trial.status == RayTrial.RUNNING]
            self.is_over = not any(trial.is_saving or not is_late for trial in running)


class DrainStopper(NoopStopper):
    """Stopper that ends an experiment once it is drained.

    Args:
        drain: Of the experiment.
    """

    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    def __reduce__(self) -> tuple[type[NoopStopper], tuple[()]]:
        """Pickle as a plain stopper: Ray stores it, and a session makes its own."""
        return NoopStopper, ()

    def stop_all(self) -> bool:
        return self._drain.is_over


class InterruptCallback(tune.Callback):
    """Callback that drains the experiment at the first interrupt.

    At the first Ctrl-C it restores the handler from before, so that the second one is a
    KeyboardInterrupt. (Ray's own handler would end the experiment at once: Ray asks trials to stop
    after their present epoch, and forgets what it came to.)

    The time budget sends no signal: it is looked at between the experiment's steps, in whichever
    thread these are.

    Args:
        tell: Takes ``INTERRUPTED``, in a thread of its own.
        drain: Of the experiment.
        is_time_over: Returns whether the time budget is used up.
    """

    def __init__(
        self, tell: Callable[[str], None], drain: Drain, is_time_over: Callable[[], bool]
    ) -> None:
        self._tell, self._drain, self._is_time_over = tell, drain, is_time_over
        self._before = signal.getsignal(signal.SIGINT)

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as a plain callback, as the study's own callback does."""
        return tune.Callback, ()

    def setup(self, *_spec: Any, **_info: Any) -> None:
        # Ray has installed its handler by now.
        if threading.current_thread() is not threading.main_thread():
            return
        for which, handler in zip(SIGNALS, (self._ctrl_c, self._interrupt), strict=True):
            # A signal that is ignored or ends the process goes on doing so.
            if callable(signal.getsignal(which)):
                signal.signal(which, handler)

    def _ctrl_c(self, *_signal: Any) -> None:
        signal.signal(signal.SIGINT, self._before)
        # Told even if something else began the drain: Ctrl-C stops at once from now on.
        self._begin()

    def _interrupt(self, *_signal: Any) -> None:
        if not self._drain.is_interrupted:
            self._begin()

    def _begin(self) -> None:
        # In a thread: the interrupted code may itself be printing.
        threading.Thread(target=self._tell, args=(INTERRUPTED,), daemon=True).start()
        self._drain.interrupt()

    def on_step_end(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],
        **info: Any,  # noqa: ARG002
    ) -> None:
        if not self._drain.is_interrupted and self._is_time_over():
            self._begin()
        self._drain.look(trials)


def longest_epoch_s(trials: Iterable[TrialRecord]) -> float:
    """Return the seconds that the longest epoch of stage 3 took; 0 if there is none."""
    epochs = (metrics for trial in trials for metrics in trial.history.values())
    return max((metrics.get("seconds/joint", 0.0) for metrics in epochs), default=0.0)
