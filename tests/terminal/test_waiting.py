"""Signs of life and the time left, by a clock that only the test moves."""

import io
import math
import time

import pytest
from rich.console import Console

from distill_tune.terminal.waiting import Countdown, Heartbeat, patience


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Beating:
    """A heartbeat that is asked every second whether it is due, and when it was."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.beats: list[float] = []
        self.heart = Heartbeat(lambda: self.beats.append(self.clock.now - 1000), self.clock)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.now += 1
            self.heart.beat_if_due()


def test_silence_is_broken_every_ten_seconds() -> None:
    beating = Beating()
    beating.wait(35)
    assert beating.beats == [10, 20, 30]


def test_what_is_shown_puts_the_next_sign_off() -> None:
    beating = Beating()
    beating.wait(9)
    beating.heart.shown()
    beating.wait(9)
    assert beating.beats == []
    beating.wait(1)
    assert beating.beats == [19]


def test_for_half_an_hour_no_silence_exceeds_twenty_seconds_and_hours_are_told_rarely() -> None:
    beating = Beating()
    beating.wait(10 * 3600)
    gaps = [after - before for before, after in zip(beating.beats, beating.beats[1:], strict=False)]
    early = [gap for gap, end in zip(gaps, beating.beats[1:], strict=True) if end <= 1800]
    assert max(early) <= 20
    assert gaps == sorted(gaps)
    assert len(beating.beats) < 600


def test_a_reader_who_is_gone_ends_the_command_at_its_next_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("distill_tune.terminal.waiting._LOOK_EVERY_S", 0.0)

    def beat() -> None:
        end = SystemExit(1)
        end.__context__ = BrokenPipeError()
        raise end

    clock = Clock()
    heart = Heartbeat(beat, clock)
    clock.now += 10
    heart._run()
    with pytest.raises(SystemExit) as told:
        heart.shown()
    assert isinstance(told.value.__context__, BrokenPipeError), "by which the exit code is 141"


def test_a_countdown_passes_until_it_is_set_again() -> None:
    clock = Clock()
    left = Countdown(clock)
    assert left.words() == ""
    left.set(65)
    assert left.words() == "about 1m 05s left"
    clock.now += 60
    assert left.words("at most") == "at most 5s left"
    clock.now += 5
    assert left.words() == ""
    left.set(30)
    assert left.words() == "about 30s left"
    left.set(math.nan)
    assert left.words() == ""


def test_what_is_quick_says_nothing() -> None:
    console = Console(file=io.StringIO())
    with patience(console, "reading"):
        pass
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def test_what_is_slow_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distill_tune.terminal.waiting._SILENCE_S", 0.0)
    monkeypatch.setattr("distill_tune.terminal.waiting._LOOK_EVERY_S", 0.0)
    shown = io.StringIO()
    with patience(Console(file=shown), "reading [images]") as say:
        while "\n" not in shown.getvalue():
            time.sleep(0.001)
        say("comparing them")
        while "comparing them: 0s so far\n" not in shown.getvalue():
            time.sleep(0.001)
    assert shown.getvalue().startswith("reading [images]: 0s so far\n")


def test_on_a_terminal_one_line_is_renewed_and_then_removed() -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=30, color_system=None)
    with patience(console, "reading [images]") as say:
        while "reading [images]: 0s so far" not in shown.getvalue():
            time.sleep(0.001)
        say("comparing image 500 of 22000, all of them")
        while "comparing image 500 of 22000,…" not in shown.getvalue():
            time.sleep(0.001)
    assert shown.getvalue().count("\n") <= 1, "a line that is renewed does not scroll"
    assert shown.getvalue().endswith("\x1b[2K")
