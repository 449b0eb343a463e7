"""Whatever stands in a study's log and files, its status is told: with warnings, or a message."""

import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from distill_tune.records.checksums import add_line_checksum
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.status import status_info, status_json
from distill_tune.terminal.study_tables import final_summary, status_table
from tests.refusals import GOOD, refused

SOUND: dict[str, Any] = {
    "trial": 1, "epoch": 1, "metrics": {"objective": 0.5}, "params": {"joint.margin": 0.5},
    "status": "complete", "name": "a", "backbone": "alexnet", "command": "search", "seconds": 1.0,
    "cost_s": 1.0, "keys": ["k"], "cached": True, "text": "t", "key": "k",
    "reason": "", "detail": "", "memory_bytes": 1, "total_bytes": 2, "utilisation": 0.5,
}  # fmt: skip
KINDS = ["session_started", "session_ended", "stage", "stages_adopted", "warning", "epoch"]
STRANGE_CURVE = {
    "steps": 10**30,
    "max_steps": -1,
    "curve": [
        {"step": 10**300, "agreement": "nan", "diversity": 5e300},
        {"step": 1, "agreement": -2, "diversity": "inf"},
    ],
}
STRANGE = st.one_of(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4),
    st.sampled_from([-1, 2**70, 10**400, "nan", "running", [], {}, [1], {"a": [1]}, {"x": "inf"}]),
)
EVENTS = st.builds(
    lambda kind, time, strange: {"event": kind, "time": time, **SOUND, **strange},
    st.sampled_from([*KINDS, "trial_started", "trial_ended", "packing"]) | STRANGE,
    st.floats(0, 2e9) | STRANGE,
    st.dictionaries(st.sampled_from(sorted(SOUND)), STRANGE, max_size=3),
)


@given(st.lists(EVENTS, max_size=6))
@example([{"event": "session_started", "time": float("inf"), "command": "x"}])
@example([{"event": "trial_started", "time": 1, **SOUND, "trial": float("inf")}])
@example([{"event": "stage", "time": 1, **SOUND, "seconds": float("nan")}])
@example([{"event": "stage", "time": 1, **SOUND, **STRANGE_CURVE}])
@example([{"event": "stage", "time": 1, **SOUND, "curve": 5, "max_steps": "two"}])
@example(
    [
        {"event": "session_started", "time": 1, "command": "x"},
        {"event": "session_ended", "time": 1, "status": [1]},
    ]
)
def test_any_log_has_a_status(events: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "study.yaml").write_text(GOOD)
        log = b"".join(add_line_checksum(json.dumps(event).encode()) + b"\n" for event in events)
        (Path(folder) / "events.jsonl").write_bytes(log)
        directory = StudyDirectory(folder)
        info = status_info(directory)
        json.dumps(status_json(info), allow_nan=False)
        console = Console(file=io.StringIO())
        console.print(status_table(info), final_summary(directory.state()))
        directory.write_tables()


def test_a_line_nested_without_end_is_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("[" * 100_000 + "\n" + "[" * 100_000)
    warning = "events.jsonl line 1 is damaged and was skipped"
    assert StudyDirectory(str(tmp_path)).state().warnings == (warning,)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"study: \xe9\n", ": got non-UTF-8 text (invalid continuation byte)"),
        (b"a: &a [*a]\n", ": YAML: got values nested without end, or an alias (*) of an enclosing"),
        (b"", ": got an empty file, expected a mapping"),
    ],
)
def test_a_stored_study_that_is_damaged_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old").mkdir()
    Path("old/study.yaml").write_bytes(content)
    assert refused("resume", "old").startswith(f"{tmp_path / 'old/study.yaml'}{complaint}")
