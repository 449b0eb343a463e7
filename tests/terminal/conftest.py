"""The clock of the views stands still, so that a slow machine changes none of their words."""

import time
from types import SimpleNamespace

import pytest

from distill_tune.terminal import confirmation_view, search_view, training_view, waiting


@pytest.fixture(autouse=True)
def _the_clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0, time=lambda: 1e9, sleep=time.sleep)
    for module in (confirmation_view, search_view, training_view, waiting):
        monkeypatch.setattr(module, "time", clock)
