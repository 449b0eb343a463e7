"""What is said of an error that came from a task of Ray's."""

from types import SimpleNamespace
from typing import Any

import pytest

from distill_tune.cluster.failures.ray_errors import cause_of, in_a_line

KILLED = "Task was killed due to the node running low on memory.\n\nTo adjust, set a variable.\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("Traceback:\n  somewhere\n no such file \n"), "no such file"),
        (RuntimeError(KILLED), KILLED.splitlines()[0]),
        (KeyError(), "KeyError"),
    ],
)
def test_the_line_that_says_what_happened(error: Exception, line: str) -> None:
    assert in_a_line(error) == line


def test_a_tasks_error_is_about_what_its_code_raised() -> None:
    error: Any = SimpleNamespace(cause=ValueError("no"))
    assert cause_of(error) is error.cause
    lost = RuntimeError("worker lost")
    assert cause_of(lost) is lost
