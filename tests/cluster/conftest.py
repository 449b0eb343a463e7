"""Ray in the tests' own process, as the search's tests have it."""

from tests.search.conftest import our_ray

__all__ = ["our_ray"]
