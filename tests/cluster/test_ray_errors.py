"""What is said of an error that came from a task of Ray's."""

import inspect
import re
from types import SimpleNamespace
from typing import Any

import pytest
from ray.train._internal import storage
from ray.tune import Trainable

from distill_tune.cluster.failures.ray_errors import STORAGE_LOST, cause_of, explain, in_a_line
from distill_tune.errors import StorageError

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


@pytest.mark.parametrize("text", STORAGE_LOST)
def test_a_folder_that_is_gone_is_no_failure_of_the_trial(text: str) -> None:
    with pytest.raises(StorageError, match="in the study's folder: is the folder still in its pla"):
        explain(f"ray::DistillTrial.restore()\nRuntimeError: {text} storage. See: https://there\n")
    assert explain("ValueError: no such class")[0] == "error"


def test_ray_says_so_in_these_words() -> None:
    """Else a study whose folder is gone counts as failures of its trials."""
    source = inspect.getsource(storage) + inspect.getsource(Trainable)
    joined = re.sub(r"""["']\s*f?["']""", "", source)
    assert [text for text in STORAGE_LOST if text not in joined] == []
