"""Ray in the tests' own process, started as a search starts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import distill_tune
from distill_tune.search.cluster import cluster


@pytest.fixture(scope="module")
def our_ray() -> Iterator[None]:
    """Start Ray on this machine, whose workers find the tests' modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(distill_tune.__file__).parents[1]))
        # Nobody is there: a search on this machine must not look.
        patch.setenv("RAY_ADDRESS", "127.0.0.1:1")
        with cluster(None):
            yield
