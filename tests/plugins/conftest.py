"""Plugins that are in use for one test only."""

import sys
from collections.abc import Iterator

import pytest

VARIABLE = "DISTILL_TUNE_PLUGINS"


@pytest.fixture(autouse=True)
def _no_plugins_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, "[]")
    yield
    for name in [name for name in sys.modules if name.startswith("distill_tune_plugin_")]:
        del sys.modules[name]
