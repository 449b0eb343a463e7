"""What the first interrupt sets off, and how long it waits then."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from types import SimpleNamespace
from typing import Any

import pytest

from distill_tune.records.replay import fold
from distill_tune.records.trials import INTERRUPTED, Event
from distill_tune.tuning.interrupts import Drain, DrainStopper, InterruptCallback, longest_epoch_s
from distill_tune.tuning.scheduler import AshaPerBackbone
from distill_tune.tuning.stopping.experiments import run_experiment
from distill_tune.tuning.stopping.time_budget import TimeBudget, terminate_as_interrupt
from tests.tuning.test_scheduler import result, trial


class Experiment:
    """An experiment in this process, with Ray's handler of Ctrl-C.

    Args:
        is_drained: Whether a rule drains it already.

    Attributes:
        told: What the user was told, once it was.
        rays: Signals that reached Ray's handler.
        is_time_over: Whether the time budget is used up.
    """

    def __init__(self, *, is_drained: bool = False) -> None:
        self.told, self.rays = Queue[str](), list[int]()
        self.is_time_over, self.drain = False, Drain()
        self.drain.epoch_s = 1000.0
        self.callback = InterruptCallback(self.told.put, self.drain, lambda: self.is_time_over)
        signal.signal(signal.SIGINT, lambda *got: self.rays.append(got[0]))
        self.callback.setup(stop=None)
        if is_drained:
            self.drain.begin()

    def step(self) -> None:
        self.callback.on_step_end(1, running("RUNNING"))

    def is_finishing(self) -> bool:
        """Return whether it drains for an interrupt, and takes as long as it needs."""
        self.step()
        return self.drain.is_interrupted and not self.drain.is_over

    def number_told(self) -> int:
        """Return how often the user was told since the last call."""
        told = [self.told.get(timeout=60)]
        with suppress(Empty):
            while True:
                told.append(self.told.get(timeout=0.2))
        assert set(told) == {INTERRUPTED}
        return len(told)


def send(*signals: signal.Signals) -> None:
    for which in signals:
        os.kill(os.getpid(), which)


@pytest.fixture
def _handlers() -> Iterator[None]:
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    with terminate_as_interrupt():
        yield
    for which, handler in before.items():
        signal.signal(which, handler)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("is_drained", [False, True])
def test_the_first_interrupt_is_told_and_drains_and_the_second_is_none_of_rays(
    *, is_drained: bool
) -> None:
    before = signal.getsignal(signal.SIGINT)
    experiment = Experiment(is_drained=is_drained)
    assert experiment.drain.is_begun is is_drained
    assert not experiment.drain.is_interrupted
    send(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert (experiment.number_told(), experiment.rays) == (1, [])
    assert experiment.is_finishing()
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("first", ["Ctrl-C", "SIGTERM", "time budget"])
def test_only_a_second_ctrl_c_stops_at_once(first: str) -> None:
    experiment = Experiment()
    experiment.step()
    assert not experiment.drain.is_begun
    sent = {"Ctrl-C": [signal.SIGINT], "SIGTERM": [signal.SIGTERM]}.get(first, [])
    send(*sent)
    experiment.is_time_over = not sent
    assert experiment.is_finishing()
    assert experiment.number_told() == 1
    # A scheduler repeats itself, and its time and the budget's end together.
    experiment.is_time_over = True
    experiment.step()
    send(signal.SIGTERM, signal.SIGTERM)
    assert experiment.is_finishing()
    assert (experiment.told.empty(), experiment.rays) == (True, [])
    if first != "Ctrl-C":
        send(signal.SIGINT)
        assert experiment.is_finishing()
        assert experiment.number_told() == 1, "the next one stops at once"
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


def test_a_time_budget_ends_an_experiment_in_its_own_thread() -> None:
    budget, told, drain = TimeBudget(0.2), Queue[str](), Drain()
    callback = InterruptCallback(told.put, drain, budget.is_over)

    def experiment() -> None:
        budget.start()
        callback.setup(stop=None)
        while not drain.is_over:
            callback.on_step_end(1, [])
            time.sleep(0.01)

    thread = threading.Thread(target=experiment, daemon=True)
    thread.start()
    # An interrupt of the main thread would be raised here.
    thread.join(60)
    assert not thread.is_alive()
    assert told.get(timeout=60) == INTERRUPTED
    assert drain.is_interrupted
    assert budget.has_ended_work


def test_a_time_budget_that_nothing_asked_for_has_ended_nothing() -> None:
    budget = TimeBudget(0.0)
    assert not budget.is_over(), "it has not started"
    budget.start()
    assert not budget.has_ended_work
    assert budget.is_over()
    assert budget.has_ended_work
    endless = TimeBudget(None)
    endless.start()
    assert not endless.is_over()


@pytest.mark.usefixtures("_handlers")
def test_sigterm_interrupts_a_phase_without_a_drain_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGTERM)
    # Whatever ends now is not torn.
    send(signal.SIGTERM)


@dataclass
class FakeTuner:
    """A tuner whose experiment is one function."""

    fit: Callable[[], None]


def experiment_is_over(run: Callable[[], None], drain: Drain, *, goes_on: bool) -> bool:
    callback: Any = SimpleNamespace(go_on_after=lambda _: goes_on, fatal=None)
    packing: Any = SimpleNamespace(is_due=goes_on)
    return run_experiment(FakeTuner(run), drain, callback, packing)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_handlers")
def test_no_experiment_takes_over_after_an_interrupt() -> None:
    before = [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)]

    def rays(*_: object) -> None:
        """Handle Ctrl-C as Ray does: restore the handler from before."""
        signal.signal(signal.SIGINT, before[0])

    def start() -> None:
        signal.signal(signal.SIGINT, rays)

    def interrupted_at_its_start() -> None:
        start()
        send(signal.SIGINT)

    def gives_up() -> None:
        start()
        raise RuntimeError

    early, late, undisturbed = Drain(), Drain(), Drain()
    late.interrupt()
    assert experiment_is_over(interrupted_at_its_start, early, goes_on=True)
    assert early.is_interrupted
    assert experiment_is_over(gives_up, late, goes_on=True)
    assert not experiment_is_over(gives_up, undisturbed, goes_on=True)
    assert not experiment_is_over(start, undisturbed, goes_on=True)
    assert experiment_is_over(start, undisturbed, goes_on=False)
    assert not undisturbed.is_interrupted
    assert [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)] == before


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
