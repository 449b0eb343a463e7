"""Ctrl-C while trials run: the first lets each save its epoch, the second stops all at once."""

import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ray import tune

from distill_tune.cluster.ray_private import wait_for_actors
from distill_tune.records.trials import INTERRUPTED, TrialRecord

_EPOCHS, _REST_S = 2.0, 10.0


class InterruptCallback(tune.Callback):
    """Callback that reports the first interrupt, and leaves the rest to Ray's own handler.

    Ray's handler ends the experiment: it asks every trial to stop after its current epoch, and
    restores the handler that was there before. So the second interrupt is a KeyboardInterrupt.

    Args:
        tell: Takes ``INTERRUPTED``, in a thread of its own.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as a plain callback, as the study's own callback does."""
        return tune.Callback, ()

    def setup(self, *_spec: Any, **_info: Any) -> None:
        # Ray has installed its handler by now.
        rays = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(rays):
            return

        def first(number: int, frame: Any) -> None:
            # In a thread: the interrupted code may itself be printing.
            threading.Thread(target=self._tell, args=(INTERRUPTED,), daemon=True).start()
            rays(number, frame)

        signal.signal(signal.SIGINT, first)


def longest_epoch_s(trials: Iterable[TrialRecord]) -> float:
    """Return the seconds that the longest epoch of stage 3 took; 0 if there is none."""
    epochs = (metrics for trial in trials for metrics in trial.history.values())
    return max((metrics.get("seconds/joint", 0.0) for metrics in epochs), default=0.0)


def wait_for_epochs(controller: object, epoch_s: float) -> None:
    """Let an interrupted experiment wait for two epochs; Ray kills what runs after ten seconds.

    Args:
        controller: Ray's controller of the experiment.
        epoch_s: Seconds of the longest epoch.
    """
    wait_for_actors(controller, _REST_S + _EPOCHS * epoch_s)
