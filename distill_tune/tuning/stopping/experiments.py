"""One Ray experiment of a session, run until it ends or another one must take over."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray import tune

from distill_tune.tuning.callbacks.gpu_sharing import PackingCallback
from distill_tune.tuning.callbacks.trial_events import StudyCallback
from distill_tune.tuning.interrupts import SIGNALS, Drain


def run_experiment(
    tuner: tune.Tuner, drain: Drain, callback: StudyCallback, packing: PackingCallback
) -> bool:
    """Run an experiment; return whether it is over: no other one takes over.

    After an interrupt, none does.

    Args:
        tuner: Ray's.
        drain: Of the experiment.
        callback: Keeps its records.
        packing: Knows whether more trials fit on each GPU.
    """
    with _handlers_kept() as is_interrupted:
        try:
            tuner.fit()
        except Exception as error:
            if callback.go_on_after(error):
                return drain.is_interrupted
            if callback.fatal is not None:
                # Its own cause says what failed.
                raise callback.fatal from callback.fatal.__cause__
            raise
        if is_interrupted():
            # It may have come before the drain's own handler was in place.
            drain.interrupt()
    return drain.is_interrupted or not packing.is_due


@contextmanager
def _handlers_kept() -> Iterator[Callable[[], bool]]:
    """Restore the handlers of signals at the end: Ray leaves its own in place.

    Yields:
        A function that returns whether Ctrl-C came: the handler from before is then back already.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {which: signal.getsignal(which) for which in SIGNALS}
    try:
        yield lambda: signal.getsignal(signal.SIGINT) is before[signal.SIGINT]
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
