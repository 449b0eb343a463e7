"""When a search in which nothing starts comes to its end, and when it goes on."""

from pathlib import Path

import pytest

from distill_tune.cluster.failures import worker_logs
from distill_tune.cluster.failures.start_failures import LOST, StartFailures
from distill_tune.cluster.failures.worker_logs import last_words
from distill_tune.errors import NoTrialSucceededError

CAUSE = "error: ImportError: no module 'x' (pid 17, actor 0a1b2c3d4e5f)"
OTHER = "error: ImportError: no module 'x' (pid 4711, actor ffffffffffff)"


def test_the_same_failure_of_several_is_the_end() -> None:
    starts = StartFailures()
    starts.add("a-0000", "a", CAUSE, ["a"])
    starts.add("a-0001", "a", OTHER, ["a"])
    with pytest.raises(NoTrialSucceededError, match="no module 'x'") as caught:
        starts.add("a-0000", "a", CAUSE, ["a"])
    assert "3 times (a-0000, a-0001)" in str(caught.value)


def test_one_alone_may_fail_by_its_own_parameters() -> None:
    starts = StartFailures()
    for _ in range(9):
        starts.add("a-0000", "a", CAUSE, ["a"])


def test_another_backbone_gets_its_turn() -> None:
    starts = StartFailures()
    for number in range(9):
        starts.add(f"a-{number:04d}", "a", CAUSE, ["a", "b"])
    with pytest.raises(NoTrialSucceededError):
        starts.add("b-0009", "b", CAUSE, ["a", "b"])


def test_different_causes_are_no_sign() -> None:
    starts = StartFailures()
    for number in range(9):
        starts.add(f"a-{number:04d}", "a", f"error: {'x' * number} is wrong", ["a"])


def test_what_has_once_reported_shows_that_all_can() -> None:
    starts = StartFailures()
    starts.begun()
    for number in range(9):
        starts.add(f"a-{number:04d}", "a", CAUSE, ["a"])


def test_lost_processes_are_alike_whatever_ray_says_of_them() -> None:
    starts = StartFailures()
    starts.add("warmup", "a", f"{LOST}: one thing", [])
    starts.add("a-0000", "a", f"{LOST}: another", ["a"])
    with pytest.raises(NoTrialSucceededError, match="a third"):
        starts.add("a-0000", "a", f"{LOST}: a third", ["a"])


def test_a_lost_process_is_quoted_by_its_own_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "worker-ab-01000000-17.err").write_text(":job_id:01\nusage: x\nmissing: y\n\n")
    (tmp_path / "worker-ab-01000000-17.out").write_text("nothing\n")
    monkeypatch.setattr(worker_logs, "_logs", lambda: tmp_path)
    said = "The actor died.\n\tpid: 17\nWorker exits with an exit code 2."
    assert last_words(said, "it died").endswith("(the last output of its process: missing: y)")
    assert last_words("The actor died.\n\tpid: 18\n", "it died") == "it died"
    assert last_words("The actor died.", "it died") == "it died"
