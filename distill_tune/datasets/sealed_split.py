"""The seal of the test split, which only a confirmation and an assessment open."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from distill_tune.errors import SealedTestError

_is_open: ContextVar[bool] = ContextVar("test split is open", default=False)


@contextmanager
def unsealed() -> Iterator[None]:
    """Allow ``load_test`` in this context; the caller records that the test split was read."""
    token = _is_open.set(True)
    try:
        yield
    finally:
        _is_open.reset(token)


def require_unsealed(name: str) -> None:
    """Raise SealedTestError outside :func:`unsealed`; ``name`` is that of the data."""
    if not _is_open.get():
        raise SealedTestError(
            f"{name}: the test split is sealed; distill-tune confirm opens it and "
            "records that it did"
        )
