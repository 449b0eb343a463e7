"""What the first interrupt sets off, and how long it waits then."""

import os
import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from distill_tune.records.replay import fold
from distill_tune.records.trials import INTERRUPTED, Event
from distill_tune.tuning.interrupts import Drain, DrainStopper, InterruptCallback, longest_epoch_s
from distill_tune.tuning.scheduler import AshaPerBackbone
from distill_tune.tuning.stopping.time_budget import terminate_as_interrupt
from tests.tuning.test_scheduler import result, trial


@pytest.mark.parametrize("is_drained", [False, True])
def test_the_first_interrupt_is_told_and_drains_and_the_second_is_none_of_rays(
    is_drained: bool,
) -> None:
    told: list[str] = []
    is_told, drain = threading.Event(), Drain()

    def tell(kind: str) -> None:
        told.append(kind)
        is_told.set()

    before = signal.getsignal(signal.SIGINT)
    callback = InterruptCallback(tell, drain)
    rays: list[int] = []
    signal.signal(signal.SIGINT, lambda *got: rays.append(got[0]))
    try:
        callback.setup(stop=None)
        # A rule may be draining already.
        if is_drained:
            drain.begin()
        assert drain.is_begun is is_drained
        assert not drain.is_interrupted
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, before)
    assert is_told.wait(60)
    assert (told, rays, drain.is_begun) == ([INTERRUPTED], [], True)
    assert drain.is_interrupted


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


def running(*states: str, is_saving: bool = False) -> Any:
    return [SimpleNamespace(status=state, is_saving=is_saving) for state in states]


def test_a_drained_experiment_pauses_its_trials_starts_none_and_ends() -> None:
    scheduler = AshaPerBackbone(min_epochs=1, max_epochs=9, reduction_factor=3)
    drain, finished = scheduler.drain, list[bool]()
    waiting: Any = SimpleNamespace(status="PENDING", num_failures=1, config={"number": 3})
    controller: Any = SimpleNamespace(
        get_live_trials=lambda: [waiting],
        search_alg=SimpleNamespace(set_finished=lambda: finished.append(True)),
    )
    stopper = DrainStopper(drain)
    assert scheduler.on_trial_result(controller, trial(0), result(1, 0.5)) == "CONTINUE"
    assert scheduler.choose_trial_to_run(controller) is waiting
    drain.look(running())
    assert not stopper.stop_all()
    drain.begin()
    assert scheduler.choose_trial_to_run(controller) is None
    assert finished == [True]
    assert scheduler.on_trial_result(controller, trial(0), result(2, 0.5)) == "PAUSE"
    # Whoever ends here ends.
    assert scheduler.on_trial_result(controller, trial(1), result(1, 0.4)) == "STOP"
    assert scheduler.on_trial_result(controller, trial(0), result(9, 0.5)) == "STOP"
    drain.look(running("PAUSED", "RUNNING", "PENDING"))
    assert not stopper.stop_all()
    drain.look(running("PAUSED", "PAUSED", "PENDING"))
    assert stopper.stop_all()


def test_it_waits_as_long_as_two_of_the_longest_epochs_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    scheduler = AshaPerBackbone(min_epochs=1, max_epochs=9, reduction_factor=3)
    for epoch, seconds in ((1, 30.0), (2, 60.0), (3, 20.0)):
        told = result(epoch, 0.5) | {"metrics/seconds/joint": seconds}
        scheduler.on_trial_result(None, trial(0), told)
    scheduler.drain.begin()
    for seconds in (124.0, 125.0):
        assert not scheduler.drain.is_over
        now[0] = seconds
        scheduler.drain.begin()
        scheduler.drain.look(running("RUNNING", is_saving=seconds == 125.0))
    assert not scheduler.drain.is_over, "what is being saved is not given up"
    scheduler.drain.look(running("RUNNING"))
    assert scheduler.drain.is_over


def test_a_resumed_search_knows_how_long_epochs_take() -> None:
    begun: Event = {"event": "trial_started", "trial": 0, "name": "a-0000", "backbone": "a"}
    log: list[Event] = [{**begun, "params": {}, "time": 0.0}]
    for epoch, seconds in ((1, 5.0), (2, 7.0)):
        metrics = {"objective": 0.5, "seconds/joint": seconds}
        log.append({"event": "epoch", "trial": 0, "epoch": epoch, "metrics": metrics, "time": 0.0})
    assert longest_epoch_s(fold(log).trials.values()) == 7.0
    assert longest_epoch_s([]) == 0.0
