"""The first Ctrl-C of a training, and the second."""

import os
import signal

import pytest

from distill_tune.training.interrupt import stopping_at_a_report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_told_by_the_view_alone_and_the_second_stops(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    lines: list[str] = []

    def stop_twice() -> None:
        with stopping_at_a_report(lines.append) as is_asked_to_stop:
            assert not is_asked_to_stop()
            os.kill(os.getpid(), number)
            assert is_asked_to_stop()
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        stop_twice()
    assert lines == ["stopping after this epoch; Ctrl-C again stops at once"]
    # With ``progress=False`` the view shows nothing, and nothing else is printed.
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(number) is before


def test_without_a_signal_nothing_is_told() -> None:
    lines: list[str] = []
    with stopping_at_a_report(lines.append) as is_asked_to_stop:
        assert not is_asked_to_stop()
    assert lines == []
