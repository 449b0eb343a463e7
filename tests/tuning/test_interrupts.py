"""What the first interrupt sets off, and how long Ray is told to wait then."""

import os
import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.execution.tune_controller import TuneController

from distill_tune.records.replay import fold
from distill_tune.records.trials import INTERRUPTED, Event
from distill_tune.tuning.interrupts import InterruptCallback, longest_epoch_s, wait_for_epochs
from distill_tune.tuning.scheduler import AshaPerBackbone
from distill_tune.tuning.stop_rules import terminate_as_interrupt
from tests.tuning.test_scheduler import result, trial


def test_the_first_interrupt_is_told_and_left_to_rays_handler() -> None:
    told: list[str] = []
    is_told, rays = threading.Event(), []

    def tell(kind: str) -> None:
        told.append(kind)
        is_told.set()

    before = signal.signal(signal.SIGINT, lambda *got: rays.append(got[0]))
    try:
        InterruptCallback(tell).setup(stop=None)
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert is_told.wait(60)
    assert (told, rays) == ([INTERRUPTED], [signal.SIGINT])


def terminate_me() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_is_an_interrupt_in_the_background_of_a_shell_too(ctrl_c: Any) -> None:
    before = signal.signal(signal.SIGINT, ctrl_c), signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt), terminate_as_interrupt():
            terminate_me()
        assert signal.getsignal(signal.SIGINT) == ctrl_c
        assert signal.getsignal(signal.SIGTERM) is before[1]
    finally:
        signal.signal(signal.SIGINT, before[0])


def test_ray_waits_as_long_as_two_of_the_longest_epochs_take() -> None:
    controller: Any = SimpleNamespace(_actor_force_cleanup_timeout=10)
    scheduler = AshaPerBackbone(min_epochs=1, max_epochs=9, reduction_factor=3)
    scheduler.on_trial_add(controller, trial(0))
    assert controller._actor_force_cleanup_timeout == 10
    for epoch, seconds in ((1, 30.0), (2, 60.0), (3, 20.0)):
        told = result(epoch, 0.5) | {"metrics/seconds/joint": seconds}
        scheduler.on_trial_result(controller, trial(0), told)
    assert controller._actor_force_cleanup_timeout == 130


def test_a_resumed_search_knows_how_long_epochs_take() -> None:
    begun: Event = {"event": "trial_started", "trial": 0, "name": "a-0000", "backbone": "a"}
    log: list[Event] = [{**begun, "params": {}, "time": 0.0}]
    for epoch, seconds in ((1, 5.0), (2, 7.0)):
        metrics = {"objective": 0.5, "seconds/joint": seconds}
        log.append({"event": "epoch", "trial": 0, "epoch": epoch, "metrics": metrics, "time": 0.0})
    assert longest_epoch_s(fold(log).trials.values()) == 7.0
    assert longest_epoch_s([]) == 0.0


def test_the_patience_is_where_ray_has_it() -> None:
    """Else an interrupted search waits ten seconds, and longer epochs are lost."""
    for method in (TuneController.__init__, TuneController._cleanup_stopping_actors):
        assert "_actor_force_cleanup_timeout" in method.__code__.co_names
    wait_for_epochs(None, 5.0)
